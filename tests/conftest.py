"""Fixtures of all tests: a fake service, a session on it, and a check for tasks left running."""

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
"""Three attempts without a wait, for tests that are not about waits."""

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
async def no_task_left_running() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
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
    """Remove the key, the address and proxies from the environment."""
    for name in ("JOGG_API_KEY", "JOGG_BASE_URL", *PROXY_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def make_fake() -> AsyncIterator[MakeFake]:
    """Start fake services and close them after the test."""
    async with AsyncExitStack() as stack:

        async def make(*args: Any, **kwargs: Any) -> FakeJogg:
            return await stack.enter_async_context(FakeJogg(*args, **kwargs))

        yield make


@pytest.fixture
async def make_session() -> AsyncIterator[MakeSession]:
    """Create sessions on a fake service and close them after the test."""
    async with AsyncExitStack() as stack:

        def make(fake: FakeJogg, **kwargs: Any) -> JoggSession:
            kwargs.setdefault("retry", AT_ONCE)
            session = JoggSession(fake.api_key, base_url=fake.url, **kwargs)
            stack.push_async_callback(session.aclose)
            return session

        yield make


@pytest.fixture
async def fake(make_fake: MakeFake) -> FakeJogg:
    """Start a fake service with 250 tracks: three pages of 100 or fewer."""
    return await make_fake(250)


@pytest.fixture
async def jogg(fake: FakeJogg, make_session: MakeSession) -> JoggSession:
    """Create a session on `fake`."""
    return make_session(fake)


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture log records of every level."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
def stamina_log(debug_log: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture the log, with stamina's own records even where structlog is installed."""
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    set_on_retry_hooks([LoggingOnRetryHook])
    yield debug_log
    set_on_retry_hooks(None)


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Exclude existing objects from garbage collection, for tests that collect often."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
