"""Pager: order of tracks and pages, prefetching, progress, duplicates and invalid records."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import (
    CatalogueChangedWarning,
    ConfigurationError,
    DecodeError,
    JoggSession,
    ParameterError,
    Track,
    TrackList,
    TrackPager,
)
from jogg_async._paging.seen_ids import SeenIds
from jogg_async.testing import FakeJogg, Fault

from .model import REJECTED, TRANSIENT, HeldResponses, examples, ids, ids_from, sequential_crawl, until

if TYPE_CHECKING:
    from .conftest import MakeFake, MakeSession


def rows_of(*numbers: Any) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"Song {number}"} for number in numbers]


@pytest.mark.parametrize("ordered", [True, False])
async def test_every_track_is_yielded_once(make_fake: MakeFake, make_session: MakeSession, ordered: bool) -> None:
    fake = await make_fake(330, jitter=0.02)
    found = await ids_from(make_session(fake).tracks(page_size=10, ordered=ordered))
    assert (found if ordered else sorted(found)) == list(range(1, 331))
    assert sorted(page or 0 for page in fake.pages) == list(range(1, 34))


async def test_a_track_has_the_fields_of_its_row(fake: FakeJogg, jogg: JoggSession) -> None:
    first = await anext(jogg.tracks())
    row = fake.catalogue[0]
    assert first == Track(row["id"], row["name"], row["music_url"], row["duration"])


async def test_order_of_tracks_does_not_depend_on_the_order_of_responses(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50)
    held = HeldResponses(fake, 2, 3, 4)
    crawling = asyncio.create_task(ids_from(make_session(fake).tracks(page_size=10)))
    for page in (4, 3, 2):
        await until(lambda: len(fake.requests) == 5)
        await held.release(page)
    assert await crawling == list(range(1, 51))


async def test_unordered_pager_yields_pages_as_they_arrive(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(50)
    held = HeldResponses(fake, 2, 3, 4)
    pager = make_session(fake).tracks(page_size=10, ordered=False)
    found = [(await anext(pager)).id for _ in range(20)]
    assert found == [*range(1, 11), *range(41, 51)]
    await held.release(3)
    found += [(await anext(pager)).id for _ in range(10)]
    assert found[20:] == list(range(21, 31))
    await held.release()
    found += await ids_from(pager)
    assert sorted(found) == list(range(1, 51))


async def test_no_request_is_sent_before_the_first_step(fake: FakeJogg, jogg: JoggSession) -> None:
    pager = jogg.tracks()
    pager.pages()
    pager.checkpoint()
    repr(pager)
    assert (pager.total_items, pager.total_pages) == (None, None)
    assert (pager.progress.requests, pager.progress.tracks, pager.progress.total_pages) == (0, 0, None)
    await asyncio.sleep(0.02)
    assert fake.requests == []
    assert fake.connections == 0
    await anext(pager)
    assert (pager.total_items, pager.total_pages) == (250, 3)
    await pager.aclose()


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("ordered", [True, False])
async def test_slow_consumer_stops_prefetching(
    make_fake: MakeFake, make_session: MakeSession, concurrency: int, ordered: bool
) -> None:
    fake = await make_fake(400)
    async with make_session(fake).tracks(page_size=1, concurrency=concurrency, ordered=ordered) as pager:
        for taken in (1, 5):
            while pager.progress.tracks < taken:
                await anext(pager)
            most = taken + 16 * concurrency + 16
            # Unordered, page 1 may arrive after the pages that were taken. Until then the window cannot move.
            least = most if ordered else 16 * concurrency + 16
            await until(lambda least=least: len(fake.requests) >= least)  # type: ignore[misc]
            await asyncio.sleep(0.03)
            assert least <= len(fake.requests) <= most
        assert len(await pager.collect()) == 400 - 5


async def test_requests_in_flight_are_bounded_by_pager_and_session(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(40, latency=0.005)
    session = make_session(fake, concurrency=6)
    assert len(await session.tracks(page_size=1, concurrency=3).collect()) == 40
    assert fake.max_in_flight == 3
    fake.clear()
    assert len(await session.tracks(page_size=1, concurrency=50).collect()) == 40
    assert fake.max_in_flight == 6


async def test_yielded_tracks_are_not_kept(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(3000)
    pager = make_session(fake).tracks(page_size=10, concurrency=1)
    gc.collect()
    of_other_tests = sum(type(each) is Track for each in gc.get_objects())
    first = weakref.ref(await anext(pager))
    most = 0
    async for track in pager:
        if track.id % 500 == 0:
            most = max(most, sum(type(each) is Track for each in gc.get_objects()))
    assert first() is None
    assert most - of_other_tests <= 10 * (16 + 16 + 2)


def test_a_million_ids_are_kept_compactly() -> None:
    seen = SeenIds()
    for start in range(0, 1_000_000, 10_000):
        assert seen.add_all(range(start, start + 10_000)) is None
    assert seen.add_all([5, -1, 2_000_000, -1]) == [1, 2]
    assert len(seen._ids.serialize()) < 1_000_000


async def test_pager_yields_every_track_in_one_pass(fake: FakeJogg, jogg: JoggSession) -> None:
    pager = jogg.tracks()
    assert aiter(pager) is pager
    assert len(await ids_from(pager)) == 250
    assert await ids_from(pager) == []
    assert len(await pager.collect()) == 0
    with pytest.raises(StopAsyncIteration):
        await anext(pager)
    assert len(fake.requests) == 3


@examples(40)
@given(
    numbers=st.lists(st.integers(1, 30), max_size=60),
    page_size=st.integers(1, 12),
    ordered=st.booleans(),
    by_page=st.booleans(),
)
async def test_repeated_ids_are_left_out(numbers: list[int], page_size: int, ordered: bool, by_page: bool) -> None:
    async with FakeJogg(rows_of(*numbers)) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        pager = jogg.tracks(page_size=page_size, ordered=ordered, on_drift="ignore")
        if by_page:
            found = [id for page in [page async for page in pager.pages()] for id in ids(page.tracks)]
        else:
            found = await ids_from(pager)
        wanted = sequential_crawl(fake.catalogue[:], page_size)
        assert (found if ordered else sorted(found)) == (wanted if ordered else sorted(wanted))
        assert pager.progress.duplicates == len(numbers) - len(wanted)
        assert pager.progress.drifted == (len(wanted) < len(numbers))


async def test_pages_yields_pages_without_duplicates(fake: FakeJogg, jogg: JoggSession) -> None:
    pages = [page async for page in jogg.tracks().pages()]
    assert [len(page.tracks) for page in pages] == [100, 100, 50]
    assert [page.pagination.page for page in pages] == [1, 2, 3]
    assert all(page.rid is not None and len(page.rid) == 32 for page in pages)
    assert [id for page in pages for id in ids(page.tracks)] == list(range(1, 251))


async def test_pages_and_tracks_share_one_position(jogg: JoggSession) -> None:
    pager = jogg.tracks()
    pages = pager.pages()
    found = [(await anext(pager)).id for _ in range(30)]
    rest = await anext(pages)
    assert ids(rest.tracks) == list(range(31, 101))
    assert rest.pagination.page == 1
    found += [(await anext(pager)).id]
    assert found[-1] == 101
    assert ids((await anext(pages)).tracks) == list(range(102, 201))
    assert len(await pager.collect()) == 50
    with pytest.raises(StopAsyncIteration):
        await anext(pages)


async def test_duplicates_are_left_out_of_pages(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(rows_of(1, 2, 2, 3, 1, 2, 4))
    pager = make_session(fake).tracks(page_size=2, on_drift="ignore")
    assert [ids(page.tracks) async for page in pager.pages()] == [[1, 2], [3], [], [4]]
    assert pager.progress.duplicates == 3


async def test_collect_returns_every_remaining_track(jogg: JoggSession) -> None:
    pager = jogg.tracks()
    first = await anext(pager)
    rest = await pager.collect()
    assert isinstance(rest, TrackList)
    assert [first.id, *ids(rest)] == list(range(1, 251))


async def test_collect_shows_progress(jogg: JoggSession, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert len(await jogg.tracks().collect(progress=True)) == 250
    out, err = capsys.readouterr()
    assert out == ""
    assert "250/250" in err


async def test_save_writes_the_given_format_and_shows_progress_only_if_wanted(
    jogg: JoggSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    for options, shown in (({}, ""), ({"progress": True}, "250/250")):
        report = await jogg.tracks().save(tmp_path / "tracks", format="csv", **options)
        out, err = capsys.readouterr()
        assert (report.tracks, out, shown in err, bool(err)) == (250, "", True, bool(shown))
        assert (tmp_path / "tracks").read_bytes().startswith(b"id,name,music_url")


async def test_save_resumes_an_interrupted_one_only_if_wanted(
    fake: FakeJogg, jogg: JoggSession, tmp_path: Path
) -> None:
    fake.fail(REJECTED, page=3)
    with pytest.raises(ParameterError):
        await jogg.tracks().save(tmp_path / "tracks.jsonl")
    with pytest.raises(FileExistsError):
        await jogg.tracks().save(tmp_path / "tracks.jsonl")
    fake.clear()
    report = await jogg.tracks().save(tmp_path / "tracks.jsonl", resume=True)
    assert (report.tracks, fake.pages) == (250, [3])


async def test_error_of_collect_keeps_the_collected_tracks(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(REJECTED, page=2)
    pager = jogg.tracks()
    with pytest.raises(ParameterError) as caught:
        await pager.collect()
    error = caught.value
    assert isinstance(error.tracks, TrackList)
    assert ids(error.tracks) == list(range(1, 101))
    assert ids(await pager.collect()) == list(range(101, 251))


async def test_progress_counts_pages_tracks_and_requests(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(TRANSIENT, page=2)
    pager = jogg.tracks()
    for _ in range(150):
        await anext(pager)
    await until(lambda: pager.progress.requests == 4)
    progress = pager.progress
    assert (progress.pages_done, progress.total_pages) == (2, 3)
    assert (progress.tracks, progress.total_items) == (150, 250)
    assert (progress.requests, progress.retries) == (4, 1)
    assert (progress.duplicates, progress.invalid, progress.drifted, progress.paused) == (0, 0, False, 0.0)
    await pager.collect()
    assert (progress.tracks, progress.pages_done) == (150, 2)
    assert (pager.progress.tracks, pager.progress.pages_done, pager.progress.requests) == (250, 3, 4)
    assert "250 tracks, 3 of 3 pages" in repr(pager)


async def test_progress_has_the_remaining_seconds_of_a_pause(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.business(429, retry_after=60), page=2)
    pager = jogg.tracks()
    await anext(pager)
    await until(lambda: pager.progress.paused)
    assert 55 < pager.progress.paused <= 60
    await pager.aclose()


async def test_a_started_pager_is_refused_and_unharmed_in_another_event_loop(
    make_fake: MakeFake, make_session: MakeSession, tmp_path: Path
) -> None:
    fake = await make_fake(100)
    pager = make_session(fake).tracks(page_size=10)
    found = [(await anext(pager)).id for _ in range(10)]  # the whole page
    await until(lambda: len(fake.requests) == 10 and fake.in_flight == 0)
    uses: list[Callable[[], Coroutine[Any, Any, object]]] = [
        pager.__anext__,
        pager.pages().__anext__,
        pager.collect,
        lambda: pager.save(tmp_path / "tracks.csv"),
        pager.aclose,
    ]
    for use in uses:
        with pytest.raises(ConfigurationError, match="This TrackPager belongs to another event loop"):
            await asyncio.to_thread(asyncio.run, use())
    assert list(tmp_path.iterdir()) == []
    assert found + await ids_from(pager) == list(range(1, 101))
    assert await asyncio.to_thread(asyncio.run, ids_from(pager)) == []


def test_a_pager_whose_event_loop_has_ended_is_refused_in_the_next_one_and_keeps_its_position() -> None:
    async def start(fake: FakeJogg) -> TrackPager:
        async with aiohttp.ClientSession() as http:  # closes the connections before the loop ends
            pager = JoggSession(fake.api_key, base_url=fake.url, http=http).tracks(page_size=10)
            assert [(await anext(pager)).id for _ in range(25)] == list(range(1, 26))
            await until(lambda: len(fake.requests) == 10 and fake.in_flight == 0)
        return pager

    with FakeJogg(100) as fake:
        pager = asyncio.run(start(fake))
        checkpoint = pager.checkpoint()
        assert (checkpoint["page"], checkpoint["place"]) == (3, 5)
        with pytest.raises(ConfigurationError, match="another event loop"):
            asyncio.run(pager.collect())
        asyncio.run(pager.aclose())
        assert pager.checkpoint() == checkpoint


@pytest.mark.parametrize("ordered", [True, False])
async def test_several_tasks_share_one_pager(make_fake: MakeFake, make_session: MakeSession, ordered: bool) -> None:
    fake = await make_fake(300, jitter=0.01)
    pager = make_session(fake).tracks(page_size=7, ordered=ordered)
    shares = await asyncio.gather(*(ids_from(pager) for _ in range(5)))
    assert sorted(id for share in shares for id in share) == list(range(1, 301))
    if ordered:
        assert all(share == sorted(share) for share in shares)


async def test_invalid_record_is_an_error_with_its_page_and_path(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.wrong_types("duration", 12.7, record=3), page=2, times=None)
    pager = jogg.tracks()
    with pytest.raises(DecodeError) as caught:
        await ids_from(pager)
    assert (caught.value.page, caught.value.path) == (2, "$.data.music[3].duration")
    assert caught.value.value == "12.7"
    assert pager.progress.tracks == 100
    assert (caught.value.attempts, len(caught.value.rid or "")) == (1, 32)


async def test_invalid_records_are_skipped_logged_and_kept(
    fake: FakeJogg, jogg: JoggSession, caplog: pytest.LogCaptureFixture
) -> None:
    fake.fail(Fault.wrong_types("id", "12", record=3), page=2)
    with caplog.at_level(logging.WARNING, "jogg_async"):
        pager = jogg.tracks(on_invalid="skip")
        assert await ids_from(pager) == [id for id in range(1, 251) if id != 104]
    assert pager.progress.invalid == 1
    assert pager.progress.drifted is False
    (invalid,) = pager.invalid_records
    assert (invalid.page, invalid.place, invalid.record["id"]) == (2, 3, "12")
    assert "$.data.music[3].id" in invalid.message
    (logged,) = caplog.records
    assert "page 2" in logged.getMessage()
    assert "$.data.music[3].id" in logged.getMessage()


async def test_at_most_a_thousand_invalid_records_are_kept(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake([{"id": str(number)} for number in range(1, 1151)] + rows_of(7))
    pager = make_session(fake).tracks(on_invalid="skip")
    assert await ids_from(pager) == [7]
    assert pager.progress.invalid == 1150
    assert [(kept.page, kept.place) for kept in pager.invalid_records] == [
        (page, place) for page in range(1, 11) for place in range(100)
    ]


async def test_unchanged_catalogue_is_not_reported_as_drift(jogg: JoggSession) -> None:
    for policy in ("ignore", "warn", "raise", "recrawl"):
        pager = jogg.tracks(on_drift=policy)
        assert len(await pager.collect()) == 250
        assert pager.progress.drifted is False


async def test_filters_and_further_parameters_are_sent(fake: FakeJogg, jogg: JoggSession) -> None:
    found = await ids_from(jogg.tracks(mood="Calm", genre="Corporate", params={"sort": "id", "new": True, "top": 5}))
    assert found == [row["id"] for row in fake.catalogue.filtered(mood="Calm", genre="Corporate")]
    assert fake.requests[0].query == {
        "mood": "Calm",
        "genre": "Corporate",
        "page": "1",
        "page_size": "100",
        "sort": "id",
        "new": "true",
        "top": "5",
    }


async def test_repeated_id_is_reported_by_a_warning(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(rows_of(1, 2, 1))
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(make_session(fake).tracks()) == [1, 2]


def test_notebook_shows_what_to_await_on_a_pager(jogg: JoggSession) -> None:
    shown = jogg.tracks()._repr_html_()
    assert "&lt;TrackPager: 0 tracks, 0 of ? pages&gt;" in shown
    assert "await pager.collect()" in shown
