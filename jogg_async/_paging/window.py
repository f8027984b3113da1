"""Sliding window of page requests, sent before the consumer needs them. Independent of HTTP and of tracks.

A page number goes from *not started* to *running* (a task) to *buffered* (a result) or *failed* (an error) to *taken*.

Invariants:

- Every number below `lowest` is taken, and `lowest` is not.
- Only numbers from `lowest` to ``min(last, lowest + ahead - 1)`` start. Each runs once, unless it failed or `set_last`
  cancelled it.
- At most ``width`` tasks run, and one more for each running request that ``replaceable`` counts.
- At most `max_outstanding` numbers are running or buffered. `lowest` may always start, to avoid a deadlock.
- Nothing starts while a number has failed, until `get` has raised the error and is called again.

The window is filled when a result arrives, not when it is taken, so that a slow page stalls neither the others nor the
consumer of the pages before it. Tasks and callbacks refer to the window, never to its consumer, whose finalizer closes
the window.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from jogg_async.errors import JoggError

T = TypeVar("T")


class Window(Generic[T]):
    """Sliding window, in the event loop that runs when it is made.

    Args:
        fetch: returns the coroutine that fetches a page number.
        on_result: called with each result when it arrives. It may set `max_outstanding` and call `set_last`. Its
            exception becomes the error of the page.
        width: number of tasks to run at once, 1 or more.
        replaceable: returns the number of running requests in backoff in whose place others may run.
        ahead: number of pages from `lowest` on that may be running or buffered, 1 or more.
        ordered: `get` returns results by number; else as they arrive.
    """

    def __init__(
        self,
        fetch: Callable[[int], Coroutine[Any, Any, T]],
        on_result: Callable[[int, T], None],
        *,
        width: int,
        replaceable: Callable[[], int],
        ahead: int,
        ordered: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fetch = fetch
        self._on_result = on_result
        self._width = width
        self._replaceable = replaceable
        self._ahead = ahead
        self._ordered = ordered
        self._tasks: set[asyncio.Task[T]] = set()
        self._running: dict[int, asyncio.Task[T]] = {}
        self._buffered: dict[int, T] = {}
        self._failed: dict[int, BaseException] = {}
        self._raised: int | None = None
        self._taken: set[int] = set()
        self._filling = False
        self._wakeup: asyncio.Future[None] | None = None
        self._closed = False
        self.max_outstanding: float = math.inf
        self.start(1, 0)

    def start(self, first: int, last: float) -> None:
        """Begin a pass over the numbers from `first` to `last`. Every result of the previous pass must be taken."""
        self.lowest = self._next = first
        self.last = last
        self._taken.clear()

    def fill(self) -> None:
        """Start as many tasks as the bounds allow."""
        if self._filling:  # an eager task that fails at once leads here within the loop below
            return
        self._filling = True
        try:
            while not (self._closed or self._failed or self._raised is not None) and (number := self._startable()):
                self._next = number + 1
                self._start(number)
        finally:
            self._filling = False

    def set_last(self, last: float, *, discard: bool = False) -> None:
        """Set the last number. Cancel the tasks beyond it; keep the results beyond it unless `discard`."""
        if last == self.last and not discard:
            return
        self.last = last
        for number in [number for number in self._running if number > last]:
            self._running.pop(number).cancel()
        for beyond in (self._failed, self._buffered) if discard else (self._failed,):
            for number in [number for number in beyond if number > last]:
                del beyond[number]
        if last < self._next:
            self._next = int(last) + 1
        self._wake()

    async def get(self) -> tuple[int, T] | None:
        """Return the next number and its result, or `None` at the end. Cancelling the call loses no result.

        The window is filled again only by the next call or by `fill`, because the bounds may depend on this result.

        Raises:
            Exception: the error of the next number, once every result before it is taken. The next call fetches
                that number again.
        """
        while True:
            if (result := self.get_nowait()) is not None:
                return result
            if self._failed and (self.lowest in self._failed or not self._running):
                self._raised = min(self._failed)
                raise self._failed.pop(self._raised)
            if not self._running:  # else `lowest` runs: a result is buffered only beyond it
                return None
            self._wakeup = self._loop.create_future()
            await self._wakeup

    def get_nowait(self) -> tuple[int, T] | None:
        """Return the next number and its result if one is buffered, else `None`."""
        self._retry_raised()
        self.fill()
        number = self._next_to_take()
        return None if number is None else (number, self._take(number))

    def close(self) -> None:
        """Cancel every task, drop every result, and wake the waiting consumer."""
        self._closed = True
        for task in tuple(self._running.values()):  # once each: a second cancel may hit the user's limiter
            task.cancel()
        self._running.clear()
        self._buffered.clear()
        self._failed.clear()
        self._wake()

    async def aclose(self) -> None:
        """Close, and wait until no task of the window is left."""
        self.close()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    @property
    def is_drained(self) -> bool:
        """True if every number up to `last` is taken, and no result beyond it is buffered."""
        return self.lowest > self.last and not self._buffered

    def _startable(self) -> int | None:
        """Return the next number that the bounds allow to start; `None` for none."""
        running = len(self._running)
        if running >= self._width + self._replaceable():
            return None
        number = max(self._next, self.lowest)
        while number in self._running or number in self._buffered or number in self._taken:
            number += 1
        if number > min(self.lowest + self._ahead - 1, self.last):
            return None
        return number if number == self.lowest or running + len(self._buffered) < self.max_outstanding else None

    def _start(self, number: int) -> None:
        task = self._loop.create_task(self._fetch(number))
        self._running[number] = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._finished, number))
        if self._closed:  # by the consumer's finalizer, which may have run within `create_task`
            task.cancel()

    def _finished(self, number: int, task: asyncio.Task[T]) -> None:
        # This is a done callback because a task that is cancelled before its first step never runs its `finally`.
        self._tasks.discard(task)
        error = _error_of(number, task)
        if self._running.get(number) is not task:
            return  # the window cancelled the task
        del self._running[number]
        if error is None:
            error = self._receive(number, task.result())
        if error is not None:
            self._failed[number] = error
        self.fill()
        self._wake()

    def _receive(self, number: int, result: T) -> Exception | None:
        self._buffered[number] = result
        try:
            self._on_result(number, result)
        except Exception as error:  # noqa: BLE001 - raised by `get`; an exception in a callback would only be logged
            self._buffered.pop(number, None)
            return error
        return None

    def _next_to_take(self) -> int | None:
        if not self._buffered:
            return None
        if not self._ordered:
            return next(iter(self._buffered))
        if self.lowest in self._buffered:
            return self.lowest
        return min(self._buffered) if self.lowest > self.last else None

    def _take(self, number: int) -> T:
        result = self._buffered.pop(number)
        self._taken.add(number)
        while self.lowest in self._taken:
            self._taken.remove(self.lowest)
            self.lowest += 1
        return result

    def _retry_raised(self) -> None:
        if self._raised is None or self._closed:
            return
        number, self._raised = self._raised, None
        if number <= self.last:
            self._start(number)

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


def _error_of(number: int, task: asyncio.Task[Any]) -> BaseException | None:
    try:
        return task.exception()
    except asyncio.CancelledError as cancelled:
        # If the request was sent, its fetcher has set a cause that describes it.
        error = cancelled.__cause__ or JoggError("the request was cancelled from outside")
        if isinstance(error, JoggError):
            error.page = number
        return error
