"""The time-out of every attempt. All last equally long, so they end in the order they began, and one timer serves all.

`asyncio.timeout` sets and cancels a timer for each attempt, which costs more than the rest of what it does.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadlines:
    """Ends what takes too long, as `asyncio.timeout` does, in the loop that runs when it is made.

    Args:
        seconds: how long each attempt may take, above 0.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._due: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def attempt(self) -> Attempt:
        """A context for what may take so long, one at a time in each task; it raises `TimeoutError` after that."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("an attempt needs a task to run in")
        return Attempt(self, task)

    def begin(self, task: asyncio.Task[Any]) -> None:
        """Cancel `task` after the time given, unless it ends before."""
        self._due[task] = due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._sweep)

    def end(self, task: asyncio.Task[Any]) -> bool:
        """Whether `task` kept its time."""
        return self._due.pop(task, None) is not None

    def close(self) -> None:
        """Stop the clockwork; nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, due in tuple(self._due.items()):
            if due > now:
                self._timer = self._loop.call_at(due, self._sweep)
                return
            del self._due[task]
            task.cancel()


class Attempt:
    """One attempt: see `Deadlines.attempt`."""

    __slots__ = ("_cancelling", "_deadlines", "_task")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[Any]) -> None:
        self._deadlines = deadlines
        self._task = task
        self._cancelling = task.cancelling()

    def __enter__(self) -> None:
        self._deadlines.begin(self._task)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._deadlines.end(self._task):
            return
        # Ours is one cancellation too many; where it is the only one, the time-out is what happened.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
