"""Pytest plugin: the fixtures `fake_jogg`, `fake_jogg_env`, `jogg_session` and `fast_jogg_retries`.

pytest imports this module in every project where the package is installed. It therefore imports nothing but pytest
until a fixture is used, adds no option, and prints nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Iterator

    from jogg_async import JoggSession, RetryPolicy

    from ._fake import FakeJogg

__all__ = ["fake_jogg", "fake_jogg_env", "fast_jogg_retries", "jogg_session", "pytest_configure"]

_MARKER = "fake_jogg(**settings): arguments of FakeJogg for the fixture fake_jogg, such as tracks=10 or latency=0.05"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` accepts it."""
    config.addinivalue_line("markers", _MARKER)


def _settings(node: pytest.Item) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    # From the module to the test, so that a marker of the test itself takes precedence.
    for marker in reversed(list(node.iter_markers("fake_jogg"))):
        if marker.args:
            raise pytest.UsageError("@pytest.mark.fake_jogg takes keyword arguments, such as tracks=10")
        settings |= marker.kwargs
    return settings


@pytest.fixture
def fake_jogg(request: pytest.FixtureRequest) -> Iterator[FakeJogg]:
    """Start a `FakeJogg` for one test, in a thread of its own: for sync tests and any asyncio plugin.

    `@pytest.mark.fake_jogg(tracks=10, latency=0.05)` on a test, a class or a module sets its arguments.
    """
    from ._fake import FakeJogg  # noqa: PLC0415 (see the top)

    with FakeJogg(**_settings(request.node)) as fake:
        yield fake


@pytest.fixture
def fake_jogg_env(fake_jogg: FakeJogg, monkeypatch: pytest.MonkeyPatch) -> FakeJogg:
    """Return `fake_jogg`, with `JOGG_API_KEY` and `JOGG_BASE_URL` set to its key and address during the test.

    For code that makes its own `JoggSession()`, and for programs that a test starts.
    """
    monkeypatch.setenv("JOGG_API_KEY", fake_jogg.api_key)
    monkeypatch.setenv("JOGG_BASE_URL", fake_jogg.url)
    return fake_jogg


def _no_waits() -> RetryPolicy:
    from jogg_async import RetryPolicy  # noqa: PLC0415 (see the top)

    return RetryPolicy(wait_initial=0.0, wait_jitter=0.0)


@pytest.fixture
def fast_jogg_retries(monkeypatch: pytest.MonkeyPatch) -> RetryPolicy:
    """Make `JoggSession` retry without waits during the test, and return the policy that does so.

    It replaces the default of the argument `retry`, for code that makes its own `JoggSession()`: the number of attempts
    stays, `wait_initial` and `wait_jitter` are 0. A `retry` that the code passes is used instead. A wait that the
    service announces still takes its time: keep it short by `retry_after=0.01` in `RateLimit` or `Fault.business`.
    """
    from jogg_async import JoggSession  # noqa: PLC0415 (see the top)

    policy, init = _no_waits(), JoggSession.__init__
    monkeypatch.setattr(init, "__kwdefaults__", {**(init.__kwdefaults__ or {}), "retry": policy})
    return policy


@pytest.fixture
def jogg_session(fake_jogg: FakeJogg) -> Iterator[JoggSession]:
    """Make a `JoggSession` on `fake_jogg`, which retries without waits and is closed after the test.

    Use it with or without `async with`, in one event loop: in coroutine tests under pytest-asyncio or anyio, in
    `unittest.IsolatedAsyncioTestCase`, and in sync tests through `asyncio.run` or `asyncio.Runner`. The fixture cannot
    close it if a test closes an event loop of its own without `loop.shutdown_asyncgens()`: use `async with` there.
    """
    from jogg_async import JoggSession  # noqa: PLC0415 (see the top)

    closer = _Closer()
    closer.session = JoggSession(fake_jogg.api_key, base_url=fake_jogg.url, retry=_no_waits(), limiter=closer)
    yield closer.session
    closer.close()


class _Closer:
    """Close a session in the event loop that used it, before that loop ends or after the test.

    Passed as the session's `limiter`, it is entered in that loop before the first request. There it starts an
    asynchronous generator that closes the session when it is finalized. `asyncio.run`, `asyncio.Runner` and unittest
    finalize such generators (`loop.shutdown_asyncgens`) before they close their loop; the fixture's own teardown runs
    after that.
    """

    session: JoggSession
    _loop: asyncio.AbstractEventLoop | None = None
    _generator: AsyncGenerator[None, None]

    async def __aenter__(self) -> None:
        if self._loop is None:
            import asyncio  # noqa: PLC0415 (see the top)

            self._loop = asyncio.get_running_loop()
            self._generator = self._close_when_finalized()
            await anext(self._generator)

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _close_when_finalized(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.session.aclose()

    def close(self) -> None:
        """Close the session if its loop still exists: a loop of a plugin, or one that runs in another thread."""
        import asyncio  # noqa: PLC0415 (see the top)

        if self._loop is None or self._loop.is_closed():
            return
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._finalize(), self._loop).result(timeout=10)
        else:
            self._loop.run_until_complete(self._finalize())

    async def _finalize(self) -> None:
        await self._generator.aclose()
