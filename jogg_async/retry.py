"""The retry policy, and the wait before the next attempt. No I/O."""

from __future__ import annotations

import sys
from typing import Any, Final, TypeGuard

import attrs

from .errors import argument_error

__all__ = ["RetryPolicy"]

_LONGEST: Final = sys.float_info.max
_MOST_DOUBLINGS: Final = 1000
"""Most doublings of `wait_initial`, so that the float does not overflow."""


def is_seconds(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number of seconds, 0 or more."""
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= _LONGEST


def _seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not is_seconds(value):
        raise argument_error(attribute.name, f"must be a number of seconds, 0 or more, not {value!r:.80}.")


def _attempts(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise argument_error("attempts", f"must be a whole number of at least 1, or None, not {value!r}.")


def _seconds_or_none(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _seconds(_, attribute, value)


@attrs.frozen
class RetryPolicy:
    """Number of retries, and the waits before them. The arguments mean the same as in stamina.

    After failure `n`, the wait is ``min(wait_max, wait_initial * 2 ** (n - 1) + random(0, wait_jitter))`` seconds, or
    the wait that the service named. If it would end after `timeout`, the failure is raised at once.

    Attributes:
        attempts: number of times that a request is sent at most, the first included; `None` for no limit.
        timeout: seconds from the first attempt by which every wait must have ended; `None` for no limit. An attempt
            sent by then ends by its own timeout. The time for which other code blocked the event loop does not count.
        wait_initial: seconds before the first retry.
        wait_max: longest wait in seconds, if the service names none.
        wait_jitter: most seconds that are added to a wait at random; a wait is never shortened. Nothing is added in a
            crawl whose other requests succeed: there, few requests are sent again at the same time.
        max_retry_after: longest wait in seconds that is accepted from the service; a longer one raises the failure at
            once.

    Raises:
        ValueError: a number is out of its range.
    """

    attempts: int | None = attrs.field(default=8, validator=_attempts)
    timeout: float | None = attrs.field(default=120.0, validator=_seconds_or_none)
    wait_initial: float = attrs.field(default=0.1, validator=_seconds)
    wait_max: float = attrs.field(default=30.0, validator=_seconds)
    wait_jitter: float = attrs.field(default=0.2, validator=_seconds)
    max_retry_after: float = attrs.field(default=300.0, validator=_seconds)


def backoff(policy: RetryPolicy, attempts: int, jitter: float = 0.0) -> float:
    """Return the policy's own wait in seconds after `attempts` failed attempts."""
    doubled = policy.wait_initial * 2.0 ** min(max(attempts - 1, 0), _MOST_DOUBLINGS)
    return min(policy.wait_max, doubled + jitter)


def next_wait(
    policy: RetryPolicy, attempts: int, elapsed: float, *, named: float | None, jitter: float, paused: float
) -> float | None:
    """Return the seconds to wait before the next attempt, or `None` to give up.

    Args:
        policy: the limits.
        attempts: attempts made so far, all of them failed.
        elapsed: seconds since the first one was sent.
        named: the wait in seconds that the service named, which replaces the policy's; `None` for none.
        jitter: random seconds to add to the wait.
        paused: seconds for which all requests of the session are paused from now on. They count towards `timeout`, and
            run at the same time as the returned wait.
    """
    if policy.attempts is not None and attempts >= policy.attempts:
        return None
    if named is not None and named > policy.max_retry_after:
        return None
    wait = backoff(policy, attempts, jitter) if named is None else named + jitter
    if policy.timeout is not None and (elapsed >= policy.timeout or elapsed + max(wait, paused) > policy.timeout):
        return None
    return wait
