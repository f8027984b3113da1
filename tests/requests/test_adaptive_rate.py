from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async._requests.adaptive_rate import AdaptiveRate
from jogg_async._requests.refusal import Refusal


class Server(Protocol):
    def wait(self, now: float) -> float | None:
        """Return `None` to accept a request, or the seconds to wait if it is refused."""


@dataclass
class Bucket:
    """Token bucket, like that of the fake service."""

    rate: float
    burst: int = 10
    retry_after: float = 1.0
    tokens: float = math.inf
    filled_at: float = 0.0

    def wait(self, now: float) -> float | None:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return self.retry_after
        self.tokens -= 1
        return None


@dataclass
class Window:
    """Fixed window: accept `requests` requests in each; a refusal names the seconds to its end, rounded up."""

    requests: int
    seconds: float
    taken: dict[int, int] = field(default_factory=dict[int, int])

    def wait(self, now: float) -> float | None:
        window = int(now // self.seconds)
        self.taken[window] = self.taken.get(window, 0) + 1
        if self.taken[window] <= self.requests:
            return None
        return max(1, math.ceil((window + 1) * self.seconds - now))


@dataclass
class Outage:
    """Refuse every request until a time, then accept every request."""

    until: float
    retry_after: float = 1.0

    def wait(self, now: float) -> float | None:
        return self.retry_after if now < self.until else None


@dataclass
class Crawled:
    ended_at: float
    sent: int = 0
    refused: int = 0
    rates: list[float | None] = field(default_factory=list[float | None])


def crawl(
    adaptive: AdaptiveRate, server: Server, requests: int, *, concurrency: int = 8, start: float = 0.0, seed: int = 0
) -> Crawled:
    """Send requests as fast as the rate allows until each is accepted, on a simulated clock."""
    chance = random.Random(seed)
    done = Crawled(start)
    order = itertools.count()
    events: list[tuple[float, int, float, float | None, bool]] = []
    now, refused_at, in_flight = start, -math.inf, 0
    while requests or events:
        due = now + adaptive.delay(now) if requests and in_flight < concurrency else math.inf
        if not events or due < events[0][0]:
            now = due
            assert adaptive.paused(now) < 1e-6
            adaptive.sent(now)
            done.sent += 1
            done.rates.append(adaptive.rate(now))
            requests, in_flight = requests - 1, in_flight + 1
            heapq.heappush(events, (now + chance.uniform(0.0025, 0.025), next(order), now, None, False))
            continue
        now, _, sent_at, wait, responded = heapq.heappop(events)
        if not responded:
            heapq.heappush(events, (now + chance.uniform(0.0025, 0.025), next(order), sent_at, server.wait(now), True))
            continue
        in_flight -= 1
        if wait is None:
            adaptive.accepted(now)
            continue
        requests, done.refused = requests + 1, done.refused + 1
        first = sent_at > refused_at
        refused_at = now if first else refused_at
        adaptive.refused(now, wait, sent_at=sent_at, first=first)
    done.ended_at = now
    return done


def limited(accepted: int = 100, every: float = 0.02) -> tuple[AdaptiveRate, float]:
    """Return a rate after `accepted` requests and one refusal with a wait of a second, and the time then."""
    adaptive = AdaptiveRate(0.0, 8)
    now = 0.0
    for _ in range(accepted):
        adaptive.sent(now)
        adaptive.accepted(now)
        now += every
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    return adaptive, now


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50), st.floats(-1e6, 1e6))
def test_no_rate_is_set_before_the_first_refusal(steps: list[tuple[float, bool]], now: float) -> None:
    adaptive = AdaptiveRate(now, 8)
    for passed, accepts in steps:
        now += passed
        assert (adaptive.rate(now), adaptive.delay(now), adaptive.paused(now), adaptive.limited) == (
            None,
            0.0,
            0.0,
            False,
        )
        adaptive.sent(now)
        if accepts:
            adaptive.accepted(now)


STEPS = st.tuples(
    st.sampled_from(["send", "accept", "refuse", "refuse again"]), st.floats(0, 60), st.floats(0, 300), st.booleans()
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_rate_and_pause_stay_finite_for_any_sequence_of_refusals(steps: list[tuple[str, float, float, bool]]) -> None:
    adaptive, now, resume = AdaptiveRate(0.0, 8), 0.0, 0.0
    for step, passed, wait, waits in steps:
        now += passed
        if step == "send":
            if waits:
                now += adaptive.delay(now)
            adaptive.sent(now)
        elif step == "accept":
            adaptive.accepted(now)
        else:
            adaptive.refused(now, wait, sent_at=now, first=step == "refuse")
            resume = max(resume, now + wait)
        assert adaptive.paused(now) == pytest.approx(max(0.0, resume - now))
        assert adaptive.paused(now) <= adaptive.delay(now) < math.inf
        rate = adaptive.rate(now)
        assert rate is None or 0 < rate < math.inf


@pytest.mark.parametrize("idle", [10.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("refusals", [1, 2])
def test_rate_stays_finite_after_a_long_idle_time(idle: float, refusals: int) -> None:
    adaptive, now = limited()
    if refusals == 2:
        adaptive.accepted(now + 2)
        adaptive.refused(now + 2, 1.0, sent_at=now, first=True)
    before = adaptive.rate(now + 3)
    rate = adaptive.rate(now + idle)
    assert before is not None
    assert rate is not None
    assert before < rate < math.inf
    assert adaptive.delay(now + idle) == 0
    adaptive.sent(now + idle)
    assert adaptive.delay(now + idle) < 1


def test_pause_lasts_its_whole_wait_and_is_never_shortened() -> None:
    adaptive, now = limited()
    assert (adaptive.paused(now), adaptive.delay(now)) == (1.0, 1.0)
    assert adaptive.paused(now + 0.75) == pytest.approx(0.25)
    adaptive.refused(now + 0.1, 0.2, sent_at=now, first=False)
    assert adaptive.paused(now + 0.5) == pytest.approx(0.5)
    adaptive.refused(now + 0.2, 3.0, sent_at=now, first=False)
    assert adaptive.paused(now + 0.5) == pytest.approx(2.7)
    assert adaptive.paused(now + 9) == 0


def test_later_refusals_of_the_same_burst_do_not_change_the_rate() -> None:
    adaptive, now = limited()
    before = adaptive.rate(now + 1)
    for _ in range(7):
        adaptive.refused(now, 1.0, sent_at=now, first=False)
    assert adaptive.rate(now + 1) == before


def test_search_starts_above_the_accepted_rate_and_doubles_within_half_a_second() -> None:
    adaptive, now = limited(accepted=60, every=0.02)  # 60 in 1.2 s, and a wait of 1 s
    assert adaptive.rate(now + 1) == pytest.approx(1.5 * 60 / 2.2)
    assert adaptive.rate(now + 1.5) == pytest.approx(2 * 1.5 * 60 / 2.2)


def held_back(adaptive: AdaptiveRate, now: float, requests: int) -> float:
    """Send requests as soon as the rate allows, each accepted at once; return the time after the last."""
    for _ in range(requests):
        now += adaptive.delay(now)
        adaptive.sent(now)
        adaptive.accepted(now)
    return now


def test_refusal_at_the_learnt_rate_sets_a_ceiling_to_climb_back_to() -> None:
    adaptive, now = limited()
    now = held_back(adaptive, now, 100)
    before = adaptive.rate(now)
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    start, later, end = (adaptive.rate(now + 1 + seconds) for seconds in (0, 15, 30))
    assert before is not None
    assert start is not None
    assert later is not None
    assert end is not None
    assert 0.45 * before <= end <= before
    assert start == pytest.approx(0.9 * end)
    assert start < later < end


def test_climb_to_the_ceiling_takes_at_most_a_minute() -> None:
    adaptive, now = limited()
    now = held_back(adaptive, now, 100)
    adaptive.refused(now, 300.0, sent_at=now, first=True)
    start = adaptive.rate(now + 300)
    assert start is not None
    assert adaptive.rate(now + 300 + 60) == pytest.approx(start / 0.9)
    assert (adaptive.rate(now + 300 + 59) or 0) < start / 0.9


def test_refusal_does_not_lower_a_rate_that_the_crawl_did_not_reach() -> None:
    """Requests that the crawl itself sent more slowly do not show the limit of the service."""
    adaptive, now = limited()
    now += 30  # the rate has doubled out of sight
    for _ in range(100):
        adaptive.sent(now)
        adaptive.accepted(now)
        now += 0.02
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) == pytest.approx(50, rel=0.05)
    assert (adaptive.rate(now + 2) or 0) > 150


def test_random_refusal_sets_no_rate() -> None:
    adaptive, now = AdaptiveRate(0.0, 8), 0.0
    for _ in range(20):
        adaptive.sent(now)
        adaptive.accepted(now)
        now += 0.005
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    for _ in range(7):
        adaptive.accepted(now + 0.01)
    assert adaptive.rate(now + 1) is None
    assert adaptive.in_flight == 8


def test_refusal_of_all_requests_in_flight_sets_a_rate_and_halves_their_number() -> None:
    adaptive, now = AdaptiveRate(0.0, 8), 0.0
    for _ in range(20):
        adaptive.sent(now)
        adaptive.accepted(now)
        now += 0.005
    for place in range(8):
        adaptive.refused(now, 1.0, sent_at=now, first=not place)
    assert adaptive.rate(now + 1) == pytest.approx(1.5 * 20 / 1.1)
    assert adaptive.in_flight == 4
    assert adaptive._burst == 20


def refused_early(adaptive: AdaptiveRate, now: float) -> list[float]:
    """Refuse every thirtieth request until no rate is set; return the rates in between."""
    rates: list[float] = []
    while (rate := adaptive.rate(now + 1)) is not None and len(rates) < 20:
        rates.append(rate)
        now = held_back(adaptive, now + 1, 30)
        adaptive.refused(now, 1.0, sent_at=now, first=True)
    return rates


def test_unconfirmed_ceiling_that_was_too_high_is_dropped() -> None:
    assert len(refused_early(*limited())) == 2


def test_confirmed_limit_below_a_sustained_rate_is_dropped() -> None:
    adaptive, now = limited()
    for _ in range(7):
        adaptive.refused(now, 1.0, sent_at=now, first=False)
    rates = refused_early(adaptive, now)
    assert 3 <= len(rates) <= 12
    assert rates[-1] < rates[1]


def test_two_refusals_of_unknown_cause_after_a_random_one_are_ignored() -> None:
    adaptive, now = AdaptiveRate(0.0, 8), 0.0
    for others_accepted in (7, 0, 0):  # the second and the third show no cause
        now = held_back(adaptive, now, 20) + 0.1
        adaptive.refused(now, 1.0, sent_at=now, first=True)
        for _ in range(others_accepted):
            adaptive.accepted(now + 0.01)
        now += 1
        assert adaptive.rate(now) is None
    now = held_back(adaptive, now, 20) + 0.1
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) is not None


def test_refusal_sets_no_ceiling_while_the_number_in_flight_limits_requests() -> None:
    adaptive, now = limited(accepted=10)
    now += 1 + 5  # the search is at a thousand and more a second
    for _ in range(20):
        for _ in range(8):  # eight at once, as fast as the responses to the last eight came
            adaptive.sent(now)
            adaptive.accepted(now)
        now += 0.03
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) is not None
    assert adaptive._ceiling is None


def test_refused_first_request_after_a_pause_does_not_lower_the_rate() -> None:
    for is_first, is_lowered in ((True, False), (False, True)):
        adaptive, now = limited(accepted=10)
        now += 1  # the pause ends, and the search begins
        before = adaptive.rate(now)
        adaptive.sent(now)
        if not is_first:
            adaptive.accepted(now + 0.05)
            adaptive.sent(now + 0.06)
        adaptive.refused(now + 0.1, 1.0, sent_at=now if is_first else now + 0.06, first=True)
        adaptive.accepted(now + 0.11)  # it was in flight
        assert before is not None
        assert ((adaptive.rate(now + 1.2) or 0) < before) is is_lowered


def test_refusals_after_every_single_request_are_a_rate_limit() -> None:
    adaptive, now = AdaptiveRate(0.0, 1), 0.0
    for _ in range(6):
        adaptive.sent(now)
        adaptive.accepted(now + 0.01)
        adaptive.sent(now + 0.01)
        adaptive.refused(now + 0.02, 1.0, sent_at=now + 0.01, first=True)
        now += 1.02
    assert adaptive.rate(now) is not None
    assert adaptive._confirmed


def with_ceiling(ceiling: float, climb: float, *, burst: int = 0) -> AdaptiveRate:
    adaptive = AdaptiveRate(0.0, 8)
    adaptive._ceiling, adaptive._climb, adaptive._burst, adaptive._confirmed = ceiling, climb, burst, True
    return adaptive


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        (-1.0, 90.0),
        (0.0, 90.0),
        (5.0, 98.75),
        (10.0, 100.0),
        (15.0, 101.25),
        (15.5, 202.5),
        (16.0, 405.0),
        (35.0, 101.25 * 2**40),
        (1e9, 101.25 * 2**40),
    ],
)
def test_rate_climbs_to_the_ceiling_stays_about_there_and_then_doubles(seconds: float, rate: float) -> None:
    assert with_ceiling(100, 10).rate(seconds) == pytest.approx(rate)


@pytest.mark.parametrize(("wait", "climb"), [(0.01, 3.0), (0.1, 3.0), (0.2, 6.0), (1.9, 57.0), (2.1, 60.0), (99, 60.0)])
def test_first_climb_takes_thirty_pauses_within_bounds(wait: float, climb: float) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    adaptive._search = 20.0
    now = held_back(adaptive, 0.0, 100)
    adaptive.refused(now, wait, sent_at=now, first=True)
    now += wait
    start = adaptive.rate(now)
    assert start is not None
    assert adaptive.rate(now + climb) == pytest.approx(start / 0.9)
    assert adaptive.rate(now + 1.5 * climb + 1) == pytest.approx(4.05 * start / 0.9)


@pytest.mark.parametrize(
    ("ceiling", "span", "accepted", "recent", "estimate"),
    [
        # The first ceiling: the recent rate; less what a bucket had refilled in a pause longer than the span.
        (None, 1.0, 60, 80.0, 80.0),
        (None, 0.9, 95, 80.0, (50 * 80.0**2) ** (1 / 3)),
        (None, 0.9, 19, 200.0, 50.0),  # (10 * 100**2) ** (1 / 3), but at least half the rate at the refusal
        (None, 1.0, 60, 20.0, 50.0),
        # The climb to the last ceiling failed early.
        (90.0, 3.0, 200, 80.0, (50 * 80.0**2) ** (1 / 3)),
        # It succeeded: what came beyond the ceiling may have been refilled.
        (90.0, 9.0, 400, 85.0, 85.0),
        (90.0, 9.0, 400, 95.0, 90.0),
        (60.0, 9.0, 400, 95.0, 85.0),
        (60.0, 9.0, 400, 300.0, 90.0),
    ],
)
def test_ceiling_is_estimated_from_what_was_accepted_before_the_refusal(
    ceiling: float | None, span: float, accepted: int, recent: float, estimate: float
) -> None:
    adaptive = with_ceiling(60, climb=9, burst=10)
    adaptive._ceiling = ceiling
    refusal = Refusal(100.0, span, 1.0, accepted, recent)
    assert adaptive._estimate(refusal, 100.0) == pytest.approx(estimate)


@pytest.mark.parametrize(("late", "lowers"), [(0.0, True), (0.024, True), (0.026, False), (1.0, False)])
def test_refusal_sets_a_ceiling_if_the_rate_held_back_its_request_to_half_the_slack(late: float, lowers: bool) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    adaptive._search = 20.0
    now = held_back(adaptive, 0.0, 100)
    now += adaptive.delay(now) + late
    adaptive.sent(now)
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) is not None
    assert (adaptive._ceiling is not None) is lowers


def test_number_in_flight_is_halved_down_to_1_and_recovers_by_a_quarter_per_accepted_request() -> None:
    adaptive, now, found = AdaptiveRate(0.0, 8), 0.0, [8.0]
    assert adaptive.in_flight == 8
    for _ in range(4):
        now = held_back(adaptive, now, 1)
        for place in range(8):
            adaptive.refused(now, 1.0, sent_at=now, first=not place)
        now += 1
        assert adaptive.rate(now) is not None
        found.append(adaptive.in_flight)
    for _ in range(29):
        adaptive.accepted(now)
        found.append(adaptive.in_flight)
    assert found[:5] == [8, 4, 2.125, 1.1875, 1]
    assert found[5:7] == [1.25, 1.5]
    assert found[-2:] == [8, 8]


@pytest.mark.parametrize(("gap", "span"), [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.1, 1.0), (1.5, 1.0), (600.0, 1.0)])
def test_idle_time_longer_than_a_second_is_left_out_of_the_measured_rate(gap: float, span: float) -> None:
    adaptive, begun = AdaptiveRate(0.0, 8), gap
    adaptive.sent(0.0)
    for number in range(20):
        adaptive.accepted(begun + number / 20)
    adaptive.refused(begun + 1, 1.0, sent_at=begun + 1, first=True)
    assert adaptive.rate(begun + 2) == pytest.approx(1.5 * 20 / (span + 1))


def test_refusal_that_arrives_after_the_pause_is_no_evidence_of_its_cause() -> None:
    adaptive, now = limited()
    for _ in range(3):
        adaptive.refused(now + 1.5, 1.0, sent_at=now, first=False)
    assert adaptive.rate(now + 2.5) is not None
    assert not adaptive._confirmed


def test_requests_accepted_during_the_pause_count_as_sent_before_it() -> None:
    adaptive, now = limited(accepted=20, every=0.005)
    adaptive.accepted(now + 0.02)
    assert adaptive.rate(now + 1) == pytest.approx(1.5 * 21 / 1.1)


@pytest.mark.parametrize(
    ("refused", "accepted", "limit"),
    [(0, 0, None), (1, 0, None), (2, 0, True), (0, 1, None), (0, 2, False), (1, 5, False), (3, 2, True)],
)
def test_each_request_in_flight_at_a_refusal_is_counted_once(refused: int, accepted: int, limit: bool | None) -> None:
    adaptive, now = limited(accepted=20, every=0.005)
    for _ in range(refused):
        adaptive.refused(now + 0.01, 1.0, sent_at=now, first=False)
    for _ in range(accepted):
        adaptive.accepted(now + 0.02)
    assert (adaptive.rate(now + 2) is None, adaptive._confirmed) == (limit is False, limit is True)


@pytest.mark.parametrize("late", [1.0, 1.2])
def test_request_accepted_after_the_pause_counts_as_sent_after_it(late: float) -> None:
    adaptive, now = limited(accepted=20, every=0.005)
    adaptive.accepted(now + late)
    assert adaptive.rate(now + 1) == pytest.approx(1.5 * 20 / 1.1)
    assert adaptive._accepted == 1


LIMIT, CHANCE, UNKNOWN = (7, 0), (0, 7), (0, 0)
"""How many in flight at a refusal were refused and accepted, by its cause."""


@pytest.mark.parametrize(
    ("before", "sustained", "returned"), [(None, 0, 0), (0.0, 20, 0), (5.0, 20, 5), (30.0, 30, 30)]
)
@pytest.mark.parametrize(
    ("span", "others", "held", "burst"),
    [
        (0.4, UNKNOWN, 0, 28),
        (0.4, LIMIT, 0, 28),
        (0.4, LIMIT, 50, 50),
        (0.4, CHANCE, 5, 5),
        (0.5, LIMIT, 5, 5),
    ],
)
def test_refusal_raises_the_sustained_rate_from_the_second_on_and_the_burst_if_it_is_immediate(  # noqa: PLR0917 (a table)
    before: float | None, sustained: float, returned: float, span: float, others: tuple[int, int], held: int, burst: int
) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    adaptive._sustained, adaptive._burst = before, held
    refusal = Refusal(None, span, 1.0, round(20 * (span + 1)), 120.0, *others)
    assert adaptive._measure(refusal) == returned
    assert adaptive._sustained == pytest.approx(sustained)
    assert adaptive._burst == burst


Learnt = tuple[str, float, bool, int, float]
"""Name and value of what is set, whether a limit is confirmed, refusals excused from now on, and sustained rate."""

BETWEEN = (50 * 60.0**2) ** (1 / 3)
"""Estimate between the sustained rate, 50, and the recent one, 60."""

LESSONS: dict[str, tuple[dict[str, Any], dict[str, Any], Learnt]] = {
    "a limit is met without a rate": (
        {"_sustained": 50.0, "_lifts": 2, "_ignorable": 4},
        {"others": LIMIT, "before": 15.0},
        ("search", 30, True, 0, 15),
    ),
    "a limit is met right after a pause": (
        {"_ceiling": 100.0, "_lifts": 2, "_ignorable": 4},
        {"rate": 100.0, "others": LIMIT, "before": 25.0, "span": 0.4, "accepted": 28},
        ("search", 30, True, 0, 20),
    ),
    "a limit is met at a rate": (
        {"_search": 100.0, "_lifts": 2, "_ignorable": 4},
        {"rate": 100.0, "others": LIMIT},
        ("ceiling", 60, False, 4, 0),
    ),
    "an excused refusal": ({"_ceiling": 50.0, "_lifts": 1, "_ignorable": 2}, {"rate": 50.0}, ("", 0, False, 1, 0)),
    "an excused refusal long after the pause": (
        {"_search": 100.0, "_lifts": 1, "_ignorable": 2},
        {"rate": 100.0, "span": 4.0, "accepted": 100},
        ("ceiling", 60, False, 2, 0),
    ),
    "the first refusal by chance": ({"_confirmed": True}, {"others": CHANCE}, ("", 0, False, 2, 0)),
    "a later refusal by chance": (
        {"_lifts": 1, "_sustained": 44.0}, {"others": CHANCE}, ("search", 44, False, 0, 44)
    ),
    "a refusal by chance long after the pause": (
        {}, {"others": CHANCE, "span": 4.0, "accepted": 100}, ("search", 30, False, 0, 0)
    ),
    "a refusal of unknown cause": ({}, {}, ("search", 30, False, 0, 0)),
    "a slow service": (
        {}, {"span": 60.0, "wait": 60.0, "accepted": 5, "recent": 0.1}, ("search", 0.1, False, 0, 0)
    ),
    "a slow rate": (
        {"_search": 0.5},
        {"rate": 0.5, "span": 90.0, "wait": 30.0, "accepted": 40, "recent": 0.4},
        ("ceiling", 0.4, False, 0, 0),
    ),
    "a rate that was sustained before": (
        {"_ceiling": 50.0, "_confirmed": True}, {"rate": 40.0, "before": 40.0}, ("", 0, False, 2, 28)
    ),
    "a rate below the sustained one": (
        {"_ceiling": 50.0}, {"rate": 16.0, "before": 17.0, "accepted": 75}, ("", 0, False, 2, 21)
    ),
    "an unconfirmed ceiling that is too high": ({"_ceiling": 90.0}, {"rate": 85.0}, ("", 0, False, 2, 0)),
    "a confirmed ceiling that is too high": (
        {"_ceiling": 90.0, "_confirmed": True}, {"rate": 85.0, "accepted": 125}, ("ceiling", BETWEEN, True, 0, 0)
    ),
    "a confirmed ceiling that is too high after excuses": (
        {"_ceiling": 90.0, "_confirmed": True, "_lifts": 1}, {"rate": 85.0}, ("", 0, False, 4, 0)
    ),
    "an unconfirmed ceiling long after the pause": (
        {"_ceiling": 90.0}, {"rate": 85.0, "span": 4.0, "accepted": 250}, ("ceiling", BETWEEN, False, 0, 0)
    ),
    "a whole climb": (
        {"_ceiling": 90.0, "_climb": 1.5, "_lifts": 1}, {"rate": 85.0}, ("ceiling", 60, True, 0, 0)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("state", "refused", "learnt"), LESSONS.values(), ids=LESSONS)
def test_refusal_sets_a_ceiling_or_a_search_or_is_excused(
    state: dict[str, Any], refused: dict[str, Any], learnt: Learnt
) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    for name, value in ({"_climb": 10.0, "_sustained": 0.0} | state).items():
        setattr(adaptive, name, value)
    facts: dict[str, Any] = {"rate": None, "span": 1.5, "wait": 1.0, "accepted": 50, "recent": 60.0} | refused
    others, before = facts.pop("others", UNKNOWN), facts.pop("before", 0.0)
    adaptive._learn(Refusal(*facts.values(), *others), before)
    kind = "ceiling" if adaptive._ceiling else "search" if adaptive._search else ""
    value = adaptive._ceiling or adaptive._search or 0
    assert (kind, adaptive._confirmed, adaptive._ignorable) == (learnt[0], *learnt[2:4])
    assert (value, adaptive._sustained) == pytest.approx((learnt[1], learnt[4]))
    assert adaptive.in_flight == (4 if kind else 8)


def excused() -> AdaptiveRate:
    """Return a rate for which the next four refusals count as chance."""
    adaptive = AdaptiveRate(0.0, 8)
    adaptive._lifts, adaptive._ignorable = 2, 4
    return adaptive


def refused_soon(adaptive: AdaptiveRate, now: float) -> float | None:
    """Refuse one of thirty requests; return the rate after it."""
    now = held_back(adaptive, now + 1, 30)
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    return adaptive.rate(now + 1)


def test_limit_met_after_a_whole_climb_ends_the_excuses_of_refusals() -> None:
    adaptive = excused()
    adaptive._ceiling, adaptive._climb = 50.0, 3.0
    now = held_back(adaptive, 0.0, 200)  # four seconds
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert refused_soon(adaptive, now) is not None


def test_refusal_of_all_in_flight_ends_the_excuses_of_refusals() -> None:
    adaptive, now = excused(), 0.0
    now = held_back(adaptive, now, 20) + 0.1
    for place in range(8):
        adaptive.refused(now, 1.0, sent_at=now, first=not place)
    assert refused_soon(adaptive, now) is not None


def test_ceiling_is_not_set_below_a_sustained_rate() -> None:
    adaptive = with_ceiling(50, 30)
    adaptive._sustained = 44.0
    now = held_back(adaptive, 0.0, 20)
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) == pytest.approx(0.9 * 44)


def test_search_does_not_start_below_a_sustained_rate() -> None:
    adaptive, now = AdaptiveRate(0.0, 8), 0.0
    adaptive._sustained = 44.0
    for _ in range(3):
        adaptive.sent(now)
        adaptive.accepted(now)
        now += 0.1
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) == pytest.approx(44)


def test_number_of_ignored_refusals_doubles_up_to_sixteen() -> None:
    adaptive = AdaptiveRate(0.0, 8)
    ignored: list[int] = []
    for _ in range(6):
        adaptive._lift_limit()
        ignored.append(adaptive._ignorable)
    assert ignored == [2, 4, 8, 16, 16, 16]


def test_failed_probe_subtracts_the_burst_from_the_measured_rate() -> None:
    """Ten requests beyond the rate were accepted because the bucket was full."""
    adaptive = with_ceiling(50, 3, burst=10)
    now = held_back(adaptive, 0.0, 50 * 6)
    recent = len(adaptive._recent)
    assert recent > 65
    adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.rate(now + 1) == pytest.approx(0.9 * (recent - 10))


@pytest.mark.parametrize(
    ("wait", "burst", "climbs"),
    [(1.0, 0, [30.0]), (1.0, 25, [15.0]), (1.0, 100, [6.0, 8.0, 8.0]), (5.0, 0, [60.0])],
)
def test_time_between_probes_grows_with_the_cost_of_a_failed_one(wait: float, burst: int, climbs: list[float]) -> None:
    adaptive, now = with_ceiling(50, 3, burst=burst), 0.0
    for climb in climbs:
        while adaptive.rate(now) is not None and now - adaptive._resume < 1.5 * adaptive._climb:
            now = held_back(adaptive, now, 1)
        adaptive.refused(now, wait, sent_at=now, first=True)
        now += wait
        assert adaptive.rate(now) is not None
        assert adaptive._climb == pytest.approx(climb, rel=0.05)


def test_slow_rate_is_measured_over_its_long_gaps() -> None:
    adaptive = with_ceiling(0.5, 1e3)
    held_back(adaptive, 0.0, 10)
    assert adaptive._accepted == 10


def test_outage_sets_no_rate() -> None:
    adaptive = AdaptiveRate(0.0, 8)
    for second in range(5):
        adaptive.sent(float(second))
        adaptive.refused(float(second), 1.0, sent_at=float(second), first=True)
    assert adaptive.rate(6.0) is None
    assert adaptive.in_flight == 8


@pytest.mark.parametrize("late", [0.01, 0.04])
def test_timers_that_fire_late_do_not_lower_the_rate(late: float) -> None:
    adaptive, now = limited()
    adaptive._search, adaptive._ceiling, adaptive._refusal = None, 100.0, None
    adaptive._resume = adaptive._next = now
    adaptive._climb = 1e9  # constant
    started = now
    for _ in range(400):
        if delay := adaptive.delay(now):
            now += delay + late
        adaptive.sent(now)
    assert 400 / (now - started) == pytest.approx(90, rel=0.05)


def test_long_delay_is_not_followed_by_a_burst() -> None:
    adaptive, now = limited()
    adaptive._search, adaptive._ceiling, adaptive._refusal, adaptive._climb = None, 100.0, None, 1e9
    adaptive._resume = adaptive._next = now
    now += 10
    at_once = 0
    while not adaptive.delay(now):
        adaptive.sent(now)
        at_once += 1
    assert at_once in {5, 6}  # what 0.05 s are worth, at 90 a second, and one


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("concurrency", [8, 16])
@pytest.mark.parametrize(("requests", "share"), [(300, 2.0), (1500, 1.25)])
def test_crawl_through_a_token_bucket_is_near_the_ideal_time(
    requests: int, share: float, concurrency: int, seed: int
) -> None:
    done = crawl(AdaptiveRate(0.0, 8), Bucket(50), requests, concurrency=concurrency, seed=seed)
    assert done.ended_at <= share * (requests - 10) / 50
    assert done.refused <= (0.05 if concurrency == 8 else 0.1) * done.sent


@pytest.mark.parametrize(
    ("rate", "burst", "retry_after", "share"),
    [(5, 10, 1, 1.1), (50, 50, 1, 1.2), (50, 10, 0.1, 1.2), (10, 10, 10, 1.7), (50, 10, 5, 1.6), (200, 10, 1, 2.0)],
)
def test_crawl_through_token_buckets_of_other_rates_and_bursts_is_near_the_ideal_time(
    rate: float, burst: int, retry_after: float, share: float
) -> None:
    done = crawl(AdaptiveRate(0.0, 8), Bucket(rate, burst, retry_after), 1500)
    assert done.ended_at <= share * (1500 - burst) / rate
    assert done.refused <= 0.05 * done.sent


@pytest.mark.parametrize(
    ("requests", "seconds", "share"), [(20, 60, 1.1), (100, 10, 1.1), (600, 60, 1.1), (10, 1, 1.3), (50, 1, 1.5)]
)
def test_crawl_through_fixed_windows_is_near_the_ideal_time(requests: int, seconds: float, share: float) -> None:
    wanted = max(300, 6 * requests)
    done = crawl(AdaptiveRate(0.0, 8), Window(requests, seconds), wanted)
    assert done.ended_at <= share * wanted / requests * seconds
    assert done.refused <= 0.1 * done.sent


def test_rate_rises_when_the_limit_is_lifted() -> None:
    adaptive = AdaptiveRate(0.0, 8)
    before = crawl(adaptive, Bucket(50), 500)
    after = crawl(adaptive, Bucket(1e9, 10**9), 3000, start=before.ended_at)
    assert after.refused == 0
    assert after.ended_at - before.ended_at < 0.75 * 3000 / 50
    rates = [rate for rate in after.rates if rate is not None]
    assert rates == sorted(rates)
    assert rates[-1] > 125


@pytest.mark.parametrize(
    ("before", "outage"),
    [
        (300, 2.0),
        *[pytest.param(300, outage) for outage in (10.0, 30.0)],
        *[pytest.param(0, outage) for outage in (2.0, 10.0, 30.0)],
    ],
)
def test_rate_recovers_soon_after_an_outage(before: int, outage: float) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    start = crawl(adaptive, Bucket(50), before).ended_at
    ended_at = crawl(adaptive, Outage(start + outage), 300, start=start).ended_at
    assert ended_at - (start + outage) < 20


@pytest.mark.parametrize("idle", [60.0, *[pytest.param(idle) for idle in (3600.0, 86400.0)]])
def test_idle_time_before_the_first_refusal_does_not_lower_the_rate(idle: float) -> None:
    adaptive = AdaptiveRate(0.0, 8)
    crawl(adaptive, Bucket(50), 8)
    assert crawl(adaptive, Bucket(50), 300, start=idle).ended_at - idle < 2 * 300 / 50


def test_rate_stays_positive_under_endless_refusals() -> None:
    adaptive, now = limited()
    for _ in range(2000):
        now += adaptive.delay(now)
        adaptive.sent(now)
        adaptive.refused(now, 1.0, sent_at=now, first=True)
    assert adaptive.delay(now) <= 1.0
