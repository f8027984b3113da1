"""The wait that a response names: its ``Retry-After`` header, or ``retryAfter`` in its body."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, cast


def retry_after(headers: Mapping[str, str], envelope: Any, now: float) -> float | None:
    """Return the longest wait in seconds that a response names; `None` for none.

    The service's rate-limit page says to wait ``retryAfter`` seconds, but not which part of the response has this
    field: it is read from the envelope and from its ``data``. Zero, a past date and malformed values are ignored.

    Args:
        headers: the response's headers.
        envelope: its parsed body.
        now: the wall clock, in seconds since 1970, for a date in ``Retry-After`` if the response has no ``Date``.
    """
    waits = (_header_wait(headers, now), *map(_seconds, _body_values(envelope)))
    return max((wait for wait in waits if wait is not None), default=None)


def _body_values(envelope: Any) -> Iterator[object]:
    if isinstance(envelope, dict):
        fields = cast("dict[str, Any]", envelope)
        yield fields.get("retryAfter")
        data = fields.get("data")
        if isinstance(data, dict):
            yield cast("dict[str, Any]", data).get("retryAfter")


def _header_wait(headers: Mapping[str, str], now: float) -> float | None:
    value = headers.get("Retry-After")
    if value is None:
        return None
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    then = _timestamp(value)
    if then is None:
        return None
    # The response's own date protects the wait from a wrong clock on this machine.
    return _seconds(then - (_timestamp(headers.get("Date", "")) or now))


def _timestamp(date: str) -> float | None:
    try:
        then = parsedate_to_datetime(date)
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()  # HTTP dates are in UTC
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None
