"""How fast the service bears to be asked: a rate learnt from its refusals. Pure arithmetic, the clock is handed in.

Until the first refusal there is no rate. A refusal pauses everything for the wait that came with it. After the first
one the rate starts from what the service took so far, and doubles every half second, to find the limit soon. From the
second one on it starts a little below what the service took in the last second, climbs back to that within some ten
times the wait, stays about there, and then climbs faster and faster in case the limit was lifted: the cubic curve of
TCP CUBIC (RFC 9438), because a probe that fails costs a whole wait.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_BACKOFF: Final = 0.9
"""The share of the measured rate to start from after a refusal."""

_DOUBLING: Final = 0.5
"""Seconds in which the first search doubles the rate."""

_PLATEAU: Final = 12.0
"""The climb back, in multiples of the wait: then pauses take less than a tenth of the time."""

_SHORTEST, _LONGEST = 4.0, 60.0
"""Bounds of the climb back, in seconds."""

_MEASURED: Final = 1.0
"""Seconds over which the accepted rate is measured."""

_LEAST_CUT: Final = 0.5
"""The most that one refusal lowers the rate: too short a measurement says little."""

_LATENESS: Final = 0.05
"""Seconds that a late request is made up for: timers fire late, and each delay would lower the rate for good."""

_SHORTEST_SPAN: Final = 0.1
"""Seconds below which a first measurement says nothing."""

_REST: Final = 1.0
"""Seconds without a response that do not count into the first measurement, nor does what was before."""

_MOST_DOUBLINGS: Final = 40.0


class Pace:
    """The moment from which the next request may be sent.

    Args:
        now: the clock, in seconds; any clock that does not go back.
    """

    def __init__(self, now: float) -> None:
        self._resume = now
        self._next = now
        self._floor: float | None = None
        self._ceiling: float | None = None
        self._climb = _SHORTEST
        self._counted_from = self._last = now
        self._accepted = 0
        self._recent: deque[float] = deque()

    @property
    def limited(self) -> bool:
        """Whether a refusal has been met, so that there is a rate."""
        return self._floor is not None

    def paused(self, now: float) -> float:
        """Seconds of the pause still to wait."""
        return max(0.0, self._resume - now)

    def rate(self, now: float) -> float | None:
        """Requests a second at `now`; `None` for no limit."""
        climbed = max(0.0, now - self._resume)
        if self._ceiling is not None:
            distance = (climbed - self._climb) / self._climb
            return self._ceiling * (1 + (1 - _BACKOFF) * distance**3)
        if self._floor is not None:
            return self._floor * 2 ** min(climbed / _DOUBLING, _MOST_DOUBLINGS)
        return None

    def delay(self, now: float) -> float:
        """Seconds until a request may be sent; 0 for at once."""
        if not self.limited:
            return self.paused(now)
        return max(0.0, self._resume - now, self._next - now)

    def sent(self, now: float) -> None:
        """A request goes out."""
        rate = self.rate(now)
        if rate is not None:
            self._next = max(now - _LATENESS, self._next) + 1 / rate

    def accepted(self, now: float) -> None:
        """The service took a request: its response is no refusal."""
        if self.limited:
            self._recent.append(now)
            self._forget(now)
        elif now - self._last > _REST:
            self._accepted, self._counted_from = 0, now
        self._accepted += 1
        self._last = now

    def refused(self, now: float, wait: float, *, first: bool) -> None:
        """The service refused a request.

        Args:
            now: the clock.
            wait: seconds to pause from now on.
            first: whether this is the first of a volley; the others were on their way already, and say nothing new.
        """
        if first:
            self._forget(now)
            self._learn(now, wait)
            self._climb = min(max(_PLATEAU * wait, _SHORTEST), _LONGEST)
            self._accepted, self._counted_from = 0, now
        self._resume = self._next = max(self._resume, now + wait)

    def _learn(self, now: float, wait: float) -> None:
        elapsed = now - self._counted_from
        current = self.rate(now)
        if current is None:
            self._floor = max(self._accepted, 1) / max(elapsed + wait, _SHORTEST_SPAN)
            return
        if not self._accepted:
            return  # an outage: it says nothing of the rate
        sustained = self._accepted / elapsed if elapsed > 0 else 0.0
        self._ceiling = min(current, max(sustained, len(self._recent) / _MEASURED, current * _LEAST_CUT))

    def _forget(self, now: float) -> None:
        recent = self._recent
        while recent and recent[0] < now - _MEASURED:
            recent.popleft()
