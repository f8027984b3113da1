"""Throttle of a session: slots for the requests in flight, fair between queues, and the pause after a rate limit.

Each pager, and each single page, has a queue of its own. The queues are served in rotation, one request each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from jogg_async._requests.adaptive_rate import AdaptiveRate

QUEUE_LEAD: Final = 0.005
"""Seconds before the end of a pause at which refused requests join their queues, ahead of new ones."""


def _nothing() -> None:
    return


class RequestQueue:
    """Requests of one pager, or of a single page, that wait for a slot. Retries are served first.

    Args:
        limit: requests of this queue in flight at once, 1 or more.
    """

    __slots__ = (
        "_failures_in_a_row",
        "_has_succeeded",
        "_retries",
        "_waiting",
        "in_backoff",
        "in_flight",
        "is_listed",
        "limit",
        "on_backoff",
    )

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.in_backoff = 0
        """Requests that wait to be sent again. They hold no slot."""
        self.on_backoff: Callable[[], None] = _nothing
        """Called when a request enters backoff."""
        self.is_listed = False
        """True while the throttle has this queue in its rotation."""
        self._retries: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._failures_in_a_row = 0
        self._has_succeeded = False

    @property
    def is_healthy(self) -> bool:
        """True if a request has succeeded and the last attempts do not look like an outage."""
        return self._has_succeeded and not self.is_failing

    @property
    def is_failing(self) -> bool:
        """True if so many attempts in a row have failed that it looks like an outage."""
        return self._failures_in_a_row >= max(self.limit, 2)

    @property
    def replaceable(self) -> int:
        """Requests in backoff in whose place others may be sent. None in an outage: the others would fail, too."""
        return 0 if self.is_failing else self.in_backoff

    def on_success(self) -> None:
        """Count a request that succeeded."""
        self._failures_in_a_row = 0
        self._has_succeeded = True

    def enter_backoff(self) -> None:
        """Count a request whose attempt failed and that waits to be sent again."""
        self._failures_in_a_row += 1
        self.in_backoff += 1
        self.on_backoff()

    def leave_backoff(self) -> None:
        """Count a request that waits no longer."""
        self.in_backoff -= 1

    def push(self, waiter: asyncio.Future[None], *, retry: bool) -> None:
        """Append a waiting request. Under a slow rate limit, new requests would else take every turn of a retry."""
        (self._retries if retry else self._waiting).append(waiter)

    def pop(self) -> asyncio.Future[None]:
        """Remove and return the first waiting request. There must be one."""
        return (self._retries or self._waiting).popleft()

    def discard_cancelled(self) -> None:
        """Remove the requests at the front that were cancelled while they waited."""
        for waiting in (self._retries, self._waiting):
            while waiting and waiting[0].done():
                waiting.popleft()

    @property
    def is_ready(self) -> bool:
        """True if a request waits and the queue's own limit allows to send it."""
        return bool(self._retries or self._waiting) and self.in_flight < self.limit


class Slot:
    """Permission to have one request in flight, until `Throttle.release`.

    Attributes:
        queue: queue of the request.
        sent_at: the loop's time when the slot was acquired.
    """

    __slots__ = ("queue", "sent_at")

    def __init__(self, queue: RequestQueue, sent_at: float) -> None:
        self.queue = queue
        self.sent_at = sent_at


class Throttle:
    """Slots for the requests of one session, in the event loop that runs when it is made.

    Args:
        concurrency: requests in flight at once, 1 or more.
    """

    def __init__(self, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._now: Callable[[], float] = self._loop.time
        self._rate = AdaptiveRate(self._now(), concurrency)
        self._rate_limited_at = float("-inf")
        self._in_flight = 0
        self._rotation: deque[RequestQueue] = deque()
        self._dispatching: asyncio.Handle | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0
        """Time at which the timer fires. uvloop's handle does not have it if the delay rounds to zero."""

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait."""
        return self._rate.paused(self._now())

    def time_in_backoff(self, wait: float) -> float:
        """Return the seconds after which a request that must wait for `wait` seconds may ask for a slot.

        If the session is paused for as long, it is earlier: the request then has its slot when the pause ends.
        """
        return max(0.0, wait - QUEUE_LEAD) if wait < self.paused + QUEUE_LEAD else wait

    def try_acquire(self, queue: RequestQueue) -> Slot | None:
        """Return a slot, or `None` if none is free or other requests wait for one."""
        if self._rotation or self._rate.delay(now := self._now()) > 0 or not self._has_slot(queue):
            return None
        self._occupy(queue, now)
        return Slot(queue, now)

    async def acquire(self, queue: RequestQueue, *, retry: bool = False) -> Slot:
        """Wait for a slot. A cancelled call holds none."""
        if slot := self.try_acquire(queue):
            return slot
        while True:
            await self._wait(queue, retry=retry)
            if not self._rate.paused(now := self._now()):
                return Slot(queue, now)
            self._vacate(queue)  # a pause began after the slot was granted

    def release(self, slot: Slot) -> None:
        """Give a slot back once its request is over."""
        self._vacate(slot.queue)

    def on_success(self) -> None:
        """Count a response that is no rate limit."""
        self._rate.accepted(self._now())

    def on_rate_limited(self, slot: Slot, wait: float) -> None:
        """Pause every request for `wait` seconds, and learn from the refusal of this one."""
        now = self._now()
        first = slot.sent_at > self._rate_limited_at
        if first:
            self._rate_limited_at = now
        self._rate.refused(now, wait, sent_at=slot.sent_at, first=first)

    def close(self) -> None:
        """Cancel the timers. Called once every request of the session is cancelled or over."""
        for handle in (self._dispatching, self._timer):
            if handle is not None:
                handle.cancel()
        self._rotation.clear()

    async def _wait(self, queue: RequestQueue, *, retry: bool) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        queue.push(waiter, retry=retry)
        self._list(queue, first=retry)
        if self._dispatching is None:
            self._dispatch()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._vacate(queue)
            raise

    def _has_slot(self, queue: RequestQueue) -> bool:
        return queue.in_flight < queue.limit and self._in_flight < int(self._rate.in_flight)

    def _occupy(self, queue: RequestQueue, now: float) -> None:
        self._rate.sent(now)
        queue.in_flight += 1
        self._in_flight += 1

    def _vacate(self, queue: RequestQueue) -> None:
        queue.in_flight -= 1
        self._in_flight -= 1
        self._list(queue)
        self._dispatch_soon()

    def _list(self, queue: RequestQueue, *, first: bool = False) -> None:
        """Append a queue to the rotation, or prepend it, if one of its requests may be sent."""
        queue.discard_cancelled()
        if not queue.is_ready:
            return
        if first:
            if queue.is_listed:
                self._rotation.remove(queue)
            self._rotation.appendleft(queue)
        elif not queue.is_listed:
            self._rotation.append(queue)
        queue.is_listed = True

    def _dispatch_soon(self) -> None:
        # In the loop's next iteration: responses that arrive together are all processed before another request is sent,
        # so that a rate limit among them holds it back.
        if self._dispatching is None and self._rotation:
            self._dispatching = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Grant slots, as many as there are."""
        self._dispatching = None
        while self._rotation and self._in_flight < int(self._rate.in_flight):
            queue = self._rotation[0]
            queue.discard_cancelled()
            if not queue.is_ready:
                self._rotation.popleft().is_listed = False
                continue
            now = self._now()
            delay = self._rate.delay(now)
            if delay > 0:
                self._wake_at(now + delay)
                return
            self._grant(queue, now)

    def _grant(self, queue: RequestQueue, now: float) -> None:
        self._rotation.popleft().is_listed = False
        self._occupy(queue, now)
        queue.pop().set_result(None)
        self._list(queue)  # behind the other queues

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer_due <= when:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._loop.call_at(when, self._on_timer), when

    def _on_timer(self) -> None:
        self._timer = None  # reset first: a coarse clock may fire it early, and `_dispatch` then sets it again
        self._dispatch()
