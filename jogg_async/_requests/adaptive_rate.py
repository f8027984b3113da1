"""Request rate and number of requests in flight, learnt from refusals (429). No I/O; the clock is passed in.

A refusal pauses every request for the wait that it names. Its cause is decided when the pause ends. By then the service
has refused most of the requests that were in flight (a rate limit), or only a few (chance, or a fault of one page).
With one or two in flight it takes several refusals, each after few accepted requests. A refusal of the first request
after a pause says nothing about the rate.

The sustained rate is the number of requests accepted from one pause to the next refusal, divided by the time including
one pause. The service can keep it up: at the start of a pause its rate limit allows no further request. So a refusal of
requests that were sent no faster than this rate has another cause.

The rate has three states:

- No limit known (`_search` and `_ceiling` are `None`): requests are not delayed.
- Searching (`_search` is set): the rate starts at `_search` and doubles every half second.
- Limit known (`_ceiling` is set): the rate climbs from 0.9 of `_ceiling` back to it on the cubic curve of TCP CUBIC
  (RFC 9438) and stays about there. Then a probe begins, in case the limit was raised: the rate doubles every half
  second. A failed probe ends in a refusal and its pause. The longer the pauses, the rarer the probes.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .refusal import Cause, Refusal, accepted_rate

_START_SHARE: Final = 0.9
"""Rate at the start of a climb, as a share of the ceiling."""

_DOUBLING_TIME: Final = 0.5
"""Seconds in which the rate doubles, in a search and in a probe."""

_CLIMB_FACTOR: Final = 30.0
"""Length of a climb, in multiples of the time that a failed probe loses: about 2 % of the time is lost then."""

_PROBE_FACTOR: Final = 1.5
"""Start of a probe, counted from the end of the last pause, in multiples of the length of a climb."""

_MIN_CLIMB, _MAX_CLIMB = 3.0, 60.0
"""Bounds of the length of a climb, in seconds."""

_MAX_DOUBLED_CLIMB: Final = 8.0
"""Longest climb, in seconds, that comes from doubling. Each failed probe doubles the climb up to this, even if it lost
little time."""

_MEASURING_TIME: Final = 1.0
"""Seconds over which the accepted rate is measured."""

_MIN_CUT: Final = 0.5
"""Lowest estimate of the limit, as a share of the rate at the refusal."""

_DECAY: Final = 0.7
"""Factor that lowers the sustained rate if a refusal contradicts it: the limit may have been lowered."""

_MAX_LIFTS: Final = 4
"""Number of lifts of the limit that double the number of refusals to ignore, which is 16 from then on."""

_TIMER_SLACK: Final = 0.05
"""At most this many seconds of a request's delay are caught up by later requests: timers that fire late would lower the
rate."""

_IDLE_RESET: Final = 1.0
"""Seconds without an accepted request that restart a measurement, unless the rate held requests back."""

_MAX_DOUBLINGS: Final = 40.0
"""Most doublings of the rate, so that the float does not overflow after a long idle time."""

_RECOVERY_STEP: Final = 0.25
"""Increase of the number in flight for each accepted request, after a refusal halved it."""


class AdaptiveRate:
    """Limits on the request rate and on the number of requests in flight, learnt from refusals.

    Args:
        now: Time in seconds, by a monotonic clock.
        concurrency: Most requests in flight.
    """

    def __init__(self, now: float, concurrency: int) -> None:
        self.in_flight = float(concurrency)
        """Requests that may be in flight, from 1 to the concurrency."""
        self._concurrency = float(concurrency)
        self._resume = now
        self._next = now
        self._first_sent: float | None = None  # time of the first request since the last pause
        self._held_back = False  # True if the rate delayed the last request
        self._search: float | None = None
        self._ceiling: float | None = None
        self._climb = _MIN_CLIMB
        self._counted_from = self._last = now
        self._accepted = 0
        self._recent: deque[float] = deque()
        self._refusal: Refusal | None = None  # the last one, until its pause is over
        self._sustained: float | None = None  # 0 after the first refusal: until then, a token bucket may have been full
        self._burst = 0  # most requests accepted at once after a pause: a token bucket that pauses refill
        self._confirmed = False  # True if a rate limit has explained the refusals so far
        self._evidence = 0.0  # evidence for a rate limit that the refusals so far left
        self._ignorable = 0  # number of further refusals to ignore
        self._lifts = 0  # number of times that the limit was lifted since a rate limit explained a refusal

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
        if self._first_sent is None:
            self._first_sent = now
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

    def refused(self, now: float, wait: float, *, sent_at: float, first: bool) -> None:
        """Count a request that the service refused.

        Args:
            now: Time in seconds.
            wait: Seconds to pause from now on.
            sent_at: Time at which the request was sent.
            first: True if the request was sent after the last refusal; false if it was in flight then.
        """
        self._end_pause(now)
        if self._refusal:
            self._refusal.others_refused += 1
        elif first:
            self._forget(now)
            span = now - self._counted_from
            recent = accepted_rate(len(self._recent), span, _MEASURING_TIME)
            rate = self.rate(now) if self._held_back else None
            after_pause = sent_at == self._first_sent
            self._refusal = Refusal(
                rate, span, wait, self._accepted, recent, after_pause=after_pause, earlier=self._evidence
            )
        self._resume = self._next = max(self._resume, now + wait)

    def _end_pause(self, now: float) -> None:
        refusal = self._refusal
        if refusal is None or now < self._resume:
            return
        self._refusal = None
        refusal.accepted += refusal.others_accepted
        if refusal.accepted:  # else an outage, which says nothing about the rate
            before = self._measure(refusal)
            self._evidence = refusal.evidence
            self._learn(refusal, before)
        self._accepted, self._counted_from = 0, self._resume
        self._recent.clear()
        self._first_sent = None

    def _measure(self, refusal: Refusal) -> float:
        """Update the sustained rate and the burst; return the previous sustained rate, 0 for none."""
        before = self._sustained
        self._sustained = 0.0 if before is None else max(before, refusal.sustained)
        if refusal.immediate and refusal.cause is not Cause.CHANCE:
            self._burst = max(self._burst, refusal.accepted)
        return before or 0.0

    def _learn(self, refusal: Refusal, sustained: float) -> None:
        rate, cause = refusal.rate, refusal.cause
        if rate is not None and refusal.after_pause and cause is not Cause.LIMIT:
            return  # after a pause that was long enough, the rate cannot be the cause
        if (cause is Cause.LIMIT and (rate is None or refusal.immediate)) or (refusal.repeated and rate is None):
            self._confirmed = True
            self._sustained = min(sustained, refusal.sustained)
            self._start_search(refusal.search_from)
        elif self._ignorable and refusal.frequent and cause is not Cause.LIMIT and not refusal.repeated:
            self._ignorable -= 1
            self._search = self._ceiling = None
        elif rate is None and refusal.frequent and cause is Cause.CHANCE and not self._lifts:
            self._lift_limit()
        elif rate is None:
            self._start_search(max(refusal.search_from, self._sustained or 0.0))
        elif rate <= sustained:
            self._sustained = _DECAY * max(sustained, refusal.sustained)
            self._lift_limit()
        elif self._is_doubtful(refusal):
            self._lift_limit()
        else:
            self._limit(refusal, rate)

    def _is_doubtful(self, refusal: Refusal) -> bool:
        """Return True if the ceiling proved too high soon after it was set, so that it may not be a rate limit."""
        early = self._ceiling is not None and not self._has_climbed(refusal)
        return early and refusal.frequent and not refusal.repeated and bool(self._lifts or not self._confirmed)

    def _has_climbed(self, refusal: Refusal) -> bool:
        return self._ceiling is not None and refusal.span >= self._climb

    def _lift_limit(self) -> None:
        """Lift the limit, because refusals seem unrelated to the rate. The next few are ignored, too."""
        self._confirmed = False
        self._lifts = min(self._lifts + 1, _MAX_LIFTS)
        self._ignorable = 2**self._lifts
        self._search = self._ceiling = None

    def _start_search(self, rate: float) -> None:
        if self._confirmed:
            self._ignorable = self._lifts = 0
        self._search, self._ceiling = rate, None
        self._halve()

    def _limit(self, refusal: Refusal, rate: float) -> None:
        ceiling = min(max(self._estimate(refusal, rate), self._sustained or 0.0), rate)
        shortest = _MIN_CLIMB
        if self._has_climbed(refusal):
            self._confirmed = True
            self._ignorable = self._lifts = 0
            shortest = min(2 * self._climb, _MAX_DOUBLED_CLIMB)
        cost = max(0.0, refusal.wait - self._burst / ceiling)  # the burst that the pause refills is not lost
        self._climb = min(max(_CLIMB_FACTOR * cost, shortest), _MAX_CLIMB)
        self._ceiling = ceiling
        self._halve()

    def _estimate(self, refusal: Refusal, rate: float) -> float:
        recent = min(refusal.recent, rate)
        if self._ceiling is not None and self._has_climbed(refusal):
            return max(min(recent, self._ceiling), recent - self._burst)
        if self._ceiling is not None or refusal.span < refusal.wait:
            # A geometric mean of the two rates: the recent one includes the burst that the last pause had refilled.
            recent = (refusal.sustained * recent**2) ** (1 / 3)
        return max(recent, rate * _MIN_CUT)

    def _halve(self) -> None:
        self.in_flight = max(1.0, self.in_flight / 2)

    def _forget(self, now: float) -> None:
        recent = self._recent
        while recent and recent[0] < now - _MEASURING_TIME:
            recent.popleft()


def _doubled(seconds: float) -> float:
    return float(2 ** min(max(seconds, 0.0) / _DOUBLING_TIME, _MAX_DOUBLINGS))
