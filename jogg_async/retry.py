"""How often and how long to try again: the policy, and the one decision that is ours and not stamina's."""

from __future__ import annotations

import sys
from typing import Any, Final

import attrs

__all__ = ["RetryPolicy"]

_LONGEST: Final = sys.float_info.max


def _seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise ValueError(f"{attribute.name} must be a number of seconds, 0 or more, not {value!r:.80}.")


def _attempts(_: object, __: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"attempts must be a whole number of at least 1, or None, not {value!r}.")


def _seconds_or_none(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _seconds(_, attribute, value)


@attrs.frozen
class RetryPolicy:
    """When a request that failed is sent again; the names mean what they mean in stamina.

    Without a wait named by the service, the wait after failure `n` is
    ``min(wait_max, wait_initial * 2 ** (n - 1) + random(0, wait_jitter))`` seconds. A wait that the service names wins.

    Attributes:
        attempts: how often a request is sent at the most, the first included; `None` for no limit.
        timeout: seconds from the first sending after which nothing is sent again; `None` for no limit.
        wait_initial: seconds before the first repetition.
        wait_max: the longest wait of ours, in seconds.
        wait_jitter: the most that chance adds to a wait, in seconds; nothing is ever taken off.
        max_retry_after: the longest wait, in seconds, that is accepted from the service; a longer one raises at once.

    Raises:
        ValueError: a number is out of its range.
    """

    attempts: int | None = attrs.field(default=5, validator=_attempts)
    timeout: float | None = attrs.field(default=120.0, validator=_seconds_or_none)
    wait_initial: float = attrs.field(default=0.5, validator=_seconds)
    wait_max: float = attrs.field(default=30.0, validator=_seconds)
    wait_jitter: float = attrs.field(default=1.0, validator=_seconds)
    max_retry_after: float = attrs.field(default=300.0, validator=_seconds)

    def accepts(self, wait: float, elapsed: float) -> bool:
        """Whether a wait that the service names is waited, `elapsed` seconds after the first sending."""
        if wait > self.max_retry_after:
            return False
        return self.timeout is None or elapsed + wait <= self.timeout

    def leaves_time(self, elapsed: float) -> bool:
        """Whether anything may still be sent again, `elapsed` seconds after the first sending."""
        return self.timeout is None or elapsed < self.timeout

    def backoff(self, failures: int) -> float:
        """The least of our own waits after so many failures, in seconds: chance only adds to it."""
        return min(self.wait_max, self.wait_initial * 2.0 ** min(failures - 1, 1000))
