"""Whose turn it is: requests in flight over the whole session, fair between lanes, and the pause after a rate limit.

A lane is one customer of the gate: a pager, or a single page. Lanes take turns, one request each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ._pace import Pace


def _nothing() -> None:
    return


class Lane:
    """One customer of the gate, with its queue there.

    Args:
        limit: requests of this lane in flight at once, 1 or more.
    """

    __slots__ = ("_waiting", "in_flight", "limit", "on_parked", "parked", "queued")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.parked = 0
        """Requests that wait to be sent again: they need no turn meanwhile, and others may go in their place."""
        self.on_parked: Callable[[], None] = _nothing
        """Called when a request parks."""
        self.queued = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def width(self) -> int:
        """How many requests of this lane are worth having under way, those that wait to be sent again included."""
        return self.limit + self.parked

    def park(self) -> None:
        """A request waits to be sent again."""
        self.parked += 1
        self.on_parked()

    def unpark(self) -> None:
        """It waits no longer."""
        self.parked -= 1

    def push(self, waiter: asyncio.Future[None]) -> None:
        """Queue up."""
        self._waiting.append(waiter)

    def pop(self) -> asyncio.Future[None]:
        """The first in the queue; `ready` says that there is one."""
        return self._waiting.popleft()

    def ready(self) -> bool:
        """Whether a request waits here and may go as far as this lane is concerned."""
        waiting = self._waiting
        while waiting and waiting[0].done():  # cancelled while it waited
            waiting.popleft()
        return bool(waiting) and self.in_flight < self.limit


class Turn:
    """The right to have one request in flight; `Gate.done` ends it."""

    __slots__ = ("lane", "sent_at")

    def __init__(self, lane: Lane, sent_at: float) -> None:
        self.lane = lane
        self.sent_at = sent_at


class Gate:
    """Lets requests through.

    Args:
        concurrency: requests in flight at once, 1 or more.
    """

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._now: Callable[[], float] = self._loop.time
        self._pace = Pace(self._now(), concurrency)
        self._refused_at = float("-inf")
        self._in_flight = 0
        self._lanes: deque[Lane] = deque()
        self._dispatching: asyncio.Handle | None = None
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        """Time at which the timer fires: uvloop's handle does not tell it where the delay rounds to nothing."""

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait."""
        return self._pace.paused(self._now())

    def turn_at_once(self, lane: Lane) -> Turn | None:
        """A turn, where one is free and nobody waits for it."""
        if self._lanes or self._pace.delay(now := self._now()) > 0 or not self._free(lane):
            return None
        self._take(lane, now)
        return Turn(lane, now)

    async def turn(self, lane: Lane) -> Turn:
        """Wait for a turn. Cancelling gives it up."""
        if turn := self.turn_at_once(lane):
            return turn
        while True:
            await self._queue(lane)
            if not self._pace.paused(now := self._now()):
                return Turn(lane, now)
            self._leave(lane)  # a pause began between the grant and now

    async def _queue(self, lane: Lane) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        lane.push(waiter)
        self._enlist(lane)
        if self._dispatching is None:
            self._dispatch()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._leave(lane)
            raise

    def done(self, turn: Turn) -> None:
        """The request of this turn is over, however it ended."""
        self._leave(turn.lane)

    def accepted(self) -> None:
        """The service took a request: raise what a refusal lowered."""
        self._pace.accepted(self._now())

    def refused(self, turn: Turn, wait: float) -> None:
        """The service refused a request of this session: pause all of them for `wait` seconds, and go on slower."""
        now = self._now()
        first = turn.sent_at > self._refused_at
        if first:
            self._refused_at = now
        self._pace.refused(now, wait, first=first)

    def close(self) -> None:
        """Stop the clockwork; nobody waits here any more."""
        for handle in (self._dispatching, self._timer):
            if handle is not None:
                handle.cancel()
        self._lanes.clear()

    def _free(self, lane: Lane) -> bool:
        return lane.in_flight < lane.limit and self._in_flight < int(self._pace.in_flight)

    def _take(self, lane: Lane, now: float) -> None:
        self._pace.sent(now)
        lane.in_flight += 1
        self._in_flight += 1

    def _leave(self, lane: Lane) -> None:
        lane.in_flight -= 1
        self._in_flight -= 1
        self._enlist(lane)
        self._dispatch_soon()

    def _enlist(self, lane: Lane) -> None:
        if not lane.queued and lane.ready():
            lane.queued = True
            self._lanes.append(lane)

    def _dispatch_soon(self) -> None:
        # Not at once: answers that came together are then all seen before the next request goes out, so that a
        # refusal among them still holds it back.
        if self._dispatching is None and self._lanes:
            self._dispatching = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = None
        while self._lanes and self._in_flight < int(self._pace.in_flight):
            lane = self._lanes[0]
            if not lane.ready():
                self._lanes.popleft()
                lane.queued = False
                continue
            now = self._now()
            delay = self._pace.delay(now)
            if delay > 0:
                self._wake_at(now + delay)
                return
            self._grant(lane, now)

    def _grant(self, lane: Lane, now: float) -> None:
        self._lanes.popleft()
        lane.queued = False
        self._take(lane, now)
        lane.pop().set_result(None)
        self._enlist(lane)  # behind the other lanes

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._due <= when:
                return
            self._timer.cancel()
        self._timer, self._due = self._loop.call_at(when, self._tick), when

    def _tick(self) -> None:
        self._timer = None  # first: it may fire early, by what the clock is coarse
        self._dispatch()
