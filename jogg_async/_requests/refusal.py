"""Refusal of a request (429), and whether a rate limit explains it. No I/O.

The evidence are the requests in flight at that moment: a limit that is exceeded refuses most of them, chance a few.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

_REFUSED, _ACCEPTED = math.log(0.6 / 0.1), math.log(0.4 / 0.9)
"""Evidence of one request in flight, in nats: for a limit, which refuses 60 % of them, against chance, 10 %."""

_LIMIT, _CHANCE = 3.5, -1.5
"""Evidence from which on the cause is a limit, and down from which it is chance."""

_SHORTEST_SPAN: Final = 0.1
"""Seconds below which a measurement says nothing."""

_HEADSTART: Final = 1.5
"""Start of a search, in multiples of the rate accepted until then, the pause included."""

_LEAST_BURST: Final = 10
"""Requests that any service is taken to accept at once: a refusal of the second one says nothing of the rate."""


class Cause(enum.Enum):
    """Cause of a refusal, by the requests in flight at that moment."""

    LIMIT = "most were refused"
    CHANCE = "hardly any were refused"
    UNKNOWN = "too few were in flight, or some of both"


@dataclass
class Refusal:
    """Refusal, with what preceded it and what became of the requests in flight at that moment.

    Attributes:
        rate: Allowed rate; `None` if it did not hold the requests back.
        span: Seconds since the last pause.
        wait: Seconds of the pause that follows.
        accepted: Requests accepted in the span; those in flight are added when the pause ends.
        recent: Rate accepted in the last second of the span.
        others_refused: How many in flight were refused, too.
        others_accepted: How many in flight were accepted.
    """

    rate: float | None
    span: float
    wait: float
    accepted: int
    recent: float
    others_refused: int = 0
    others_accepted: int = 0

    @property
    def cause(self) -> Cause:
        evidence = _REFUSED * self.others_refused + _ACCEPTED * self.others_accepted
        if evidence >= _LIMIT:
            return Cause.LIMIT
        return Cause.CHANCE if evidence <= _CHANCE else Cause.UNKNOWN

    @property
    def immediate(self) -> bool:
        """True if it came so soon after a pause that the span is too short to measure the rate."""
        return self.span < self.wait / 2

    @property
    def frequent(self) -> bool:
        """True if pauses would take more than a third of the time, should each follow the last as soon as this one."""
        return self.span < 2 * self.wait

    @property
    def sustained(self) -> float:
        """Rate accepted over the span and the pause after it."""
        return self.accepted / max(self.span + self.wait, _SHORTEST_SPAN)

    @property
    def search_from(self) -> float:
        """Rate to start a search from."""
        accepted = max(self.accepted, _LEAST_BURST)
        start = _HEADSTART * accepted / max(self.span + self.wait, _SHORTEST_SPAN)
        return min(start, max(self.recent, self.sustained))


def accepted_rate(accepted: int, span: float, longest: float) -> float:
    """Return the rate at which so many requests were accepted in the last `longest` seconds of a span."""
    return accepted / min(max(span, _SHORTEST_SPAN), longest)
