"""Runs a command's coroutine, and ends it early after a signal or when standard output is closed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import warnings
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any, Final

from jogg_async.errors import CatalogueChangedWarning

from .failure import ExitCode
from .terminal import Screen

_GRACE: Final = 1.0
"""Seconds until a process that was told to end exits, even if a write to the terminal is still blocked."""


INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""


class Ending:
    """Ends the running command early.

    Args:
        after_signal: the exit code after a signal; `None` for 128 plus the signal's number.
    """

    def __init__(self, after_signal: int | None = None) -> None:
        self.code: int | None = None
        """The exit code, once `end` was called."""
        self.writing_hangs = False
        """True if a write to standard output did not finish."""
        self._after_signal = after_signal
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._deadline: threading.Timer | None = None

    def end(self, code: int) -> None:
        """Cancel the command; the process exits with `code`."""
        if self.code is None and self._task is not None:
            self.code = code
            self._deadline = threading.Timer(_GRACE, os._exit, (code,))
            self._deadline.daemon = True
            self._deadline.start()
            self._task.cancel()

    @contextlib.contextmanager
    def on_signals(self) -> Generator[None]:
        """Install handlers that end the command on SIGINT (Ctrl-C) and SIGTERM, and restore the previous ones."""
        before = {number: signal.signal(number, self._signalled) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._deadline is not None:
                self._deadline.cancel()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        # A signal handler may run between any two instructions: leave the rest to the event loop.
        code = 128 + number if self._after_signal is None else self._after_signal
        self._loop.call_soon_threadsafe(self.end, code)


def run(work: Callable[[Ending], Coroutine[Any, Any, None]], *, after_signal: int | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        work: the command.
        after_signal: as for `Ending`.
    """
    with _warnings_as_lines():
        return asyncio.run(_until_ended(work, after_signal))


async def _until_ended(work: Callable[[Ending], Coroutine[Any, Any, None]], after_signal: int | None) -> int:
    ending = Ending(after_signal)
    with ending.on_signals():
        try:
            await work(ending)
        except asyncio.CancelledError:
            if ending.code is None:
                raise
            if ending.writing_hangs:  # the blocked thread may hold a lock for which the interpreter waits at exit
                os._exit(ending.code)
            return ending.code
    return ExitCode.OK if ending.code is None else ending.code


@contextlib.contextmanager
def _warnings_as_lines() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", CatalogueChangedWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, CatalogueChangedWarning):
                Screen.of_process().warn(f"{message}; --on-drift recrawl looks for missing tracks.")
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        yield
