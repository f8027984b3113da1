"""Crawls of a catalogue that changes, and of a service with missing or absurd totals."""

from __future__ import annotations

import asyncio
import json
import linecache
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import CatalogueChangedError, CatalogueChangedWarning, JoggSession
from jogg_async.testing import Catalogue, FakeJogg, Fault
from tests.model import (
    REJECTED,
    HeldResponses,
    examples,
    ids,
    ids_from,
    iterate_loop,
    read_into,
    until,
    with_pagination,
)

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

Policy = Literal["ignore", "warn", "raise", "recrawl"]
POLICIES: tuple[Policy, ...] = ("ignore", "warn", "raise", "recrawl")


UNKNOWN = with_pagination(total_items=None, total_pages=None)


def without_tracks(envelope: Any) -> None:
    envelope["data"]["music"] = []


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.filterwarnings("ignore::jogg_async.CatalogueChangedWarning")
async def test_no_id_is_yielded_twice_while_the_catalogue_changes(
    make_fake: MakeFake, make_session: MakeSession, policy: Policy, ordered: bool
) -> None:
    fake = await make_fake(100)
    fake.mutate_after(3, lambda catalogue: catalogue.insert(0, count=2))
    fake.mutate_after(5, lambda catalogue: catalogue.insert(40, count=3))
    # One request at a time: of two, the loop decides which one meets the change, and a track may slide past the other.
    pager = make_session(fake).tracks(page_size=10, on_drift=policy, ordered=ordered, concurrency=1)
    found: list[int] = []
    try:
        await read_into(found, pager)
    except CatalogueChangedError:
        assert policy == "raise"
    assert len(found) == len(set(found))
    assert set(range(1, 101)) <= set(found)
    assert pager.progress.drifted
    assert pager.progress.duplicates > 0
    assert await ids_from(pager) == []


async def test_on_drift_ignore_neither_warns_nor_raises(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(100)
    fake.mutate_after(3, lambda catalogue: catalogue.remove(0))
    pager = make_session(fake).tracks(page_size=10, on_drift="ignore", concurrency=1)
    assert await ids_from(pager) == [id for id in range(1, 101) if id != 31]
    assert pager.progress.drifted


async def test_drift_warning_points_at_the_users_loop(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(50)
    fake.mutate_after(2, lambda catalogue: catalogue.remove(0))
    pager = make_session(fake).tracks(page_size=10, concurrency=1)
    with pytest.warns(CatalogueChangedWarning, match="changed") as caught:
        found = [track.id async for track in pager]
    assert len(found) == 49
    (warning,) = caught
    assert warning.filename == __file__
    assert "async for" in linecache.getline(warning.filename, warning.lineno)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await ids_from(pager) == []


async def test_on_drift_raise_raises_after_the_last_track(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(50)
    fake.mutate_after(2, lambda catalogue: catalogue.insert(50, count=5))
    session = make_session(fake)
    pager = session.tracks(page_size=10, concurrency=1, on_drift="raise")
    found = [(await anext(pager)).id for _ in range(55)]
    assert found == list(range(1, 56))
    with pytest.raises(CatalogueChangedError):
        await anext(pager)
    with pytest.raises(StopAsyncIteration):
        await anext(pager)
    fake.mutate_after(2, lambda catalogue: catalogue.remove(-1))
    with pytest.raises(CatalogueChangedError) as caught:
        await session.tracks(page_size=10, concurrency=1, on_drift="raise").collect()
    assert ids(caught.value.tracks or ()) == list(range(1, 55))


async def test_drift_is_reported_after_a_cancelled_last_step(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(50)
    fake.fail(with_pagination(total_items=20, total_pages=2), page=2, times=None)
    session = make_session(fake)
    silent = []
    for patience in range(6):
        held = HeldResponses(fake, 2, 3, 4, 5)
        pager = session.tracks(page_size=10, on_drift="raise")
        crawl = asyncio.ensure_future(ids_from(pager))
        await until(lambda: fake.in_flight == 4)
        await held.release(2)
        while pager.total_pages != 2:  # noqa: ASYNC110 (each iteration of the loop counts)
            await asyncio.sleep(0)
        await iterate_loop(patience)
        crawl.cancel()
        try:
            await asyncio.gather(crawl)
        except CatalogueChangedError:
            continue
        except asyncio.CancelledError:
            pass
        try:
            await ids_from(pager)
        except CatalogueChangedError:
            continue
        silent.append(patience)
    assert silent == []


async def drifted_checkpoint(jogg: JoggSession, fake: FakeJogg, tracks: int, **bounds: Any) -> dict[str, Any]:
    """Return the checkpoint after `tracks` of 100 tracks, where a change showed that left the total as it was."""

    def move(catalogue: Catalogue) -> None:
        catalogue.insert(0)
        catalogue.remove(-1)

    fake.mutate_after(3, move)  # the first track of page 4 is the last one of page 3 then
    async with jogg.tracks(page_size=10, concurrency=1, on_drift="ignore", **bounds) as pager:
        for _ in range(tracks):
            await anext(pager)
        assert pager.progress.drifted
    checkpoint: dict[str, Any] = json.loads(json.dumps(pager.checkpoint()))
    assert checkpoint["drifted"] is True
    return checkpoint


async def test_change_before_a_checkpoint_is_reported_by_the_resumed_crawl(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    session = make_session(fake)
    checkpoint = await drifted_checkpoint(session, fake, 55)
    rest = [*range(56, 100)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pager = session.tracks(resume=checkpoint, on_drift="ignore")
        assert pager.progress.drifted
        assert await ids_from(pager) == rest
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(session.tracks(resume=checkpoint)) == rest
    with pytest.raises(CatalogueChangedError) as caught:
        await session.tracks(resume=checkpoint, on_drift="raise").collect()
    assert ids(caught.value.tracks or ()) == rest
    recrawled = session.tracks(resume=checkpoint, on_drift="recrawl")
    assert sorted(await ids_from(recrawled)) == [*range(1, 100), 101]
    assert "drifted" not in recrawled.checkpoint()  # its second pass saw no change


@pytest.mark.parametrize("bounds", [{"limit": 55}, {"start_page": 2, "end_page": 6}], ids=str)
async def test_change_before_a_checkpoint_is_reported_even_if_no_track_is_left(
    make_fake: MakeFake, make_session: MakeSession, bounds: dict[str, int]
) -> None:
    fake = await make_fake(100)
    session = make_session(fake)
    tracks = 55 if "limit" in bounds else 49  # of pages 2 to 6 one came twice
    checkpoint = await drifted_checkpoint(session, fake, tracks, **bounds)
    fake.clear()
    pager = session.tracks(resume=checkpoint, on_drift="raise")
    with pytest.raises(CatalogueChangedError):
        await anext(pager)
    assert fake.requests == []
    with pytest.raises(StopAsyncIteration):
        await anext(pager)


async def test_response_that_names_another_page_is_drift(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_pagination(page=7), page=2)
    with pytest.warns(CatalogueChangedWarning):
        assert len(await ids_from(jogg.tracks())) == 250


async def test_recrawl_finds_tracks_that_moved_to_an_earlier_page(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    fake.mutate_after(3, lambda catalogue: catalogue.remove(0))
    pager = make_session(fake).tracks(page_size=10, on_drift="recrawl", concurrency=1)
    assert await ids_from(pager) == [*range(1, 31), *range(32, 101), 31]
    assert fake.pages == [*range(1, 11), *range(1, 11)]
    assert pager.progress.drifted


MUTATIONS = st.lists(st.tuples(st.integers(1, 14), st.integers(0, 60), st.integers(1, 4)), max_size=4)


@examples(60)
@given(mutations=MUTATIONS, removing=st.booleans(), ordered=st.booleans(), concurrency=st.integers(1, 3))
async def test_recrawl_finds_every_track_that_stayed_in_the_catalogue(
    mutations: list[tuple[int, int, int]], removing: bool, ordered: bool, concurrency: int
) -> None:
    def change(place: int, count: int, catalogue: Catalogue) -> None:
        if removing:
            catalogue.remove(slice(place, place + count))
        else:
            catalogue.insert(place, count=count)

    async with FakeJogg(60) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        for after, place, count in mutations:
            fake.mutate_after(after, partial(change, place, count))
        pager = jogg.tracks(page_size=7, on_drift="recrawl", ordered=ordered, concurrency=concurrency)
        found = await ids_from(pager)
        assert len(found) == len(set(found))
        assert {row["id"] for row in fake.catalogue if row["id"] <= 60} <= set(found)


async def test_recrawl_stops_after_five_passes_over_a_catalogue_that_keeps_changing(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(60)
    fake.mutate_after(2, lambda catalogue: catalogue.insert(0), repeat=True)
    with pytest.warns(CatalogueChangedWarning):
        found = await ids_from(make_session(fake).tracks(page_size=10, on_drift="recrawl"))
    assert set(range(1, 61)) <= set(found)
    assert fake.pages.count(1) == 6


async def test_recrawl_counts_an_invalid_record_once(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake([{"id": 1}, {"id": "two"}, *({"id": number} for number in range(3, 31))])
    fake.mutate_after(2, lambda catalogue: catalogue.remove(0))
    pager = make_session(fake).tracks(page_size=10, on_drift="recrawl", on_invalid="skip", concurrency=1)
    assert sorted(await ids_from(pager)) == [1, *range(3, 31)]
    assert (pager.progress.invalid, len(pager.invalid_records)) == (1, 1)


async def test_recrawl_without_totals_finds_every_track(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(60)
    fake.fail(UNKNOWN, times=None)
    fake.mutate_after(2, lambda catalogue: catalogue.insert(0))
    fake.mutate_after(4, lambda catalogue: catalogue.remove(slice(0, 3)))
    found = await ids_from(make_session(fake).tracks(page_size=10, on_drift="recrawl", concurrency=1))
    assert set(range(3, 61)) <= set(found)


async def test_crawl_goes_on_when_the_total_grows(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(50)
    fake.mutate_after(4, lambda catalogue: catalogue.insert(50, count=45))
    pager = make_session(fake).tracks(page_size=10, on_drift="ignore", concurrency=2)
    assert await ids_from(pager) == list(range(1, 96))
    assert (pager.total_items, pager.total_pages) == (95, 10)
    assert pager.progress.drifted


@pytest.mark.parametrize("ordered", [True, False])
async def test_crawl_stops_when_the_total_shrinks_and_yields_received_tracks(
    make_fake: MakeFake, make_session: MakeSession, ordered: bool
) -> None:
    fake = await make_fake(80)
    for page in (2, 3):
        fake.fail(with_pagination(total_items=30, total_pages=3), page=page)
    held = HeldResponses(fake, 2, 3, 5, 6, 7, 8)
    pager = make_session(fake).tracks(page_size=10, on_drift="ignore", ordered=ordered)
    crawl = asyncio.ensure_future(ids_from(pager))
    await until(lambda: len(fake.requests) == 8)
    await until(lambda: fake.in_flight == 6)
    await held.release(2)
    await until(lambda: pager.total_pages == 3)
    await until(lambda: fake.in_flight == 1)  # what lies beyond is given up
    await held.release()
    assert sorted(await crawl) == [*range(1, 31), *range(31, 41)]  # page 4 was in already


async def test_total_that_shrinks_and_grows_around_a_failed_page_loses_no_track(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    fake.fail(REJECTED, page=8)
    fake.fail(with_pagination(total_items=50, total_pages=5), page=2)
    held = HeldResponses(fake, 2, 3, 4, 5, 6, 7, 9, 10)
    pager = make_session(fake).tracks(page_size=10, on_drift="ignore")
    crawl = asyncio.ensure_future(ids_from(pager))
    await until(lambda: any(seen.page == 8 and seen.code for seen in fake.requests))
    await asyncio.sleep(0.02)  # the refusal arrives
    await held.release(2)
    await until(lambda: pager.total_pages == 5)
    await held.release()
    done, _ = await asyncio.wait([crawl], timeout=0.3)
    await pager.aclose()
    assert done
    assert await crawl == list(range(1, 101))


@pytest.mark.parametrize(
    "fault",
    [
        with_pagination(total_pages=None),
        with_pagination(total_pages=None, page_size=None),
        with_pagination(total_items=None),
    ],
    ids=["of items", "of items alone", "of pages"],
)
@pytest.mark.parametrize("page_size", [30, 50])
async def test_crawl_needs_only_one_of_the_two_totals(
    fake: FakeJogg, jogg: JoggSession, fault: Fault, page_size: int
) -> None:
    fake.fail(fault, times=None)
    pager = jogg.tracks(page_size=page_size)
    assert await ids_from(pager) == list(range(1, 251))
    assert pager.total_pages == -(-250 // page_size) == max(page or 0 for page in fake.pages)


async def test_total_pages_follow_from_the_page_size_that_the_response_names(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_pagination(total_pages=None, page_size=50), times=None)
    fake.on_request = lambda seen: seen.query.update(page_size="50")
    pager = jogg.tracks(page_size=100)
    assert await ids_from(pager) == list(range(1, 251))
    assert pager.total_pages == 5


@pytest.mark.parametrize("found", [0, 1, 250, 300])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_crawl_without_totals_ends_at_an_empty_page(
    make_fake: MakeFake, make_session: MakeSession, found: int, ordered: bool, concurrency: int
) -> None:
    fake = await make_fake(found)
    fake.fail(Fault.patch(lambda envelope: envelope["data"].pop("pagination") and None), times=None)
    pager = make_session(fake).tracks(ordered=ordered, concurrency=concurrency)
    assert sorted(await ids_from(pager)) == list(range(1, found + 1))
    assert (pager.total_items, pager.total_pages, pager.progress.drifted) == (None, None, False)
    assert -(-found // 100) + 1 <= len(fake.requests) <= -(-found // 100) + 1 + concurrency


async def test_next_page_of_a_crawl_without_totals_is_requested_before_the_next_step(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    fake.fail(UNKNOWN, times=None)
    HeldResponses(fake, 2, 3)
    pager = make_session(fake, concurrency=2).tracks(page_size=10)
    await anext(pager)
    await until(lambda: len(fake.requests) == 3, 5)
    await iterate_loop(20)
    assert fake.pages == [1, 2, 3]
    await pager.aclose()


async def test_crawl_without_totals_ends_at_a_page_without_a_new_id(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50)
    fake.fail(UNKNOWN, times=None)
    fake.on_request = lambda seen: seen.query.update(page=str(min(seen.page or 0, 5)))
    found = await ids_from(make_session(fake).tracks(page_size=10, on_drift="ignore", concurrency=3))
    assert found == list(range(1, 51))
    assert max(page or 0 for page in fake.pages) <= 6 + 3


async def test_a_failed_page_beyond_an_unknown_end_is_no_error(make_fake: MakeFake, make_session: MakeSession) -> None:
    for ordered in (True, False):
        fake = await make_fake(30)
        fake.fail(UNKNOWN, times=None, page=1)
        fake.fail(REJECTED, page=5, times=None)
        for page in (2, 3, 4):
            fake.fail(UNKNOWN + Fault.slow(0.02), times=None, page=page)
        found = await ids_from(make_session(fake).tracks(page_size=10, ordered=ordered))
        assert sorted(found) == list(range(1, 31))
        assert 5 in fake.pages


@pytest.mark.parametrize("ordered", [True, False])
async def test_three_empty_pages_in_a_row_end_the_crawl(
    make_fake: MakeFake, make_session: MakeSession, ordered: bool
) -> None:
    fake = await make_fake(90)
    for page in (2, 3, 5, 7, 8, 9):
        fake.fail(Fault.patch(without_tracks), page=page)
    fake.fail(with_pagination(total_items=10**14, total_pages=10**12), times=None)
    pager = make_session(fake).tracks(page_size=10, ordered=ordered, concurrency=2, on_drift="ignore")
    assert sorted(await ids_from(pager)) == [*range(1, 11), *range(31, 41), *range(51, 61)]
    assert pager.progress.drifted
    assert max(page or 0 for page in fake.pages) <= 9 + 48


@pytest.mark.parametrize("ordered", [True, False])
async def test_tracks_that_came_beyond_three_empty_pages_are_yielded(
    make_fake: MakeFake, make_session: MakeSession, ordered: bool
) -> None:
    fake = await make_fake(150)
    for page in (4, 5, 6):
        fake.fail(Fault.patch(without_tracks), page=page)
    held = HeldResponses(fake, 4)
    pager = make_session(fake).tracks(page_size=10, ordered=ordered, on_drift="ignore")
    found = [(await anext(pager)).id]
    await until(lambda: len(fake.requests) == 15 and fake.in_flight == 1)
    await held.release()
    found += await ids_from(pager)
    assert (found if ordered else sorted(found)) == [*range(1, 31), *range(61, 151)]
    assert pager.progress.drifted


async def test_no_page_is_requested_after_three_empty_ones(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(200)
    for page in (3, 4, 7, 8, 9):
        fake.fail(Fault.patch(without_tracks), page=page)
    pager = make_session(fake).tracks(page_size=10, concurrency=1, on_drift="ignore")
    assert await ids_from(pager) == [*range(1, 21), *range(41, 61)]
    assert fake.pages == list(range(1, 10))


async def test_crawl_with_an_absurd_total_ends(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_pagination(total_items=10**14, total_pages=10**12), times=None)
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(jogg.tracks()) == list(range(1, 251))
    assert len(fake.requests) < 200


async def test_a_page_of_invalid_records_is_not_empty(make_fake: MakeFake, make_session: MakeSession) -> None:
    for totals in (True, False):
        fake = await make_fake([*({"id": "x"} for _ in range(40)), *({"id": number} for number in range(5))])
        if not totals:
            fake.fail(UNKNOWN, times=None)
        pager = make_session(fake).tracks(page_size=10, on_invalid="skip")
        assert await ids_from(pager) == [0, 1, 2, 3, 4]
        assert (pager.progress.invalid, pager.progress.drifted) == (40, False)


@pytest.mark.parametrize("totals", [{}, {"total_items": 95, "total_pages": 10}, {"total_items": 1, "total_pages": 1}])
async def test_crawl_of_a_mock_server_that_repeats_one_response_ends(
    fake: FakeJogg, jogg: JoggSession, totals: dict[str, int]
) -> None:
    data = {"music": [{"id": 1, "name": "string"}], "pagination": {"page": 1, "page_size": 10, **totals}}
    fake.fail(Fault.raw(json.dumps({"code": 0, "msg": "Success", "data": data}).encode()), times=None)
    if totals.get("total_pages") == 1:
        assert await ids_from(jogg.tracks()) == [1]
        return
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(jogg.tracks()) == [1]
    assert len(fake.requests) <= 10


async def test_no_page_is_returned_after_one_hundred_that_repeat_the_first(fake: FakeJogg, jogg: JoggSession) -> None:
    data = {"music": [{"id": 1}], "pagination": {"page_size": 10, "total_pages": 105}}
    fake.fail(Fault.raw(json.dumps({"code": 0, "msg": "Success", "data": data}).encode()), times=None)
    pager = jogg.tracks(on_drift="ignore")
    pages = [await anext(pager.pages())]
    await until(lambda: len(fake.requests) == 105 and fake.in_flight == 0)
    await asyncio.sleep(0.02)  # the last responses arrive
    pages += [page async for page in pager.pages()]
    assert len(pages) == 101


@pytest.mark.parametrize("totals", [{}, {"total_pages": 10**12}, {"total_items": 10**12}], ids=str)
async def test_crawl_of_one_repeated_response_without_a_valid_record_ends(
    fake: FakeJogg, jogg: JoggSession, totals: dict[str, int]
) -> None:
    data = {"music": [{"id": "x"}], "pagination": {"page_size": 1, **totals}}
    fake.fail(Fault.raw(json.dumps({"code": 0, "msg": "Success", "data": data}).encode()), times=None)
    pager = jogg.tracks(on_invalid="skip", concurrency=2)
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(pager) == []
    pages = 1000 if totals else 100
    assert (pager.progress.pages_done, pager.progress.invalid) == (pages, pages)


@pytest.mark.parametrize("ordered", [True, False])
async def test_crawl_of_one_repeated_response_under_an_absurd_total_ends(
    fake: FakeJogg, jogg: JoggSession, ordered: bool
) -> None:
    data = {"music": [{"id": 1}], "pagination": {"page": 1, "page_size": 10, "total_pages": 10**12}}
    fake.fail(Fault.raw(json.dumps({"code": 0, "msg": "Success", "data": data}).encode()), times=None)
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(jogg.tracks(ordered=ordered)) == [1]
    assert 101 <= len(fake.requests) <= 101 + 8 * 16 + 16 + 8
