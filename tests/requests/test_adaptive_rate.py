from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async._requests.adaptive_rate import Pace


class Server(Protocol):
    def wait(self, now: float) -> float | None:
        """Take a request, or name the wait of a refusal."""


@dataclass
class Bucket:
    """A token bucket, as the fake service has it."""

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
    """So many requests in each window; a refusal names the window's end, in whole seconds."""

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
    """Refuses all until a moment, then takes all."""

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
    pace: Pace, server: Server, requests: int, *, concurrency: int = 8, start: float = 0.0, seed: int = 0
) -> Crawled:
    """Send so many requests until the server took each, as fast as the pace allows, on a clock of its own."""
    chance = random.Random(seed)
    done = Crawled(start)
    order = itertools.count()
    events: list[tuple[float, int, float, float | None, bool]] = []
    now, refused_at, in_flight = start, -math.inf, 0
    while requests or events:
        due = now + pace.delay(now) if requests and in_flight < concurrency else math.inf
        if not events or due < events[0][0]:
            now = due
            assert pace.paused(now) < 1e-6
            pace.sent(now)
            done.sent += 1
            done.rates.append(pace.rate(now))
            requests, in_flight = requests - 1, in_flight + 1
            heapq.heappush(events, (now + chance.uniform(0.0025, 0.025), next(order), now, None, False))
            continue
        now, _, sent_at, wait, answered = heapq.heappop(events)
        if not answered:
            heapq.heappush(events, (now + chance.uniform(0.0025, 0.025), next(order), sent_at, server.wait(now), True))
            continue
        in_flight -= 1
        if wait is None:
            pace.accepted(now)
            continue
        requests, done.refused = requests + 1, done.refused + 1
        first = sent_at > refused_at
        refused_at = now if first else refused_at
        pace.refused(now, wait, first=first)
    done.ended_at = now
    return done


def limited(accepted: int = 100, every: float = 0.02) -> tuple[Pace, float]:
    """A pace that met one refusal, with a wait of a second, after so many requests; and the clock."""
    pace = Pace(0.0)
    now = 0.0
    for _ in range(accepted):
        pace.sent(now)
        pace.accepted(now)
        now += every
    pace.refused(now, 1.0, first=True)
    return pace, now


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50), st.floats(-1e6, 1e6))
def test_before_the_first_refusal_there_is_no_rate(steps: list[tuple[float, bool]], now: float) -> None:
    pace = Pace(now)
    for passed, accepts in steps:
        now += passed
        assert (pace.rate(now), pace.delay(now), pace.paused(now), pace.limited) == (None, 0.0, 0.0, False)
        pace.sent(now)
        if accepts:
            pace.accepted(now)


STEPS = st.tuples(
    st.sampled_from(["send", "accept", "refuse", "refuse again"]), st.floats(0, 60), st.floats(0, 300), st.booleans()
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_no_refusal_leads_to_a_senseless_rate(steps: list[tuple[str, float, float, bool]]) -> None:
    pace, now, resume = Pace(0.0), 0.0, 0.0
    for step, passed, wait, waits in steps:
        now += passed
        if step == "send":
            if waits:
                now += pace.delay(now)
            pace.sent(now)
        elif step == "accept":
            pace.accepted(now)
        else:
            pace.refused(now, wait, first=step == "refuse")
            resume = max(resume, now + wait)
        assert pace.paused(now) == pytest.approx(max(0.0, resume - now))
        assert pace.paused(now) <= pace.delay(now) < math.inf
        rate = pace.rate(now)
        assert rate is None or 0 < rate < math.inf


@pytest.mark.parametrize("idle", [10.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("refusals", [1, 2])
def test_a_long_rest_overflows_nothing(idle: float, refusals: int) -> None:
    pace, now = limited()
    if refusals == 2:
        pace.accepted(now + 2)
        pace.refused(now + 2, 1.0, first=True)
    before = pace.rate(now + 3)
    rate = pace.rate(now + idle)
    assert before is not None
    assert rate is not None
    assert before < rate < math.inf
    assert pace.delay(now + idle) == 0
    pace.sent(now + idle)
    assert pace.delay(now + idle) < 1


def test_a_pause_holds_for_its_wait_and_is_never_shortened() -> None:
    pace, now = limited()
    assert (pace.paused(now), pace.delay(now)) == (1.0, 1.0)
    assert pace.paused(now + 0.75) == pytest.approx(0.25)
    pace.refused(now + 0.1, 0.2, first=False)
    assert pace.paused(now + 0.5) == pytest.approx(0.5)
    pace.refused(now + 0.2, 3.0, first=False)
    assert pace.paused(now + 0.5) == pytest.approx(2.7)
    assert pace.paused(now + 9) == 0


def test_the_rest_of_a_volley_says_nothing_new() -> None:
    pace, now = limited()
    before = pace.rate(now + 1)
    for _ in range(7):
        pace.refused(now, 1.0, first=False)
    assert pace.rate(now + 1) == before


def test_the_first_rate_is_what_the_service_took_and_doubles_soon() -> None:
    pace, now = limited(accepted=100, every=0.02)  # 100 in 2 s, and a wait of 1 s
    assert pace.rate(now + 1) == pytest.approx(100 / 3)
    assert pace.rate(now + 1.5) == pytest.approx(200 / 3)


def test_later_rates_are_a_little_below_what_the_service_took() -> None:
    pace, now = limited()
    for _ in range(6):
        now += 1
        for _ in range(100):
            pace.sent(now)
            pace.accepted(now)
            now += 0.02
        before = pace.rate(now)
        pace.refused(now, 1.0, first=True)
        rate = pace.rate(now + 1)
        assert before is not None
        assert rate is not None
        assert 0.4 * before < rate < before
    assert 35 < (pace.rate(now + 1) or 0) < 50


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("concurrency", [8, 16])
@pytest.mark.parametrize(("requests", "share"), [(300, 2.0), (1500, 1.25)])
def test_a_token_bucket_is_used_well(requests: int, share: float, concurrency: int, seed: int) -> None:
    done = crawl(Pace(0.0), Bucket(50), requests, concurrency=concurrency, seed=seed)
    assert done.ended_at <= share * (requests - 10) / 50
    assert done.refused <= (0.05 if concurrency == 8 else 0.1) * done.sent


@pytest.mark.parametrize(
    ("rate", "burst", "retry_after", "share"),
    [(5, 10, 1, 1.1), (50, 50, 1, 1.2), (50, 10, 0.1, 1.2), (10, 10, 10, 1.7), (50, 10, 5, 1.6), (200, 10, 1, 2.0)],
)
def test_other_buckets_are_used_too(rate: float, burst: int, retry_after: float, share: float) -> None:
    done = crawl(Pace(0.0), Bucket(rate, burst, retry_after), 1500)
    assert done.ended_at <= share * (1500 - burst) / rate
    assert done.refused <= 0.05 * done.sent


@pytest.mark.parametrize(
    ("requests", "seconds", "share"), [(20, 60, 1.1), (100, 10, 1.1), (600, 60, 1.1), (10, 1, 1.3), (50, 1, 1.5)]
)
def test_fixed_windows_are_used_well(requests: int, seconds: float, share: float) -> None:
    wanted = max(300, 6 * requests)
    done = crawl(Pace(0.0), Window(requests, seconds), wanted)
    assert done.ended_at <= share * wanted / requests * seconds
    assert done.refused <= 0.1 * done.sent


def test_the_rate_rises_when_the_limit_is_lifted() -> None:
    pace = Pace(0.0)
    before = crawl(pace, Bucket(50), 500)
    after = crawl(pace, Bucket(1e9, 10**9), 3000, start=before.ended_at)
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
def test_an_outage_is_soon_forgotten(before: int, outage: float) -> None:
    pace = Pace(0.0)
    start = crawl(pace, Bucket(50), before).ended_at
    ended_at = crawl(pace, Outage(start + outage), 300, start=start).ended_at
    assert ended_at - (start + outage) < 20


@pytest.mark.parametrize("idle", [60.0, *[pytest.param(idle) for idle in (3600.0, 86400.0)]])
def test_a_rest_before_the_first_refusal_does_not_count(idle: float) -> None:
    pace = Pace(0.0)
    crawl(pace, Bucket(50), 8)
    assert crawl(pace, Bucket(50), 300, start=idle).ended_at - idle < 2 * 300 / 50


def test_refusals_without_end_leave_a_rate() -> None:
    pace, now = limited()
    for _ in range(2000):
        now += pace.delay(now)
        pace.sent(now)
        pace.refused(now, 1.0, first=True)
    assert pace.delay(now) <= 1.0
