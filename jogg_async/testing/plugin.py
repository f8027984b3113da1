"""The pytest plugin: the fixtures `fake_jogg` and `jogg_session`.

pytest imports this module in every project where the package is installed. It therefore imports nothing but pytest
until a fixture is asked for, adds no option, and prints nothing.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

    from jogg_async import JoggSession

    from .server import FakeJogg

__all__ = ["fake_jogg", "jogg_session", "pytest_configure", "pytest_runtest_call"]

_MARKER = "fake_jogg(**settings): what the fixture fake_jogg is made with, such as tracks=10 or latency=0.05"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` knows it."""
    config.addinivalue_line("markers", _MARKER)


def _settings(node: pytest.Item) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    # From the module inwards, so that a test's own marker has the last word.
    for marker in reversed(list(node.iter_markers("fake_jogg"))):
        if marker.args:
            raise pytest.UsageError("@pytest.mark.fake_jogg takes keyword arguments, such as tracks=10")
        settings |= marker.kwargs
    return settings


@pytest.fixture
def fake_jogg(request: pytest.FixtureRequest) -> Iterator[FakeJogg]:
    """A `FakeJogg` for this test alone, in a thread of its own: for sync tests and any asyncio plugin.

    `@pytest.mark.fake_jogg(tracks=10, latency=0.05)` on a test, a class or a module sets what it is made with.
    """
    from .server import FakeJogg  # noqa: PLC0415 (see the top)

    with FakeJogg(**_settings(request.node)) as fake:
        yield fake


@pytest.fixture
def jogg_session(fake_jogg: FakeJogg) -> JoggSession:
    """A `JoggSession` that talks to `fake_jogg`, not yet entered.

    A test that is a coroutine may use it straight away, whatever plugin runs it: the session is closed behind it, in
    the same event loop. A test that starts a loop of its own enters it there: `async with jogg_session as jogg:`.
    """
    from jogg_async import JoggSession  # noqa: PLC0415 (see the top)

    return JoggSession(fake_jogg.api_key, base_url=fake_jogg.url)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let a coroutine test that took `jogg_session` close it at its end."""
    # The fixture cannot: it is sync, so that it suits any asyncio plugin, and the loop may end before its teardown.
    if not isinstance(item, pytest.Function) or "jogg_session" not in item.funcargs:
        return (yield)
    test = item.obj
    if inspect.iscoroutinefunction(test):
        item.obj = _closing(test, cast("JoggSession", item.funcargs["jogg_session"]))
    try:
        return (yield)
    finally:
        item.obj = test


def _closing(test: Callable[..., Coroutine[Any, Any, object]], session: JoggSession) -> Callable[..., object]:
    @functools.wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        try:
            await test(*args, **kwargs)
        finally:
            await session.aclose()

    return run
