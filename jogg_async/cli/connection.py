"""The session of a command: connected to the service, or to a fake inside this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Any, Final

from jogg_async.errors import ArgumentError, ConfigurationError
from jogg_async.retry import RetryPolicy
from jogg_async.session import JoggSession
from jogg_async.settings import API_KEY_VARIABLE

from .failure import UsageError, with_options
from .options import Connection

# Slow enough to show the progress bar, fast enough to print the whole catalogue within a few seconds.
_DEMO_LATENCY: Final = 0.25
_DEMO_JITTER: Final = 0.3


@contextlib.asynccontextmanager
async def connected(connection: Connection, **settings: Any) -> AsyncGenerator[JoggSession]:
    """Open the session that the options describe.

    Args:
        connection: the options.
        settings: further settings of the session.

    Raises:
        ConfigurationError: the key is missing, or a setting is malformed.
        UsageError: the options contradict each other.
    """
    settings |= {"timeout": connection.timeout, "retry": _retry(connection)}
    if connection.demo:
        async with _demo(connection, settings) as jogg:
            yield jogg
        return
    # An option for the key would show it in the list of processes.
    if API_KEY_VARIABLE not in os.environ:
        raise ConfigurationError(f"No API key: set the environment variable {API_KEY_VARIABLE}, or try --demo.")
    async with JoggSession(base_url=connection.base_url, **settings) as jogg:
        yield jogg


def _retry(connection: Connection) -> RetryPolicy:
    try:
        return RetryPolicy(attempts=connection.attempts)
    except ArgumentError as error:
        raise UsageError(with_options(error)) from None


@contextlib.asynccontextmanager
async def _demo(connection: Connection, settings: dict[str, Any]) -> AsyncGenerator[JoggSession]:
    if connection.base_url is not None:
        raise UsageError("--demo and --base-url exclude each other.")
    from jogg_async.testing import FakeJogg  # with aiohttp's server, which takes a tenth of the start of a command

    async with (
        FakeJogg(latency=_DEMO_LATENCY, jitter=_DEMO_JITTER, record=False) as fake,
        JoggSession(fake.api_key, base_url=fake.url, **settings) as jogg,
    ):
        yield jogg
