"""Crawls that failed in earlier versions: shrinking totals, outages, capped page sizes, changes across a checkpoint."""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from jogg_async import (
    CatalogueChangedError,
    CatalogueChangedWarning,
    JoggError,
    RetryPolicy,
    ServerError,
    SessionClosedError,
)
from jogg_async._paging.passes import History
from jogg_async.testing import FakeJogg, Fault
from tests.model import REJECTED, TRANSIENT, HeldResponses, ids, ids_from, iterate_loop, take, until, with_pagination

if TYPE_CHECKING:
    from jogg_async import JoggSession
    from tests.conftest import MakeFake, MakeSession

FIVE_TIMES = RetryPolicy(attempts=5, wait_initial=0.001, wait_jitter=0.001, timeout=None)


def delay_pages(fake: FakeJogg, **seconds: float) -> None:
    """Delay the responses of some pages: `page_2=0.3`."""

    async def wait(seen: Any) -> None:
        await asyncio.sleep(seconds.get(f"page_{seen.page}", 0))

    fake.on_request = wait


async def test_a_total_that_shrinks_and_grows_under_a_limit_does_not_hang(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    rows = [{"id": number} for number in range(1, 31)]
    rows[4] = {"id": 4}
    fake = await make_fake(rows)
    fake.fail(with_pagination(total_pages=2, total_items=2), page=10)
    delay_pages(fake, page_2=0.3)
    pager = make_session(fake).tracks(page_size=1, limit=10, on_drift="ignore")
    async with asyncio.timeout(5):
        assert await ids_from(pager) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


async def test_a_page_size_that_grows_while_the_lowest_page_is_cancelled_does_not_hang(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(30)
    fake.fail(with_pagination(total_pages=2, total_items=2), page=9)
    fake.fail(with_pagination(page_size=100), page=2)
    delay_pages(fake, page_2=0.2, page_3=0.3, page_9=0.1)
    pager = make_session(fake).tracks(page_size=1, limit=20, on_drift="ignore")
    async with asyncio.timeout(5):
        assert await ids_from(pager) == list(range(1, 21))


@pytest.mark.parametrize("concurrency", [1, 2, 8, 32])
@pytest.mark.parametrize("fault", [TRANSIENT, Fault.html(502), Fault.drop()], ids=lambda fault: fault.name)
async def test_number_of_requests_stays_bounded_during_an_outage(
    make_fake: MakeFake, make_session: MakeSession, concurrency: int, fault: Fault
) -> None:
    fake = await make_fake(2000)
    session = make_session(fake, concurrency=concurrency, retry=FIVE_TIMES)
    pager = session.tracks(page_size=1)
    assert await take(pager, 1) == [1]
    await pager.aclose()
    await until(lambda: fake.in_flight == 0)
    fake.clear()
    fake.fail(fault, times=None)
    pager = session.tracks(page_size=1, start_page=2)
    with pytest.raises(JoggError):
        await ids_from(pager)
    assert pager.progress.requests <= 2 * concurrency * 5


async def test_number_of_requests_stays_bounded_during_an_outage_after_the_first_page(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(2000)
    for number in range(2, 400):
        fake.fail(TRANSIENT, page=number, times=None)
    pager = make_session(fake, retry=FIVE_TIMES).tracks(page_size=1)
    with pytest.raises(ServerError) as caught:
        await ids_from(pager)
    assert (caught.value.page, caught.value.attempts) == (2, 5)
    assert len(fake.requests) <= 2 * 8 * 5


async def test_requests_in_backoff_are_replaced_while_others_succeed(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(200)
    for number in range(3, 40, 4):
        fake.fail(Fault.business(50000, retry_after=0.5), page=number)
    pager = make_session(fake, concurrency=4).tracks(page_size=1)
    step = asyncio.ensure_future(take(pager, 3))
    await until(lambda: len(fake.requests) >= 80)  # the whole window, before the first failed page is sent again
    assert not step.done()
    assert fake.pages.count(3) == 1
    assert await step == [1, 2, 3]
    assert await ids_from(pager) == list(range(4, 201))


async def test_a_request_cancelled_by_other_code_is_an_error_of_its_page(make_session: MakeSession) -> None:
    with FakeJogg(30) as fake:  # in a thread of its own: every task of this loop is the client's
        fake.fail(Fault.stall(), page=2)
        pager = make_session(fake).tracks(page_size=10)
        before = asyncio.all_tasks()
        assert await take(pager, 10) == list(range(1, 11))
        await until(lambda: len(fake.pages) == 3 and len(asyncio.all_tasks() - before) == 1)
        (request,) = asyncio.all_tasks() - before
        request.cancel()
        with pytest.raises(JoggError, match="cancelled from outside") as caught:
            await anext(pager)
        assert caught.value.page == 2
        assert await ids_from(pager) == list(range(11, 31))


@pytest.mark.parametrize("limit", [10**400, 2**63])
def test_a_limit_beyond_64_bits_is_rejected_before_any_request(fake: FakeJogg, jogg: JoggSession, limit: int) -> None:
    with pytest.raises(ValueError, match="limit must be a whole number from 0 to"):
        jogg.tracks(limit=limit)


@pytest.mark.parametrize("names_size", [True, False])
async def test_a_page_size_that_the_service_caps_loses_no_track(
    make_fake: MakeFake, make_session: MakeSession, names_size: bool
) -> None:
    rows = [{"id": number} for number in range(1, 731)]
    fake = await make_fake(rows)

    def cap(envelope: Any) -> None:
        # What a service does that was asked for 100 records, and sends at most 50.
        data = envelope["data"]
        number = data["pagination"]["page"]
        data["music"] = rows[(number - 1) * 50 : number * 50]
        data["pagination"] = {"page": number, "total_items": 730} | ({"page_size": 100} if names_size else {})

    fake.fail(Fault.patch(cap), times=None)
    jogg = make_session(fake)
    pager = jogg.tracks()
    assert await ids_from(pager) == list(range(1, 731))
    assert not pager.progress.drifted
    assert pager.progress.expected == 730
    for first in range(2, 16):
        rest = jogg.tracks(start_page=first)
        assert await ids_from(rest) == list(range(50 * first - 49, 731))
        assert not rest.progress.drifted


async def test_fewer_records_than_the_total_are_reported_as_drift(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(250)

    def lose_one(envelope: Any) -> None:
        del envelope["data"]["music"][-1]

    fake.fail(Fault.patch(lose_one), page=2)
    with pytest.warns(CatalogueChangedWarning, match="some tracks may be missing"):
        assert len(await make_session(fake).tracks().collect()) == 249
    fake.fail(Fault.patch(lose_one), page=2)
    assert len(await make_session(fake).tracks(on_drift="recrawl").collect()) == 250


@pytest.fixture
async def stopped(fake: FakeJogg, jogg: JoggSession) -> dict[str, Any]:
    """Return a checkpoint after 120 of 250 tracks; then remove 50 of those from the catalogue."""
    async with jogg.tracks(page_size=50) as pager:
        assert await take(pager, 120) == list(range(1, 121))
        saved: dict[str, Any] = json.loads(json.dumps(pager.checkpoint()))
    fake.catalogue.remove(slice(50))
    return saved


async def test_catalogue_change_across_a_checkpoint_warns(jogg: JoggSession, stopped: dict[str, Any]) -> None:
    pager = jogg.tracks(resume=stopped)
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(pager) == list(range(171, 251))
    assert pager.progress.drifted


async def test_catalogue_change_across_a_checkpoint_raises_at_the_end(
    jogg: JoggSession, stopped: dict[str, Any]
) -> None:
    found: list[int] = []
    with pytest.raises(CatalogueChangedError):
        found.extend([track.id async for track in jogg.tracks(resume=stopped, on_drift="raise")])
    pager = jogg.tracks(resume=stopped, on_drift="ignore")
    assert await ids_from(pager) == list(range(171, 251))
    assert pager.progress.drifted


async def test_recrawl_after_a_catalogue_change_across_a_checkpoint_reads_all_pages(
    jogg: JoggSession, stopped: dict[str, Any]
) -> None:
    pager = jogg.tracks(resume=stopped, on_drift="recrawl")
    assert await ids_from(pager) == [*range(171, 251), *range(51, 171)]


async def test_recrawl_after_resumption_begins_at_the_first_page_of_the_crawl(
    fake: FakeJogg, jogg: JoggSession
) -> None:
    async with jogg.tracks(page_size=50, start_page=2) as pager:
        await take(pager, 60)
        saved = pager.checkpoint()
    fake.catalogue.remove(slice(1))
    fake.clear()
    found = await ids_from(jogg.tracks(resume=saved, on_drift="recrawl"))
    assert sorted(found) == list(range(52, 251))
    assert min(seen.page or 0 for seen in fake.requests) == 2


async def test_a_checkpoint_keeps_what_is_left_of_the_limit(jogg: JoggSession) -> None:
    async with jogg.tracks(page_size=50, limit=30) as pager:
        assert await take(pager, 20) == list(range(1, 21))
        saved = pager.checkpoint()
    assert saved["limit"] == 10
    assert await ids_from(jogg.tracks(resume=saved)) == list(range(21, 31))
    assert await ids_from(jogg.tracks(resume=saved, limit=15)) == list(range(21, 36))


async def test_a_checkpoint_keeps_the_end_page(jogg: JoggSession) -> None:
    async with jogg.tracks(page_size=50, end_page=3) as pager:
        await take(pager, 20)
        saved = pager.checkpoint()
    assert await ids_from(jogg.tracks(resume=saved)) == list(range(21, 151))
    assert await ids_from(jogg.tracks(resume=saved, end_page=1)) == list(range(21, 51))


async def test_step_of_a_pager_closed_before_its_end_raises(jogg: JoggSession) -> None:
    async with jogg.tracks() as pager:
        await take(pager, 3)
    with pytest.raises(JoggError, match="closed before its end") as caught:
        await pager.collect()
    assert ids(caught.value.tracks or ()) == []
    with pytest.raises(JoggError, match="closed before its end"):
        await anext(pager)
    with pytest.raises(JoggError, match="closed before its end"):
        await anext(pager.pages())


async def test_collect_of_a_pager_closed_before_its_first_step_raises(jogg: JoggSession) -> None:
    pager = jogg.tracks()
    await pager.aclose()
    with pytest.raises(JoggError, match="closed before its end"):
        await pager.collect()


@pytest.mark.parametrize("bounds", [{}, {"limit": 250}, {"limit": 120}, {"end_page": 2}, {"limit": 0}], ids=str)
async def test_a_pager_closed_after_its_last_track_is_finished(jogg: JoggSession, bounds: dict[str, Any]) -> None:
    async with jogg.tracks(**bounds) as pager:
        await take(pager, bounds.get("limit", 200 if bounds else 250))
    assert await ids_from(pager) == []


async def test_a_changed_crawl_closed_after_its_last_track_is_not_finished(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50)
    fake.fail(with_pagination(total_items=51, total_pages=5), page=2)
    async with make_session(fake).tracks(page_size=10) as pager:
        await take(pager, 50)
        assert pager.progress.drifted
    with pytest.raises(JoggError, match="closed before its end"):
        await anext(pager)


@pytest.mark.parametrize("ordered", [True, False])
async def test_an_interrupted_crawl_counts_the_records_before_it_if_it_was_ordered(
    jogg: JoggSession, ordered: bool
) -> None:
    crawl = jogg.tracks()._crawl
    history = History(changed=False, drifted=False, recrawls=0, records=70, ordered=ordered, covers_all=True)
    crawl.resume_at(attrs.evolve(crawl.position(), page=2), history)
    assert crawl.pages.records == (70 if ordered else 0)
    assert len((await crawl.next_page()).tracks) == 100


async def test_a_closed_crawl_stays_closed_when_it_is_resumed(jogg: JoggSession) -> None:
    crawl = jogg.tracks(limit=5)._crawl
    crawl.close(SessionClosedError)
    history = History(changed=False, drifted=False, recrawls=0, records=0, ordered=True, covers_all=True)
    crawl.resume_at(crawl.position(), history)
    with pytest.raises(SessionClosedError):
        await crawl.next_track()


async def test_a_crawl_resumed_without_a_track_left_is_at_its_end(jogg: JoggSession) -> None:
    crawl = jogg.tracks(limit=5)._crawl
    history = History(changed=False, drifted=False, recrawls=0, records=5, ordered=True, covers_all=True)
    crawl.resume_at(attrs.evolve(crawl.position(), limit=0), history)
    with pytest.raises(StopAsyncIteration):
        await crawl.next_track()


async def test_drift_warning_turned_into_an_error_keeps_the_collected_tracks(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(250)
    fake.fail(with_pagination(total_items=251), page=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CatalogueChangedWarning) as caught:
            await make_session(fake).tracks().collect()
    assert ids(caught.value.tracks or ()) == list(range(1, 251))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, 250),
        ({"limit": 30}, 30),
        ({"limit": 1000}, 250),
        ({"end_page": 2}, 100),
        ({"start_page": 2, "end_page": 2}, 50),
        ({"start_page": 4}, 100),
        ({"start_page": 9}, 0),
        ({"limit": 70, "start_page": 5}, 50),
        ({"limit": 0}, 0),
    ],
    ids=str,
)
async def test_progress_expects_the_tracks_within_the_bounds(
    jogg: JoggSession, bounds: dict[str, Any], expected: int
) -> None:
    pager = jogg.tracks(page_size=50, **bounds)
    assert pager.progress.expected is (None if expected or "start_page" in bounds else 0)
    seen: set[int | None] = set()
    async for _ in pager:
        seen.add(pager.progress.expected)
    assert seen <= {expected}
    assert (pager.progress.expected, pager.progress.tracks) == (expected, expected)


async def test_progress_of_a_resumed_crawl_expects_the_rest(jogg: JoggSession) -> None:
    async with jogg.tracks(page_size=50, limit=200) as pager:
        await take(pager, 70)
        saved = pager.checkpoint()
    resumed = jogg.tracks(resume=saved)
    await anext(resumed)
    assert resumed.progress.expected == 130
    assert len(await resumed.collect()) == 129
    unbounded = jogg.tracks(resume={**saved, "limit": None})
    await anext(unbounded)
    assert unbounded.progress.expected == 180


async def test_progress_expects_neither_skipped_records_nor_duplicates(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake([{"id": number} for number in (1, 2, "none", 4, 4, 5)])
    pager = make_session(fake).tracks(page_size=2, on_invalid="skip", on_drift="ignore")
    assert await take(pager, 2) == [1, 2]
    assert pager.progress.expected == 6
    assert await ids_from(pager) == [4, 5]
    assert (pager.progress.expected, pager.progress.tracks) == (4, 4)


async def test_progress_expects_no_number_without_a_total(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(25)
    fake.fail(Fault.patch(lambda envelope: envelope["data"].update(pagination=None)), times=None)
    pager = make_session(fake).tracks(page_size=10, limit=22)
    await anext(pager)
    assert pager.progress.expected is None
    await pager.collect()
    assert pager.progress.expected == 22


async def test_a_second_crawl_starts_all_pages_at_once(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(60)
    session = make_session(fake)
    await session.tracks(page_size=10).collect()
    await session.tracks(page_size=20).collect()
    fake.clear()
    held = HeldResponses(fake)
    second = asyncio.ensure_future(session.tracks(page_size=10).collect())
    await until(lambda: fake.in_flight == 6)
    await iterate_loop()
    assert sorted(seen.page or 0 for seen in fake.requests) == [1, 2, 3, 4, 5, 6]
    await held.release()
    assert ids(await second) == list(range(1, 61))


@pytest.mark.parametrize(("rows", "pages"), [(35, 4), (95, 10), (0, 0)])
async def test_a_second_crawl_follows_a_total_that_changed(
    make_fake: MakeFake, make_session: MakeSession, rows: int, pages: int
) -> None:
    fake = await make_fake(60)
    session = make_session(fake)
    await session.tracks(page_size=10).collect()
    if rows < 60:
        fake.catalogue.remove(slice(60 - rows))
    else:
        fake.catalogue.insert(60, count=rows - 60)
    pager = session.tracks(page_size=10)
    assert len(await pager.collect()) == rows
    assert (pager.total_pages, pager.progress.drifted) == (pages, False)


async def test_a_second_crawl_with_a_limit_requests_no_page_beyond_it(fake: FakeJogg, jogg: JoggSession) -> None:
    await jogg.tracks(page_size=10).collect()
    fake.clear()
    assert await ids_from(jogg.tracks(page_size=10, limit=25)) == list(range(1, 26))
    assert sorted(seen.page or 0 for seen in fake.requests) == [1, 2, 3]


async def test_a_crawl_with_other_filters_does_not_use_the_total_of_the_first(
    fake: FakeJogg, jogg: JoggSession
) -> None:
    await jogg.tracks(page_size=10).collect()
    fake.clear()
    held = HeldResponses(fake)
    other = asyncio.ensure_future(jogg.tracks(page_size=10, mood="Calm").collect())
    await until(lambda: fake.in_flight == 1)
    await iterate_loop(20)
    assert fake.pages == [1]
    await held.release()
    await other


async def test_a_failed_page_beyond_a_total_that_shrank_is_no_error(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(60)
    session = make_session(fake)
    await session.tracks(page_size=10).collect()
    fake.catalogue.remove(slice(30))
    fake.fail(REJECTED, page=5)
    assert len(await session.tracks(page_size=10).collect()) == 30
