"""Timeout of every attempt, and the time for which other code held the event loop.

All attempts last equally long, so they expire in the order they began, and one timer serves all of them.
`asyncio.timeout` sets and cancels a timer for each attempt, which costs more than the rest of what it does.

The timer fires every `_TICK` seconds while an attempt is under way. Where it fires late, other code held the loop: the
delay is blocked time, which counts for no attempt. Of each blocked period at most one tick is not noticed. Before an
attempt is cancelled, the loop runs `_TURNS` times more, so that a response that lies in the socket is read first.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager
from itertools import takewhile
from types import TracebackType
from typing import Any, Final, Self

_TICK: Final = 0.05
"""Seconds between two looks at the clock; an eighth of the timeout where that is less."""

_NOISE: Final = 0.01
"""Seconds by which a timer is late without anybody blocking the loop: it is rounded up to a millisecond, and runs
after the callbacks of its turn."""

_TURNS: Final = 80
"""Turns of the loop before an attempt is cancelled. A turn reads up to 256 KiB, and aiohttp needs three for that, so
these read all of the 6 MiB that Linux keeps for a connection by default."""


class SharedTimeout:
    """Timeouts with the meaning of `asyncio.timeout`, for the event loop that runs when it is made.

    Args:
        seconds: time for each attempt, above 0.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._tick = min(_TICK, seconds / 8)
        self._due: dict[TimeoutScope, float] = {}  # in running time: the loop's time without the blocked time
        self._watchers = 0
        self._blocked = 0.0
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf

    @property
    def blocked(self) -> float:
        """Seconds for which the loop was blocked, as far as an attempt or a `watch` was under way."""
        self._running_time()
        return self._blocked

    def attempt(self) -> TimeoutScope:
        """Return a context for one attempt of the current task; it raises `TimeoutError` when the time is over."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("an attempt needs a task to run in")
        return TimeoutScope(self, task)

    @contextmanager
    def watch(self) -> Generator[None, None, None]:
        """Measure blocked time in this context, whether or not an attempt is under way."""
        self._watchers += 1
        self._ensure_timer()
        try:
            yield
        finally:
            self._watchers -= 1

    def start(self, attempt: TimeoutScope) -> None:
        """Cancel the attempt's task when the time is over."""
        self._due[attempt] = self._running_time() + self._seconds
        self._ensure_timer()

    def stop(self, attempt: TimeoutScope) -> None:
        """Cancel it no more."""
        self._due.pop(attempt, None)

    def close(self) -> None:
        """Stop the timer. Nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = math.inf

    def _running_time(self) -> float:
        now = self._loop.time()
        late = now - self._timer_due
        if late > _NOISE:
            self._blocked += late
            self._timer_due = now  # counted up to here, should the timer still have to fire
        return now - self._blocked

    def _ensure_timer(self) -> None:
        if self._timer is None:
            now = self._loop.time()
            first_due = next(iter(self._due.values()), math.inf) + self._blocked
            self._timer_due = max(now, min(now + self._tick, first_due))
            self._timer = self._loop.call_at(self._timer_due, self._check)

    def _check(self) -> None:
        running = self._running_time()
        if next(iter(self._due.values()), math.inf) <= running:
            self._expire_after(_TURNS, running)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._due or self._watchers:
            self._ensure_timer()

    def _expire_after(self, turns: int, limit: float) -> None:
        """Cancel what was due by `limit` and still is, when the loop has run so often."""
        if turns:
            self._running_time()  # a turn may block, too
            self._timer_due = self._loop.time()
            self._timer = self._loop.call_soon(self._expire_after, turns - 1, limit)
            return
        for attempt in [each for each, _ in takewhile(lambda item: item[1] <= limit, self._due.items())]:
            del self._due[attempt]
            attempt.expire()
        self._go_on()


class TimeoutScope:
    """Timeout scope of one attempt: see `SharedTimeout.attempt`."""

    __slots__ = ("_cancelling", "_expired", "_task", "_timeouts")

    def __init__(self, timeouts: SharedTimeout, task: asyncio.Task[Any]) -> None:
        self._timeouts = timeouts
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False

    def pause(self) -> None:
        """Stop the clock."""
        self._timeouts.stop(self)

    def restart(self) -> None:
        """Start the clock anew, with the whole time."""
        self._timeouts.start(self)

    def expire(self) -> None:
        """Cancel the task: its time is over."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._timeouts.start(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timeouts.stop(self)
        if not self._expired:
            return
        # Undo our own cancel; if nobody else cancelled, the timeout is what happened.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
