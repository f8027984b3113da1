"""A bounded window of numbered jobs, fetched ahead of whoever takes their results. Knows no HTTP and no tracks.

Each job is a task of its own. The window is filled again the moment a result arrives, not when it is taken, so that a
slow job stalls neither the others nor the consumer of what is in. Two numbers bound it: `ahead`, how far beyond the
lowest result not taken, and `budget`, how many results in all may be outstanding. A third, `width`, is how many jobs
are worth running at once.

Tasks and their callbacks hold the window, never its consumer: so the consumer's finalizer can run, and close it.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from .errors import JoggError

T = TypeVar("T")


class Prefetch(Generic[T]):
    """The window, in the loop that runs when it is made.

    Args:
        job: makes the coroutine that fetches a number.
        arrived: called with each result the moment it arrives; may move `budget` and call `move_last`.
        width: says how many jobs may run at once, just then.
        ahead: how many numbers from the lowest one not taken may be under way or held, 1 or more.
        ordered: results are taken by number; else as they arrive.
    """

    def __init__(
        self,
        job: Callable[[int], Coroutine[Any, Any, T]],
        arrived: Callable[[int, T], None],
        width: Callable[[], int],
        *,
        ahead: int,
        ordered: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._job = job
        self._arrived = arrived
        self._width = width
        self._ahead = ahead
        self._ordered = ordered
        self._tasks: set[asyncio.Task[T]] = set()
        self._running: dict[int, asyncio.Task[T]] = {}
        self._results: dict[int, T] = {}
        self._errors: dict[int, BaseException] = {}
        self._raised: int | None = None
        self._taken: set[int] = set()
        self._news: asyncio.Future[None] | None = None
        self._closed = False
        self.budget: float = math.inf
        """How many results may be under way or held at once, 1 or more."""
        self.start(1, 0)

    def start(self, first: int, last: float) -> None:
        """Begin at `first`, once all results of an earlier pass are taken."""
        self.lowest = self._next = first
        self.last = last
        self._taken.clear()

    def fill(self) -> None:
        """Start as many jobs as the bounds allow; none while a failed one stands."""
        if self._closed or self._errors or self._raised is not None:
            return
        end = min(self.lowest + self._ahead - 1, self.last)
        width = self._width()
        while self._next <= end and self._has_room(width):
            number = self._next
            self._next += 1
            if number not in self._running and number not in self._results and number not in self._taken:
                self._start(number)

    def move_last(self, last: float, *, discard: bool = False) -> None:
        """Set the highest number wanted. Jobs beyond it are cancelled; results beyond it stay, unless discarded."""
        if last == self.last and not discard:
            return
        self.last = last
        for number in [number for number in self._running if number > last]:
            self._running.pop(number).cancel()
        for stale in (self._errors, self._results) if discard else (self._errors,):
            for number in [number for number in stale if number > last]:
                del stale[number]
        if last < self._next:
            self._next = max(int(last) + 1, self.lowest)
        self._wake()

    async def take(self) -> tuple[int, T] | None:
        """The next result with its number, or `None` where all are taken. Cancelling a call loses nothing.

        The room that a result leaves is not filled before the next call, or `fill`: the bounds may depend on it.

        Raises:
            Exception: what the job raised, once every result below it is taken. The next call tries that job again.
        """
        while True:
            if (held := self.take_held()) is not None:
                return held
            if self.lowest in self._errors:
                self._raised = self.lowest
                raise self._errors.pop(self.lowest)
            if not (self._running or self._results):
                return None
            self._news = self._loop.create_future()
            await self._news

    def take_held(self) -> tuple[int, T] | None:
        """What `take` returns, where it would not wait for it."""
        self._try_again()
        self.fill()
        number = self._takable()
        return None if number is None else (number, self._take(number))

    def close(self) -> None:
        """Cancel every job, drop every result, and wake who waits."""
        self._closed = True
        for task in tuple(self._running.values()):  # each once: the next time it may be leaving the caller's limiter
            task.cancel()
        self._running.clear()
        self._results.clear()
        self._errors.clear()
        self._wake()

    async def aclose(self) -> None:
        """Close, and wait until no task of the window is left."""
        self.close()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _has_room(self, width: int) -> bool:
        running = len(self._running)
        return not self._closed and running < width and running + len(self._results) < self.budget

    def _start(self, number: int) -> None:
        task = self._loop.create_task(self._job(number))
        self._running[number] = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._finished, number))
        if self._closed:  # by a finalizer, which may run wherever memory is taken
            task.cancel()

    def _finished(self, number: int, task: asyncio.Task[T]) -> None:
        # In a callback, not in the task: a task that is cancelled before its first step never runs any of its code.
        self._tasks.discard(task)
        error = _error_of(task)
        if self._running.get(number) is not task:
            return  # nobody wants it any more
        del self._running[number]
        if error is None:
            self._results[number] = result = task.result()
            self._arrived(number, result)
            self.fill()
        else:
            self._errors[number] = error
        self._wake()

    def _takable(self) -> int | None:
        results = self._results
        if not results:
            return None
        if not self._ordered:
            return next(iter(results))
        if self.lowest in results:
            return self.lowest
        return min(results) if self.lowest > self.last else None

    def _take(self, number: int) -> T:
        result = self._results.pop(number)
        self._taken.add(number)
        while self.lowest in self._taken:
            self._taken.remove(self.lowest)
            self.lowest += 1
        return result

    def _try_again(self) -> None:
        if self._raised is None or self._closed:
            return
        number, self._raised = self._raised, None
        if number <= self.last:
            self._start(number)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    try:
        return task.exception()
    except asyncio.CancelledError as cancelled:  # by others; the cause tells of the request, where it had begun
        return cancelled.__cause__ or JoggError("the request was cancelled by something other than its pager")
