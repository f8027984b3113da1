"""Standard output as bytes, written in threads so that the event loop is not blocked.

A slow reader (`| less`) must neither stop the requests in flight, which would time out, nor delay Ctrl-C. So each write
runs in a daemon thread. It writes to the file descriptor, not to `sys.stdout`: a blocked write would hold the lock of
`sys.stdout`, for which the interpreter waits when it exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Generator
from typing import Final, TextIO

from .failure import ExitCode
from .running import Ending

_LAST_WRITE_TIMEOUT: Final = 0.25
"""Seconds to wait for an unfinished write when the command is cancelled."""


class Outlet:
    """Standard output.

    Args:
        ending: ends the command when the reader closes the pipe.

    Raises:
        OSError: standard output is closed.
    """

    def __init__(self, ending: Ending) -> None:
        stdout: TextIO | None = sys.stdout
        if stdout is None:
            raise OSError("standard output is closed")
        self._descriptor = stdout.fileno()
        self._ending = ending

    def write(self, data: bytes) -> None:
        """Write all of `data`, and block until it is written.

        Raises:
            OSError: as for `os.write`; `BrokenPipeError` if the reader closed the pipe.
        """
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # another program made the pipe non-blocking
                select.select([], [self._descriptor], [])

    async def run_in_thread(self, job: Callable[[], None]) -> None:
        """Run a blocking job in a thread. If cancelled, wait for the job, but not longer than 0.25 seconds."""
        done = asyncio.get_running_loop().create_future()
        threading.Thread(target=_work, args=(job, done), daemon=True).start()
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait((done,), timeout=_LAST_WRITE_TIMEOUT)
            self._ending.writing_hangs = not done.done()
            if done.done():
                done.exception()  # or asyncio would log it as never retrieved
            raise

    @contextlib.contextmanager
    def watched(self) -> Generator[None]:
        """End the command as soon as the reader closes the pipe, even while nothing is written."""
        loop, descriptor = asyncio.get_running_loop(), self._descriptor

        def notice() -> None:
            loop.remove_reader(descriptor)
            self._ending.end(ExitCode.OK)

        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            yield
            return
        with contextlib.suppress(NotImplementedError, OSError):  # on Windows, or for a descriptor that cannot be polled
            loop.add_reader(descriptor, notice)
        try:
            yield
        finally:
            with contextlib.suppress(NotImplementedError):
                loop.remove_reader(descriptor)


def _work(job: Callable[[], None], done: asyncio.Future[None]) -> None:
    try:
        job()
        outcome = None
    except BaseException as error:  # noqa: BLE001 (raised again by the waiting task)
        outcome = error
    with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits
        done.get_loop().call_soon_threadsafe(_settle, done, outcome)


def _settle(done: asyncio.Future[None], outcome: BaseException | None) -> None:
    if done.cancelled():
        return
    if outcome is None:
        done.set_result(None)
    else:
        done.set_exception(outcome)
