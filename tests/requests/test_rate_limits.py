"""Crawls through rate-limited services in virtual time. `python -m tests.requests.rate_simulation` prints a table."""

from __future__ import annotations

import statistics

import pytest

from .rate_simulation import CASES, Chance, OnePage, TokenBucket, Unlimited, crawl, measure

SEEDS = range(3)


@pytest.mark.parametrize("concurrency", [8, 16])
@pytest.mark.parametrize("name", CASES)
def test_crawl_under_each_rate_limit_is_near_the_ideal_time(name: str, concurrency: int) -> None:
    case = CASES[name]
    done = measure(case, concurrency, SEEDS)
    assert statistics.mean(done.ratios) <= case.most
    assert max(done.ratios) <= 1.25 * case.most


@pytest.mark.parametrize("concurrency", [8, 16])
@pytest.mark.parametrize("pages", [300, 1500])
def test_at_most_5_percent_of_requests_to_a_token_bucket_are_refused(pages: int, concurrency: int) -> None:
    done = [crawl(TokenBucket(50), pages, concurrency=concurrency, seed=seed) for seed in SEEDS]
    refused = statistics.mean(each.refused / each.sent for each in done)
    assert refused <= 0.05


@pytest.mark.parametrize("latency", [(0.0002, 0.001), (0.01, 0.02), (0.05, 0.1)])
@pytest.mark.parametrize("name", ["chance, 10 %, 200", "chance, 1 %, 2000", "one page, 500"])
def test_random_refusals_cost_little_more_than_their_pauses_at_any_latency(
    name: str, latency: tuple[float, float]
) -> None:
    case = CASES[name]
    without = crawl(Unlimited(), case.pages, latency=latency).seconds
    done = [crawl(case.service(seed), case.pages, latency=latency, seed=seed) for seed in SEEDS]
    assert statistics.mean((each.seconds - without) / each.paused for each in done) <= case.most


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("one page")])
def test_no_page_fails_under_any_rate_limit(name: str) -> None:
    done = crawl(CASES[name].service(0), CASES[name].pages)
    assert not done.failed
    assert done.attempts < 8


@pytest.mark.parametrize("concurrency", [1, 2, 3])
@pytest.mark.parametrize(
    ("rate", "burst", "wait"), [(5, 1, 0.2), (5, 1, 0.4), (5, 1, 1.0), (1, 1, 1.0), (5, 5, 0.2), (20, 1, 0.05)]
)
def test_few_requests_at_once_keep_to_the_rate_of_a_slow_service(
    rate: float, burst: int, wait: float, concurrency: int
) -> None:
    done = crawl(TokenBucket(rate, burst, wait), 200, concurrency=concurrency, latency=(0.0005, 0.002))
    assert not done.failed
    assert done.attempts <= 4
    assert done.refused <= 30
    assert done.seconds <= 2 * 200 / rate


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_random_refusals_of_few_requests_at_once_cost_little_more_than_their_pauses(
    share: float, concurrency: int
) -> None:
    without = crawl(Unlimited(), 300, concurrency=concurrency).seconds
    done = [crawl(Chance(share, seed), 300, concurrency=concurrency, seed=seed) for seed in SEEDS]
    assert statistics.mean((each.seconds - without) / each.paused for each in done) <= 1.5


def test_a_page_that_is_always_refused_fails_alone() -> None:
    assert crawl(OnePage(3), 100).failed == [3]


def test_crawl_is_fast_again_within_seconds_after_a_limit_is_lifted() -> None:
    case = CASES["limit 5, then 200/s"]
    lifted_after = crawl(TokenBucket(5), 50).seconds
    done = crawl(case.service(0), case.pages)
    assert done.seconds - lifted_after <= 750 / 200 + 8
