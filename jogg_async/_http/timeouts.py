"""Timeout of every attempt, without the time for which other code blocked the event loop.

All attempts have the same timeout, so they expire in the order they began, and one timer serves all of them.
`asyncio.timeout` sets and cancels a timer for each attempt, which costs more than everything else it does.

The timer fires every `_TICK` seconds while an attempt is under way. If it fires late, other code blocked the loop. The
delay is blocked time, which counts towards no timeout. At most one tick of each blocked period is not noticed. Before
an attempt is cancelled, the loop runs `_GRACE_ITERATIONS` times more, so that a response in the socket is read first.
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
"""Seconds between two checks; an eighth of the timeout if that is less."""

_TIMER_SLACK: Final = 0.01
"""Seconds by which a timer may be late although no code blocked the loop. Timers are rounded up to a millisecond and
run after the other callbacks of their iteration."""

_GRACE_ITERATIONS: Final = 80
"""Iterations of the loop before an attempt is cancelled. aiohttp needs three iterations to read 256 KiB, so these read
all of the 6 MiB that Linux buffers for a connection by default."""


class SharedTimeout:
    """Timeouts with the meaning of `asyncio.timeout`, in the event loop that runs when this is made.

    Args:
        seconds: timeout of each attempt, above 0.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._tick = min(_TICK, seconds / 8)
        self._due: dict[TimeoutScope, float] = {}  # by `_running_time`
        self._watchers = 0
        self._blocked = 0.0
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf

    @property
    def blocked(self) -> float:
        """Seconds for which the loop was blocked while an attempt or a `watch` was under way."""
        self._update_blocked()
        return self._blocked

    def attempt(self) -> TimeoutScope:
        """Return a context for one attempt of the current task, which raises `TimeoutError` when it expires."""
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

    def start(self, scope: TimeoutScope) -> None:
        """Start the timeout of a scope, from zero."""
        self._due[scope] = self._running_time() + self._seconds
        self._ensure_timer()

    def stop(self, scope: TimeoutScope) -> None:
        """Stop the timeout of a scope."""
        self._due.pop(scope, None)

    def close(self) -> None:
        """Stop the timer, once no attempt is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_due = math.inf

    def _running_time(self) -> float:
        """Return the loop's time without the blocked time."""
        self._update_blocked()
        return self._loop.time() - self._blocked

    def _update_blocked(self) -> None:
        now = self._loop.time()
        late = now - self._timer_due
        if late > _TIMER_SLACK:
            self._blocked += late
            self._timer_due = now  # the timer may be yet to fire: do not count this delay twice

    def _ensure_timer(self) -> None:
        if self._timer is None:
            now = self._loop.time()
            first_due = next(iter(self._due.values()), math.inf) + self._blocked
            self._timer_due = max(now, min(now + self._tick, first_due))
            self._timer = self._loop.call_at(self._timer_due, self._check)

    def _check(self) -> None:
        running = self._running_time()
        if next(iter(self._due.values()), math.inf) <= running:
            self._expire_after(_GRACE_ITERATIONS, running)
        else:
            self._reset_timer()

    def _reset_timer(self) -> None:
        self._timer = None
        self._timer_due = math.inf
        if self._due or self._watchers:
            self._ensure_timer()

    def _expire_after(self, iterations: int, limit: float) -> None:
        """Run the loop `iterations` times, then cancel the attempts under way whose timeout ended by `limit`."""
        if iterations:
            self._update_blocked()
            self._timer_due = self._loop.time()
            self._timer = self._loop.call_soon(self._expire_after, iterations - 1, limit)
            return
        for scope in [each for each, _ in takewhile(lambda item: item[1] <= limit, self._due.items())]:
            del self._due[scope]
            scope.expire()
        self._reset_timer()


class TimeoutScope:
    """Timeout scope of one attempt: see `SharedTimeout.attempt`."""

    __slots__ = ("_cancelling", "_expired", "_task", "_timeouts")

    def __init__(self, timeouts: SharedTimeout, task: asyncio.Task[Any]) -> None:
        self._timeouts = timeouts
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False

    def pause(self) -> None:
        """Pause the timeout until `restart`."""
        self._timeouts.stop(self)

    def restart(self) -> None:
        """Start the timeout again, from zero."""
        self._timeouts.start(self)

    def expire(self) -> None:
        """Cancel the task because of the timeout."""
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
        # Undo our own cancel; if nobody else cancelled, raise TimeoutError.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
