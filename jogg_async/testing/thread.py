"""Runs a server in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["LoopThread"]


class LoopThread:
    """A thread whose event loop runs `start`, then serves until `stop` is called, then runs `close`.

    Args:
        start: Awaited in the new loop before the constructor returns; what it raises, the constructor raises.
        close: Awaited in the same loop by `stop`.
    """

    def __init__(self, start: Callable[[], Awaitable[object]], close: Callable[[], Awaitable[object]]) -> None:
        self._start = start
        self._close = close
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        # A daemon: a test run that dies half-way must not hang on it.
        self._thread = threading.Thread(target=self._run, name="FakeJogg", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._raise()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that waits)
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self._start()
        self._ready.set()
        await self._stopping.wait()
        await self._close()

    def stop(self) -> None:
        """Close and wait for the thread to end. What `close` raised is raised here."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
