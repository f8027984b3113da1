"""Refusal of a request (429), and whether a rate limit explains it. No I/O.

The evidence is what became of the other requests that were in flight: a rate limit refuses most of them. If only a few
are refused, the refusal came by chance.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

_REFUSED, _ACCEPTED = math.log(0.6 / 0.1), math.log(0.4 / 0.9)
"""Evidence of one refused, and of one accepted request in flight, for a rate limit and against chance: log-likelihood
ratios, if a rate limit refuses 60 % of them and chance 10 %."""

_LIMIT, _CHANCE = 3.5, -1.5
"""Sums of evidence: the cause is a rate limit at or above the first, and chance at or below the second."""

_MOST_EVIDENCE: Final = 5.0
"""Upper limit on the evidence kept from one refusal to the next."""

_SHORTEST_SPAN: Final = 0.1
"""Seconds below which a measurement says nothing."""

_SEARCH_FACTOR: Final = 1.5
"""Rate at the start of a search, in multiples of the sustained rate."""

_LEAST_BURST: Final = 10
"""Requests that any service is assumed to accept at once: fewer accepted ones say nothing about the rate."""


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
        others_refused: Number of other requests in flight that were refused, too.
        others_accepted: Number of other requests in flight that were accepted.
        after_pause: True if the request was the first after the last pause.
        earlier: Evidence for a rate limit that earlier refusals left, 0 or more.
    """

    rate: float | None
    span: float
    wait: float
    accepted: int
    recent: float
    others_refused: int = 0
    others_accepted: int = 0
    after_pause: bool = False
    earlier: float = 0.0

    @property
    def _others(self) -> float:
        """Evidence of the other requests that were in flight."""
        return _REFUSED * self.others_refused + _ACCEPTED * self.others_accepted

    @property
    def evidence(self) -> float:
        """Evidence that the next refusal starts from: that of this one and of the requests accepted before it.

        If one request after the other is sent, no others are in flight. Then it takes several refusals to see that each
        pause lets hardly any request through.
        """
        evidence = self.earlier + self._others + _REFUSED + _ACCEPTED * self.accepted
        return min(max(evidence, 0.0), _MOST_EVIDENCE)

    @property
    def cause(self) -> Cause:
        if self._others >= _LIMIT:
            return Cause.LIMIT
        return Cause.CHANCE if self._others <= _CHANCE else Cause.UNKNOWN

    @property
    def repeated(self) -> bool:
        """True if this refusal and earlier ones together show a rate limit, though too few others were in flight."""
        return self.evidence >= _LIMIT

    @property
    def immediate(self) -> bool:
        """True if the refusal came too soon after a pause to measure the rate."""
        return self.span < self.wait / 2

    @property
    def frequent(self) -> bool:
        """True if refusals at this interval would pause the requests for more than a third of the time."""
        return self.span < 2 * self.wait

    @property
    def sustained(self) -> float:
        """Rate accepted over the span and the pause after it."""
        return self.accepted / max(self.span + self.wait, _SHORTEST_SPAN)

    @property
    def search_from(self) -> float:
        """Rate to start a search from."""
        accepted = max(self.accepted, _LEAST_BURST)
        start = _SEARCH_FACTOR * accepted / max(self.span + self.wait, _SHORTEST_SPAN)
        return min(start, max(self.recent, self.sustained))


def accepted_rate(accepted: int, span: float, longest: float) -> float:
    """Return the rate of `accepted` requests in the last `longest` seconds of a span, or in all of a shorter one."""
    return accepted / min(max(span, _SHORTEST_SPAN), longest)
