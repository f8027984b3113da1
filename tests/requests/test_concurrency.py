"""Concurrency of a session: one bound for all requests, fair slots, backoff without a slot, rate limits, limiters."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiolimiter import AsyncLimiter

from jogg_async import (
    ConfigurationError,
    JoggSession,
    ParameterError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SessionClosedError,
    TransportError,
)
from jogg_async.testing import Fault, RateLimit
from tests.model import REJECTED, TRANSIENT, HeldResponses, ids, ids_from, iterate_loop, read_into, until

if TYPE_CHECKING:
    from types import TracebackType

    from jogg_async.testing import FakeJogg
    from tests.conftest import MakeFake, MakeSession


class CountingLimiter:
    """Limiter that admits every request and counts them."""

    def __init__(self) -> None:
        self.entered = self.inside = self.most = 0

    async def __aenter__(self) -> None:
        self.entered += 1
        self.inside += 1
        self.most = max(self.most, self.inside)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.inside -= 1


async def test_concurrency_of_the_session_bounds_all_pagers_together(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(60, latency=0.004)
    session = make_session(fake, concurrency=3)
    pagers = [session.tracks(page_size=5, concurrency=concurrency) for concurrency in (None, 2, 1, 9)]
    found = await asyncio.gather(*(ids_from(pager) for pager in pagers), session.page(), session.count())
    assert found[:4] == [list(range(1, 61))] * 4
    assert fake.max_in_flight == 3


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "8"])
def test_concurrency_below_one_is_rejected(concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency"):
        JoggSession("a-key", concurrency=concurrency)


async def test_a_page_beside_a_big_crawl_does_not_wait_for_it(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(2000, latency=0.01)
    session = make_session(fake, concurrency=12)
    async with session.tracks(page_size=10) as pager:
        await anext(pager)
        await until(lambda: fake.in_flight == 12)
        responded = len(fake.requests) - 12
        await session.page(1, page_size=7)
        (place,) = (place for place, seen in enumerate(fake.requests) if seen.page_size == 7)
        # Those in flight, and at the most one more request of the crawl, go before.
        assert place <= responded + 12 + 2 * 12
        position = [seen.page_size for seen in fake.requests[responded + 12 :]].index(7)
        assert position <= 12


async def test_slots_rotate_between_pagers(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(300)
    held = HeldResponses(fake)
    session = make_session(fake, concurrency=1)
    crawls = [asyncio.ensure_future(ids_from(session.tracks(page_size=size))) for size in (10, 20, 30)]
    single = asyncio.ensure_future(session.page(1, page_size=7))
    await iterate_loop()
    await held.release()
    await asyncio.gather(*crawls)
    assert len((await single).tracks) == 7
    sizes = [seen.page_size for seen in fake.requests]
    assert sizes.index(7) <= 4
    assert sizes[7:25].count(10) == sizes[7:25].count(20) == sizes[7:25].count(30) == 6


async def test_fifty_pagers_of_one_session_progress_evenly(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(200, latency=0.001)
    session = make_session(fake, concurrency=4)
    pagers = [session.tracks(page_size=20) for _ in range(50)]
    crawls = [asyncio.ensure_future(ids_from(pager)) for pager in pagers]
    await until(lambda: all(pager.progress.tracks for pager in pagers))
    assert max(pager.progress.pages_done for pager in pagers) <= 4
    assert await asyncio.gather(*crawls) == [list(range(1, 201))] * 50
    assert len(fake.requests) == 500


async def test_page_in_backoff_does_not_delay_other_requests(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(80)
    fake.fail(Fault.business(50000, retry_after=0.15), page=3)
    session = make_session(fake, concurrency=1)
    pager = session.tracks(page_size=10)
    assert await ids_from(pager) == list(range(1, 81))
    assert fake.pages == [1, 2, 3, 4, 5, 6, 7, 8, 3]
    assert fake.requests[8].at - fake.requests[2].at >= 0.15
    assert fake.requests[7].at - fake.requests[2].at < 0.14
    assert (pager.progress.requests, pager.progress.retries) == (9, 1)


async def test_rate_limit_of_a_crawl_pauses_other_requests_of_the_session(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(400)
    fake.fail(Fault.business(429, retry_after=0.2), page=5)
    session = make_session(fake, concurrency=4)
    crawl = asyncio.ensure_future(ids_from(session.tracks(page_size=10)))
    await until(lambda: any(seen.code == 429 for seen in fake.requests))
    assert len((await session.page(page_size=3)).tracks) == 3
    assert await crawl == list(range(1, 401))
    (refused,) = (seen for seen in fake.requests if seen.code == 429)
    later = [seen for seen in fake.requests if seen.at > refused.at]
    under_way = [seen for seen in later if seen.at < refused.at + 0.2]
    assert len(under_way) <= 4
    assert all(seen.at < refused.at + 0.1 for seen in under_way)
    assert 3 in {seen.page_size for seen in later}


async def test_rate_limit_lowers_the_number_in_flight_of_the_session(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(600)
    session = make_session(fake, concurrency=8)

    async def most_in_flight(expected: int) -> int:
        held = HeldResponses(fake)
        pages = [asyncio.ensure_future(session.page()) for _ in range(12)]
        await until(lambda: fake.in_flight >= expected, 5)
        await asyncio.sleep(0.05)
        most = fake.in_flight
        await held.release()
        await asyncio.gather(*pages)
        return most

    await ids_from(session.tracks(page_size=10))
    assert await most_in_flight(8) == 8
    fake.fail(Fault.business(429, retry_after=0.05))
    await session.page()
    assert await most_in_flight(4) == 4
    await ids_from(session.tracks(page_size=10))
    assert await most_in_flight(8) == 8


async def test_crawl_under_a_rate_limit_yields_every_track(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(300, rate_limit=RateLimit(rate=100, burst=10, retry_after=0.1))
    session = make_session(fake, retry=RetryPolicy())
    assert await ids_from(session.tracks(page_size=10)) == list(range(1, 301))
    assert 0 < fake.refused <= 16


async def test_the_limiter_is_entered_around_each_attempt(fake: FakeJogg, make_session: MakeSession) -> None:
    limiter = CountingLimiter()
    session = make_session(fake, limiter=limiter, concurrency=2)
    fake.fail(TRANSIENT, page=2, times=2)
    fake.fail(Fault.business(429, retry_after=0.02), page=1)
    assert len(await ids_from(session.tracks())) == 250
    assert limiter.entered == len(fake.requests) == 6
    assert limiter.inside == 0
    fake.fail(REJECTED)
    with pytest.raises(Exception, match="40000"):
        await session.page()
    assert (limiter.entered, limiter.inside) == (7, 0)


class SlowLimiter(CountingLimiter):
    """Limiter that takes some iterations of the event loop to leave."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await iterate_loop(5)
        await super().__aexit__(kind, error, traceback)


async def test_closing_again_does_not_cut_the_exit_of_a_limiter_short(fake: FakeJogg) -> None:
    fake.fail(Fault.stall(), times=None, after=1)
    limiter = SlowLimiter()
    async with JoggSession(fake.api_key, base_url=fake.url, limiter=limiter) as session:
        pager = session.tracks(page_size=10)
        await anext(pager)
        waiting = asyncio.ensure_future(session.page())
        await until(lambda: fake.in_flight == 8)
        del pager
        closing = asyncio.ensure_future(session.aclose())
        await iterate_loop(3)
    await closing
    with pytest.raises(SessionClosedError):
        await waiting
    assert limiter.entered == 10
    assert limiter.inside == 0


async def test_limiter_of_aiolimiter_slows_the_requests(fake: FakeJogg, make_session: MakeSession) -> None:
    session = make_session(fake, limiter=AsyncLimiter(5, 0.2))
    started = asyncio.get_running_loop().time()
    assert len(await ids_from(session.tracks(page_size=25))) == 250
    assert round(asyncio.get_running_loop().time() - started, 3) >= 0.15


async def test_a_page_does_not_wait_for_a_crawl_at_the_limiter(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(2000)
    session = make_session(fake, concurrency=2, limiter=AsyncLimiter(1, 0.01))
    async with session.tracks(page_size=10) as pager:
        await anext(pager)
        await until(lambda: len(fake.requests) == 4)
        await session.page(1, page_size=7)
        assert [seen.page_size for seen in fake.requests].index(7) <= 4 + 2 * 2


async def test_semaphore_as_limiter_does_not_block_the_retry_of_failed_pages(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    session = make_session(fake, limiter=asyncio.Semaphore(2))
    fake.fail(REJECTED, page=3)
    fake.fail(REJECTED, page=4)
    pager = session.tracks(page_size=10)
    found: list[int] = []
    failed: list[int | None] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            while len(found) < 100:
                try:
                    await read_into(found, pager)
                except ParameterError as error:
                    failed.append(error.page)
    await pager.aclose()
    assert (len(found), failed) == (100, [3, 4])


@pytest.mark.parametrize("fault", [TRANSIENT, Fault.business(429), Fault.html(502), Fault.truncate()], ids=str)
async def test_policy_of_one_attempt_sends_one_request(fake: FakeJogg, make_session: MakeSession, fault: Fault) -> None:
    fake.fail(fault, times=None)
    once = make_session(fake, retry=RetryPolicy(attempts=1, wait_initial=0.0))
    with pytest.raises((ServerError, RateLimitError, TransportError)) as caught:
        await once.page(2)
    assert len(fake.requests) == 1
    assert (getattr(caught.value, "page", 0), getattr(caught.value, "attempts", 0)) == (2, 1)


async def test_error_counts_the_attempts(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(TRANSIENT, times=None)
    with pytest.raises(ServerError) as caught:
        await jogg.page()
    assert caught.value.attempts == len(fake.requests) == 3


@pytest.mark.parametrize("code", [429, 50000])
async def test_wait_longer_than_the_policy_allows_raises_at_once(
    fake: FakeJogg, make_session: MakeSession, code: int
) -> None:
    session = make_session(fake, retry=RetryPolicy(max_retry_after=5))
    fake.fail(Fault.business(code, retry_after=6))
    started = asyncio.get_running_loop().time()
    with pytest.raises((RateLimitError, ServerError)) as caught:
        await session.page()
    assert (getattr(caught.value, "retry_after", None), caught.value.attempts) == (6, 1)
    assert len((await session.page()).tracks) == 10
    fake.fail(Fault.business(code, retry_after=4))
    patient = make_session(fake, retry=RetryPolicy(timeout=3))
    with pytest.raises((RateLimitError, ServerError)):
        await patient.page()
    assert asyncio.get_running_loop().time() - started < 1


async def test_request_is_not_sent_again_before_the_wait_that_the_service_named(
    fake: FakeJogg, jogg: JoggSession
) -> None:
    for code in (429, 50000):
        fake.clear()
        fake.fail(Fault.business(code, retry_after=0.1))
        assert ids((await jogg.page()).tracks) == list(range(1, 11))
        first, second = fake.requests
        assert 0.1 <= second.at - first.at < 0.4
