"""Request rate and number in flight, learnt from refusals (429). No I/O; the clock is passed in.

A refusal pauses every request for the wait it names. Its cause is decided when the pause ends: by then the requests in
flight at the refusal have shown whether the service refuses most of them (a rate limit) or only a few (refusals by
chance, or of one page). One measurement is reliable: a service that limits the rate has no requests left when a pause
begins, so the number that it accepts until its next refusal, divided by that time and the pause, is a rate that it
sustains. If requests are refused that were sent no faster than that, the refusal is unrelated to the rate.

No limit known: neither `_search` nor `_ceiling`. Searching: `_search` doubles every half second. Limit known: the rate
climbs from 0.9 of `_ceiling` back to it on the cubic curve of TCP CUBIC (RFC 9438), stays about there, then doubles
every half second in case the limit was lifted. A failed probe costs a pause: the longer the pauses, the rarer probes.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .refusal import Cause, Refusal, accepted_rate

_START_SHARE: Final = 0.9
"""Start of the climb, as a share of the ceiling."""

_DOUBLING_TIME: Final = 0.5
"""Seconds in which the rate doubles, in a search and after a climb."""

_CLIMB_FACTOR: Final = 30.0
"""Length of the climb, in multiples of what a failed probe costs: probes then take about 2 % of the time."""

_PROBE_FACTOR: Final = 1.5
"""Time from which the rate doubles, in multiples of the climb."""

_MIN_CLIMB, _MAX_CLIMB = 3.0, 60.0
"""Bounds of the climb, in seconds."""

_MAX_PATIENT_CLIMB: Final = 8.0
"""Climb, in seconds, up to which each failed probe doubles it, however little it cost."""

_MEASURING_TIME: Final = 1.0
"""Seconds over which the accepted rate is measured."""

_MIN_CUT: Final = 0.5
"""Lowest estimate of the limit, as a share of the rate at the refusal."""

_DECAY: Final = 0.7
"""Factor of the sustained rate when a refusal contradicts it: the limit may have been lowered."""

_MAX_EXCUSES: Final = 4
"""Doublings after which no more refusals are excused at a time."""

_TIMER_SLACK: Final = 0.05
"""Seconds that a late request is made up for: timers fire late, and each delay would lower the rate for good."""

_IDLE_RESET: Final = 1.0
"""Seconds without an accepted request that end a measurement, unless the rate held requests back."""

_MAX_DOUBLINGS: Final = 40.0
"""Bound of the exponent: a long rest must not overflow."""

_RECOVERY_STEP: Final = 0.25
"""Increase of the number in flight for each accepted request, after a refusal halved it."""


class AdaptiveRate:
    """Moment from which the next request may be sent, and number in flight.

    Args:
        now: Clock in seconds; any clock that does not go back.
        concurrency: Highest number in flight.
    """

    def __init__(self, now: float, concurrency: int) -> None:
        self.in_flight = float(concurrency)
        """Requests that may be in flight, from 1 to the concurrency."""
        self._concurrency = float(concurrency)
        self._resume = now
        self._next = now
        self._held_back = False  # True if the rate delayed the last request
        self._search: float | None = None
        self._ceiling: float | None = None
        self._climb = _MIN_CLIMB
        self._counted_from = self._last = now
        self._accepted = 0
        self._recent: deque[float] = deque()
        self._refusal: Refusal | None = None  # the one whose pause is not over
        self._sustained: float | None = None  # `None` until the second refusal: at the first a bucket may be full
        self._burst = 0  # requests accepted at once, which a pause may refill
        self._confirmed = False  # True if a rate limit has explained the refusals so far
        self._excused = 0  # number of next refusals to treat as chance
        self._excuses = 0

    @property
    def limited(self) -> bool:
        """True if a rate is set: a limit is known or searched for."""
        return self._search is not None or self._ceiling is not None

    def paused(self, now: float) -> float:
        """Return the seconds of the pause still to wait."""
        return max(0.0, self._resume - now)

    def rate(self, now: float) -> float | None:
        """Return the requests per second at `now`; `None` for no limit."""
        self._end_pause(now)
        elapsed = max(0.0, now - self._resume)
        if self._ceiling is not None:
            distance = min(elapsed / self._climb, _PROBE_FACTOR) - 1
            climbed = self._ceiling * (1 + (1 - _START_SHARE) * distance**3)
            return climbed * _doubled(elapsed - _PROBE_FACTOR * self._climb)
        return None if self._search is None else self._search * _doubled(elapsed)

    def delay(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 for at once."""
        self._end_pause(now)
        return max(self.paused(now), self._next - now) if self.limited else self.paused(now)

    def sent(self, now: float) -> None:
        """Count a request that is sent."""
        rate = self.rate(now)
        self._held_back = rate is not None and now - self._next < _TIMER_SLACK / 2
        if rate is not None:
            self._next = max(now - _TIMER_SLACK, self._next) + 1 / rate

    def accepted(self, now: float) -> None:
        """Count a request that the service did not refuse."""
        if self.in_flight < self._concurrency:
            self.in_flight = min(self._concurrency, self.in_flight + _RECOVERY_STEP)
        if self._refusal and now < self._resume:  # nothing is sent in a pause: it was in flight before
            self._refusal.others_accepted += 1
            return
        self._end_pause(now)
        if now - self._last > _IDLE_RESET and not self._held_back:
            self._accepted, self._counted_from = 0, now
        self._accepted += 1
        self._last = now
        self._recent.append(now)
        self._forget(now)

    def refused(self, now: float, wait: float, *, first: bool) -> None:
        """Count a request that the service refused.

        Args:
            now: Clock.
            wait: Seconds to pause from now on.
            first: Whether it was sent after the last refusal; the others were in flight at that one.
        """
        self._end_pause(now)
        if self._refusal:
            self._refusal.others_refused += 1
        elif first:
            self._forget(now)
            span = now - self._counted_from
            recent = accepted_rate(len(self._recent), span, _MEASURING_TIME)
            self._refusal = Refusal(self.rate(now) if self._held_back else None, span, wait, self._accepted, recent)
        self._resume = self._next = max(self._resume, now + wait)

    def _end_pause(self, now: float) -> None:
        refusal = self._refusal
        if refusal is None or now < self._resume:
            return
        self._refusal = None
        refusal.accepted += refusal.others_accepted
        if refusal.accepted:  # else an outage, which says nothing of the rate
            before = self._measure(refusal)
            self._learn(refusal, before)
        self._accepted, self._counted_from = 0, self._resume
        self._recent.clear()

    def _measure(self, refusal: Refusal) -> float:
        """Update the sustained rate, and return the one before."""
        before = self._sustained
        self._sustained = 0.0 if before is None else max(before, refusal.sustained)
        if refusal.immediate and refusal.cause is not Cause.CHANCE:
            self._burst = max(self._burst, refusal.accepted)
        return before or 0.0

    def _learn(self, refusal: Refusal, sustained: float) -> None:
        rate, cause = refusal.rate, refusal.cause
        if cause is Cause.LIMIT and (rate is None or refusal.immediate):
            self._confirmed = True
            self._sustained = min(sustained, refusal.sustained)
            self._start_search(refusal.search_from)
        elif self._excused and refusal.frequent and cause is not Cause.LIMIT:
            self._excused -= 1
            self._search = self._ceiling = None
        elif rate is None and refusal.frequent and cause is Cause.CHANCE and not self._excuses:
            self._excuse()
        elif rate is None:
            self._start_search(max(refusal.search_from, self._sustained or 0.0))
        elif rate <= sustained:
            self._sustained = _DECAY * max(sustained, refusal.sustained)
            self._excuse()
        elif self._is_doubtful(refusal):
            self._excuse()
        else:
            self._limit(refusal, rate)

    def _is_doubtful(self, refusal: Refusal) -> bool:
        """Return True if the ceiling proved too high soon after it was set, so that it may not be a rate limit."""
        early = self._ceiling is not None and not self._has_climbed(refusal)
        return early and refusal.frequent and bool(self._excuses or not self._confirmed)

    def _has_climbed(self, refusal: Refusal) -> bool:
        return self._ceiling is not None and refusal.span >= self._climb

    def _excuse(self) -> None:
        """Send without limit: refusals seem unrelated to the rate. The next few count as such, too."""
        self._confirmed = False
        self._excuses = min(self._excuses + 1, _MAX_EXCUSES)
        self._excused = 2**self._excuses
        self._search = self._ceiling = None

    def _start_search(self, rate: float) -> None:
        if self._confirmed:
            self._excused = self._excuses = 0
        self._search, self._ceiling = rate, None
        self._halve()

    def _limit(self, refusal: Refusal, rate: float) -> None:
        ceiling = min(max(self._estimate(refusal, rate), self._sustained or 0.0), rate)
        shortest = _MIN_CLIMB
        if self._has_climbed(refusal):
            self._confirmed = True
            self._excused = self._excuses = 0
            shortest = min(2 * self._climb, _MAX_PATIENT_CLIMB)
        cost = max(0.0, refusal.wait - self._burst / ceiling)  # what a pause refills is not lost
        self._climb = min(max(_CLIMB_FACTOR * cost, shortest), _MAX_CLIMB)
        self._ceiling = ceiling
        self._halve()

    def _estimate(self, refusal: Refusal, rate: float) -> float:
        recent = min(refusal.recent, rate)
        if self._ceiling is not None and self._has_climbed(refusal):
            return max(min(recent, self._ceiling), recent - self._burst)
        if self._ceiling is not None or refusal.span < refusal.wait:
            recent = (refusal.sustained * recent**2) ** (1 / 3)  # between it and what the pause had refilled
        return max(recent, rate * _MIN_CUT)

    def _halve(self) -> None:
        self.in_flight = max(1.0, self.in_flight / 2)

    def _forget(self, now: float) -> None:
        recent = self._recent
        while recent and recent[0] < now - _MEASURING_TIME:
            recent.popleft()


def _doubled(seconds: float) -> float:
    return float(2 ** min(max(seconds, 0.0) / _DOUBLING_TIME, _MAX_DOUBLINGS))
