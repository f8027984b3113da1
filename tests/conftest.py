"""What every test of the client shares: a fake service, a session on it, and a check that nothing is left running."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from jogg_async import JoggSession, RetryPolicy
from jogg_async.testing import FakeJogg

AT_ONCE = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)
"""Repetitions without a wait, for tests that are not about waiting."""

PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")

LOOPS = ("asyncio", "uvloop", "eager")
"""Event loops that `--loop` chooses from; `eager` is asyncio's with eager tasks (Python 3.12 and newer)."""

MakeFake = Callable[..., Awaitable[FakeJogg]]
MakeSession = Callable[..., JoggSession]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=LOOPS, default="asyncio", help="event loop of the async tests")


def pytest_configure(config: pytest.Config) -> None:
    if (loop := str(config.getoption("--loop"))) != "asyncio":
        config.pluginmanager.register(OtherLoop(loop))


class OtherLoop:
    """Plugin that runs the async tests on another event loop."""

    def __init__(self, name: str) -> None:
        self._name = name

    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        return {self._name: uvloop_loop if self._name == "uvloop" else eager_loop}


def uvloop_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(cast("Any", asyncio).eager_task_factory)
    return loop


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    """No task outlives its test."""
    before = left = asyncio.all_tasks()
    yield
    for _ in range(10):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"tasks left running: {left}")


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not depend on who runs them."""
    for name in ("JOGG_API_KEY", "JOGG_BASE_URL", *PROXY_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def make_fake() -> AsyncIterator[MakeFake]:
    """Starts fake services, and closes them at the end of the test."""
    async with AsyncExitStack() as stack:

        async def make(*args: Any, **kwargs: Any) -> FakeJogg:
            return await stack.enter_async_context(FakeJogg(*args, **kwargs))

        yield make


@pytest.fixture
async def make_session() -> AsyncIterator[MakeSession]:
    """Makes sessions on a fake service, and closes them at the end of the test."""
    async with AsyncExitStack() as stack:

        def make(fake: FakeJogg, **kwargs: Any) -> JoggSession:
            kwargs.setdefault("retry", AT_ONCE)
            session = JoggSession(fake.api_key, base_url=fake.url, **kwargs)
            stack.push_async_callback(session.aclose)
            return session

        yield make


@pytest.fixture
async def fake(make_fake: MakeFake) -> FakeJogg:
    """A fake service with 250 tracks: three pages of 100."""
    return await make_fake(250)


@pytest.fixture
async def jogg(fake: FakeJogg, make_session: MakeSession) -> JoggSession:
    """A session on `fake`."""
    return make_session(fake)


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
def cheap_collections() -> Iterator[None]:
    """What was there before is left out of the many garbage collections of a test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
