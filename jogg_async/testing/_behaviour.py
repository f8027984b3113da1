"""Behaviour that a test can set: rate limit, latency, queued faults and scheduled changes of the catalogue. No I/O."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from ._arguments import checked_int, checked_number
from ._endpoint import Code, FakeResponse
from ._faults import retry_after_header, retry_after_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ._catalogue import Catalogue
    from ._faults import Fault
    from ._records import RecordedRequest

__all__ = ["ChangeSchedule", "FaultQueue", "Latency", "RateLimit", "RateLimiter", "seeded_random"]


def seeded_random(seed: int, purpose: str) -> Random:
    """Return a random generator for one purpose. With the same seed, errors and latencies are drawn independently."""
    return Random(f"{seed} {purpose}")  # noqa: S311 (no secret)


def _rate(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if checked_number(attribute.name, value, -math.inf) <= 0:
        raise ValueError(f"{attribute.name} must be above 0, not {value}")


def _burst(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    checked_int(attribute.name, value, 1)


def _seconds_or_none(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        checked_number(attribute.name, value, 0)


@attrs.frozen
class RateLimit:
    """Rate limit of a fake, and the response to requests beyond it.

    The service documents that limits depend on the plan, that a rejected request gets `code` 429, that the client
    should wait for `retryAfter` seconds, and that the header `X-RateLimit-Remaining` counts the requests left. It does
    not document which part of the response contains `retryAfter`.

    Raises:
        TypeError: `rate`, `burst` or `retry_after` is no number.
        ValueError: `rate` is not above 0, `burst` below 1, or `retry_after` negative.
    """

    rate: float = attrs.field(validator=_rate)
    """Requests per second that are accepted in the long run; above 0."""
    burst: int = attrs.field(default=10, validator=_burst)
    """Requests that are accepted at once after an idle time; 1 or more."""
    retry_after: float | None = attrs.field(default=1.0, validator=_seconds_or_none)
    """Wait that a rejection announces, in seconds; `None` announces none. It is sent as it is, fractions included."""
    header: bool = True
    """Announce the wait in the header `Retry-After`."""
    body: bool = True
    """Announce it as `retryAfter` at the top level of the body."""
    http_status: int = 429
    """HTTP status of a rejection. With 200, only the business code shows it."""
    remaining_header: bool = True
    """Send `X-RateLimit-Remaining` with every response of the endpoint."""


class RateLimiter:
    """Token bucket that enforces a `RateLimit`: it holds up to `burst` tokens and gains `rate` of them a second.

    Args:
        limit: The limit.
        clock: Returns the time in seconds.
    """

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled_at = clock()

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(float(self._limit.burst), self._tokens + (now - self._filled_at) * self._limit.rate)
        self._filled_at = now

    def try_acquire(self) -> bool:
        """Take a token for one request; `False` means that the request is to be rejected."""
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def remaining(self) -> int:
        """Whole tokens left now."""
        self._refill()
        return int(self._tokens)

    def rejection(self, error: Callable[..., FakeResponse]) -> FakeResponse:
        """Return the response to a rejected request.

        Args:
            error: Makes an error envelope, given the code, `http_status` and further fields of its top level.
        """
        wait = self._limit.retry_after
        fields = {"retryAfter": retry_after_value(wait)} if wait is not None and self._limit.body else {}
        headers = {"Retry-After": retry_after_header(wait)} if wait is not None and self._limit.header else {}
        response = error(Code.RATE_LIMIT, http_status=self._limit.http_status, **fields)
        return self.with_remaining(response.with_headers(headers))

    def with_remaining(self, response: FakeResponse) -> FakeResponse:
        """Return the response with `X-RateLimit-Remaining` added, if the limit sends it."""
        if not self._limit.remaining_header:
            return response
        return response.with_headers({"X-RateLimit-Remaining": str(self.remaining)})


class Latency:
    """Random time that each response takes.

    Args:
        latency: Usual time in seconds, 0 or more.
        jitter: Upper bound of the seconds added to it, evenly distributed; 0 or more.
        slow_fraction: Share of responses, 0 to 1, that take `slow_factor` times the usual time.
        slow_factor: 1 or more.
        draw: Returns a number from 0 to 1, like `random.random`.

    Raises:
        TypeError: One of them is no number.
        ValueError: One of them is out of range.
    """

    def __init__(
        self, latency: float, jitter: float, slow_fraction: float, slow_factor: float, draw: Callable[[], float]
    ) -> None:
        self._latency = checked_number("latency", latency, 0)
        self._jitter = checked_number("jitter", jitter, 0)
        self._slow_fraction = checked_number("slow_fraction", slow_fraction, 0, 1)
        self._slow_factor = checked_number("slow_factor", slow_factor, 1)
        self._draw = draw

    def draw_seconds(self) -> float:
        """Draw the seconds that the next response takes."""
        if self._latency == self._jitter == 0:
            return 0.0
        # Both are drawn each time, so that a change of one setting does not change the numbers drawn for the other.
        share, spread = self._draw(), self._draw()
        return self._latency * (self._slow_factor if share < self._slow_fraction else 1.0) + self._jitter * spread


@attrs.define
class _QueuedFault:
    fault: Fault
    path: str
    page: int | None
    times: int | None
    after: int

    def matches(self, request: RecordedRequest) -> bool:
        return self.path == request.path and self.page in (None, request.page) and self.times != 0

    def count_match(self) -> bool:
        """Count one matching request, and return whether it gets the fault."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultQueue:
    """Faults queued for later requests. A request gets the first one that matches it and is due.

    Args:
        lock: Guards the queue, which a test fills while the server empties it.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._queue: list[_QueuedFault] = []

    def add(self, fault: Fault, *, path: str, page: int | None, times: int | None, after: int) -> None:
        """Append a fault; see `FakeJogg.fail` for the arguments."""
        if page is not None:
            checked_int("page", page, 1)
        if times is not None:
            checked_int("times", times, 1)
        checked_int("after", after, 0)
        if not str(path).startswith("/"):
            raise ValueError(f"path must begin with a slash, such as /music/7.wav, not {path!r:.80}")
        with self._lock:
            self._queue.append(_QueuedFault(fault, path, page, times, after))

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return the fault for this request, if one is due, and count it as used."""
        with self._lock:
            for item in self._queue:
                if item.matches(request) and item.count_match():
                    return item.fault
        return None

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._queue.clear()


@attrs.define
class _Change:
    due: int
    every: int | None
    change: Callable[[Catalogue], object]


class ChangeSchedule:
    """Scheduled changes of the catalogue, by the number of pages sent.

    Args:
        lock: Guards the schedule, which a test fills while the server makes the changes.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._pages = 0
        self._changes: list[_Change] = []

    def add(self, pages: int, change: Callable[[Catalogue], object], *, repeat: bool) -> None:
        """Schedule a change; see `FakeJogg.mutate_after` for the arguments."""
        checked_int("pages", pages, 1)
        if not callable(change):
            raise TypeError(f"change must be a function that takes the catalogue, not {change!r:.80}")
        with self._lock:
            self._changes.append(_Change(self._pages + pages, pages if repeat else None, change))

    def page_sent(self, catalogue: Catalogue) -> None:
        """Count one page, and make the changes that are due."""
        with self._lock:
            self._pages += 1
            due = [item for item in self._changes if item.due <= self._pages]
            for item in due:
                if item.every is None:
                    self._changes.remove(item)
                else:
                    item.due += item.every
        # Run the changes without the lock: the test's code may wait for a thread of its own that needs it.
        for item in due:
            item.change(catalogue)

    def clear(self) -> None:
        """Remove every change."""
        with self._lock:
            self._changes.clear()
