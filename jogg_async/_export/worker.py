"""Thread for the blocking calls of a save: SQLite needs all calls of a connection in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


class Worker:
    """Thread that runs jobs one after the other.

    Attributes:
        stopped: set when the task that waits for a job is cancelled; long jobs check it and stop.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="jogg-save")

    def start(self, job: Callable[[], _T]) -> asyncio.Future[_T]:
        """Queue a job, and return its future."""
        return asyncio.get_running_loop().run_in_executor(self._executor, job)

    async def run(self, job: Callable[[], _T]) -> _T:
        """Run a job and return its result. If cancelled, set `stopped` and wait for the job to end."""
        return await self.join(self.start(job))

    async def join(self, running: asyncio.Future[_T]) -> _T:
        """Return the result of a job. If cancelled, even repeatedly, set `stopped` and wait for the job to end."""
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stopped.set()
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((running,))
            running.exception()  # or asyncio would log it as never retrieved
            raise

    def close(self) -> None:
        """End the thread after the queued jobs. Does not wait."""
        self._executor.shutdown(wait=False)
