"""The session that a command works with: the service's, or that of a fake inside this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Any, Final

from jogg_async.errors import ConfigurationError
from jogg_async.retry import RetryPolicy
from jogg_async.session import JoggSession
from jogg_async.testing import FakeJogg

from .failure import UsageError, in_options
from .options import KEY_VARIABLE, Connection

# Slow enough that the progress bar is seen, fast enough that the whole catalogue comes within a few seconds.
_DEMO_LATENCY: Final = 0.25
_DEMO_JITTER: Final = 0.3


@contextlib.asynccontextmanager
async def connected(connection: Connection, **settings: Any) -> AsyncGenerator[JoggSession]:
    """A session as the options ask for it.

    Args:
        connection: the options.
        settings: further settings of the session; `None` stands for the default.

    Raises:
        ConfigurationError: there is no key, or a setting is malformed.
        UsageError: the options contradict each other.
    """
    settings |= {"timeout": connection.timeout, "retry": _retry(connection)}
    given = {name: value for name, value in settings.items() if value is not None}
    if connection.demo:
        async with _demo(connection, given) as jogg:
            yield jogg
        return
    if KEY_VARIABLE not in os.environ:
        raise ConfigurationError(f"No API key: set the environment variable {KEY_VARIABLE}, or look around by --demo.")
    async with JoggSession(base_url=connection.base_url, **given) as jogg:
        yield jogg


def _retry(connection: Connection) -> RetryPolicy | None:
    if connection.attempts is None:
        return None
    try:
        return RetryPolicy(attempts=connection.attempts)
    except ValueError as error:
        raise UsageError(in_options(str(error))) from None


@contextlib.asynccontextmanager
async def _demo(connection: Connection, settings: dict[str, Any]) -> AsyncGenerator[JoggSession]:
    if connection.base_url is not None:
        raise UsageError("--demo and --base-url exclude each other.")
    async with (
        FakeJogg(latency=_DEMO_LATENCY, jitter=_DEMO_JITTER, record=False) as fake,
        JoggSession(fake.api_key, base_url=fake.url, **settings) as jogg,
    ):
        yield jogg
