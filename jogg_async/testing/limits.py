"""How fast and how often the fake answers: rate limits and latencies. No I/O; clock and chance come from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from .answers import Answer, Code, wait_header, wait_value

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Latency", "RateGate", "RateLimit", "TokenBucket"]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name} must be above 0, not {value}")


@attrs.frozen
class RateLimit:
    """How many requests the fake lets through, and what it answers to the others.

    The service says only that limits depend on the plan, that a refused request gets `code` 429, that one should wait
    for `retryAfter` seconds (not where that stands), and that the header `X-RateLimit-Remaining` counts what is left.

    Raises:
        ValueError: `rate` or `burst` is not above 0.
    """

    rate: float = attrs.field(validator=_positive)
    """Requests per second that are let through in the long run; above 0."""
    burst: int = attrs.field(default=10, validator=_positive)
    """How many are let through at once after a rest; 1 or more."""
    retry_after: float | None = 1.0
    """The wait that a refusal names, in seconds; `None` names none. It is sent as it is, so fractions are possible."""
    header: bool = True
    """Whether it is named in the `Retry-After` header."""
    body: bool = True
    """Whether it is named as `retryAfter` at the top level of the body."""
    http_status: int = 429
    """The HTTP status of a refusal. With 200, only the business code tells."""
    remaining_header: bool = True
    """Whether every answer of the endpoint carries `X-RateLimit-Remaining`."""


class TokenBucket:
    """A bucket that holds up to `burst` tokens and gains `rate` of them a second; each request takes one.

    Args:
        rate: Tokens gained per second; above 0.
        burst: The most tokens it holds, and what it starts with.
        clock: Tells the time in seconds; only differences count.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def take(self) -> bool:
        """Take a token if there is a whole one, and say whether there was."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def remaining(self) -> int:
        """Whole tokens left now."""
        self._fill()
        return int(self._tokens)


class RateGate:
    """Turns a `RateLimit` into refusals.

    Args:
        limit: The limit; `None` lets everything through.
        clock: Tells the time in seconds.
    """

    def __init__(self, limit: RateLimit | None, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._bucket = None if limit is None else TokenBucket(limit.rate, limit.burst, clock)

    def refusal(self, failure: Callable[..., Answer]) -> Answer | None:
        """Let one request through (`None`), or make the answer that refuses it.

        Args:
            failure: Makes the envelope, given the code, `http_status` and what else goes to its top level.
        """
        limit = self._limit
        if limit is None or self._bucket is None or self._bucket.take():
            return None
        wait = limit.retry_after
        more = {"retryAfter": wait_value(wait)} if wait is not None and limit.body else {}
        answer = failure(Code.RATE_LIMIT, http_status=limit.http_status, **more)
        headers = {"Retry-After": wait_header(wait)} if wait is not None and limit.header else {}
        return self.counted(answer.with_headers(headers))

    def counted(self, answer: Answer) -> Answer:
        """The same answer, with the header that says how many more are let through."""
        if self._bucket is None or self._limit is None or not self._limit.remaining_header:
            return answer
        return answer.with_headers({"X-RateLimit-Remaining": str(self._bucket.remaining)})


class Latency:
    """How long each answer takes.

    Args:
        seconds: The usual time, 0 or more.
        jitter: Up to so many seconds more, evenly spread.
        slow_fraction: The share of answers, 0 to 1, that take `slow_factor` times the usual time.
        slow_factor: See there; 1 or more.
        draw: Gives a number from 0 to 1, like `random.random`.

    Raises:
        ValueError: One of them is out of range.
    """

    def __init__(
        self, seconds: float, jitter: float, slow_fraction: float, slow_factor: float, draw: Callable[[], float]
    ) -> None:
        if seconds < 0 or jitter < 0 or slow_factor < 1 or not 0 <= slow_fraction <= 1:
            raise ValueError(
                "latency and jitter must be 0 or more, slow_fraction 0 to 1 and slow_factor 1 or more, "
                f"not {seconds}, {jitter}, {slow_fraction} and {slow_factor}"
            )
        self._seconds = seconds
        self._jitter = jitter
        self._slow_fraction = slow_fraction
        self._slow_factor = slow_factor
        self._draw = draw

    def next(self) -> float:
        """The seconds that the next answer takes."""
        # Both are drawn each time, so that one setting does not change what the other gives.
        share, spread = self._draw(), self._draw()
        return self._seconds * (self._slow_factor if share < self._slow_fraction else 1.0) + self._jitter * spread
