"""One thread for everything that blocks: SQLite wants all calls in one thread, and the event loop must not wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class Worker:
    """Thread that runs jobs one after the other.

    Attributes:
        stopped: set when the waiting task is cancelled; long jobs look at it and stop.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="jogg-save")

    def start(self, job: Callable[[], _T]) -> asyncio.Future[_T]:
        """Start a job after those before it."""
        return asyncio.get_running_loop().run_in_executor(self._executor, job)

    async def run(self, job: Callable[[], _T]) -> _T:
        """Run a job. If cancelled, ask it to stop, and wait for its end."""
        return await self.join(self.start(job))

    async def join(self, running: asyncio.Future[_T]) -> _T:
        """Wait for a job. If cancelled, ask it to stop, and wait for its end."""
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stopped.set()
            await asyncio.wait((running,))
            running.exception()  # retrieved: the cancellation counts
            raise

    def close(self) -> None:
        """End the thread after its last job."""
        self._executor.shutdown(wait=False)
