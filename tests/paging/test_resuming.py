"""Crawls resumed from a checkpoint continue with the next track."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import CatalogueChangedWarning, JoggSession, SessionClosedError
from jogg_async.testing import FakeJogg, Fault
from tests.model import REJECTED, TRANSIENT, HeldResponses, examples, ids_from, is_valid, sequential_crawl, take, until

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

ROWS = st.lists(st.one_of(st.integers(1, 40), st.just("no number")), max_size=40).map(
    lambda numbers: [{"id": number} for number in numbers]
)


def next_place(rows: list[dict[str, Any]], page_size: int, taken: int, start_page: int) -> tuple[int, int]:
    """Return page and place of the checkpoint after `taken` tracks.

    If the page of the last track has no further new track, the checkpoint is at the start of the next page.
    """
    seen: set[int] = set()
    page = start_page - 1
    for at, row in enumerate(rows[page * page_size :], page * page_size):
        if is_valid(row) and row["id"] not in seen:
            if len(seen) == taken:
                return (page, at % page_size) if at // page_size + 1 == page else (page + 1, 0)
            seen.add(row["id"])
            page = at // page_size + 1
    return page + 1, 0


@examples(120)
@given(rows=ROWS, page_size=st.integers(1, 8), start_page=st.integers(1, 3), data=st.data())
async def test_resumed_crawl_yields_the_remaining_tracks(
    rows: list[dict[str, Any]], page_size: int, start_page: int, data: st.DataObject
) -> None:
    async with FakeJogg(rows) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        whole = sequential_crawl(rows, page_size, start_page=start_page)
        cut = data.draw(st.integers(0, len(whole)))
        by_limit = data.draw(st.booleans())
        pager = jogg.tracks(
            page_size=page_size,
            start_page=start_page,
            on_invalid="skip",
            on_drift="ignore",
            limit=cut if by_limit else None,
        )
        assert await take(pager, cut) == whole[:cut]
        checkpoint = json.loads(json.dumps(pager.checkpoint()))
        await pager.aclose()
        assert pager.checkpoint() == checkpoint
        again = jogg.tracks(resume=checkpoint, on_invalid="skip", on_drift="ignore", limit=1000)
        assert again.checkpoint() == {**checkpoint, "limit": 1000}
        rest = await ids_from(again)
        page, place = next_place(rows, page_size, cut, start_page)
        # Its memory is not in the checkpoint: an id yielded before may come again, if it comes twice in the catalogue.
        assert rest == sequential_crawl(rows, page_size, start_page=page, place=place)
        assert set(rest) >= set(whole[cut:])
        if len(set(map(str, rows))) == len(rows):
            assert rest == whole[cut:]


@examples(40)
@given(found=st.integers(0, 40), page_size=st.integers(1, 8), data=st.data())
async def test_resumed_unordered_crawl_loses_no_track(found: int, page_size: int, data: st.DataObject) -> None:
    async with (
        FakeJogg(found, jitter=0.003, seed=data.draw(st.integers(0, 99))) as fake,
        JoggSession(fake.api_key, base_url=fake.url) as jogg,
    ):
        pager = jogg.tracks(page_size=page_size, ordered=False)
        before = await take(pager, data.draw(st.integers(0, found)))
        checkpoint = json.loads(json.dumps(pager.checkpoint()))
        await pager.aclose()
        after = await ids_from(jogg.tracks(resume=checkpoint, ordered=data.draw(st.booleans())))
        assert len(after) == len(set(after))
        assert set(before) | set(after) == set(range(1, found + 1))
        before_checkpoint = min((checkpoint["page"] - 1) * page_size, found)
        assert set(range(1, before_checkpoint + 1)) <= set(before)


async def test_unordered_checkpoint_is_at_the_lowest_page_not_yielded(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50)
    held = HeldResponses(fake, 2)
    pager = make_session(fake).tracks(page_size=10, ordered=False)
    found = await take(pager, 30)
    assert (pager.checkpoint()["page"], pager.checkpoint()["place"]) == (2, 0)
    await held.release()
    found += await take(pager, 20)
    assert sorted(found) == list(range(1, 51))
    assert (pager.checkpoint()["page"], pager.checkpoint()["place"]) == (6, 0)
    await pager.aclose()


async def test_resuming_again_and_again_yields_every_track_once(fake: FakeJogg, jogg: JoggSession) -> None:
    found: list[int] = []
    checkpoint = None
    while len(found) < 250:
        async with jogg.tracks(page_size=40, resume=checkpoint) as pager:
            found += await take(pager, min(7, 250 - len(found)))
            checkpoint = pager.checkpoint()
    assert found == list(range(1, 251))
    assert await ids_from(jogg.tracks(resume=checkpoint)) == []


async def test_checkpoint_keeps_filters_and_page_size(fake: FakeJogg, jogg: JoggSession) -> None:
    wanted = [row["id"] for row in fake.catalogue.filtered(mood="Calm")]
    pager = jogg.tracks(mood="Calm", page_size=4, params={"sort": "id"})
    assert await take(pager, 6) == wanted[:6]
    checkpoint = pager.checkpoint()
    await pager.aclose()
    fake.clear()
    assert await ids_from(jogg.tracks(resume=checkpoint)) == wanted[6:]
    assert all(
        (seen.query["mood"], seen.query["sort"], seen.query["page_size"]) == ("Calm", "id", "4")
        for seen in fake.requests
    )
    assert min(seen.page or 0 for seen in fake.requests) == 2
    same = jogg.tracks(resume=checkpoint, mood="Calm", page_size=4, start_page=2, params={"sort": "id"})
    assert await ids_from(same) == wanted[6:]


async def test_limit_and_end_page_of_a_resumed_pager_apply_from_the_checkpoint(
    fake: FakeJogg, jogg: JoggSession
) -> None:
    pager = jogg.tracks(page_size=50)
    await take(pager, 70)
    checkpoint = pager.checkpoint()
    await pager.aclose()
    fake.clear()
    assert await ids_from(jogg.tracks(resume=checkpoint, limit=30)) == list(range(71, 101))
    assert fake.pages == [2]
    assert await ids_from(jogg.tracks(resume=checkpoint, end_page=3)) == list(range(71, 151))


async def test_resumed_crawl_accepts_the_arguments_of_the_first_crawl(fake: FakeJogg, jogg: JoggSession) -> None:
    arguments: dict[str, Any] = {"start_page": 2, "end_page": 5, "page_size": 30, "mood": None, "on_drift": "raise"}
    for taken, page in ((0, 2), (29, 2), (70, 4), (120, 6)):
        pager = jogg.tracks(**arguments)
        found = await take(pager, taken)
        checkpoint = pager.checkpoint()
        await pager.aclose()
        assert (checkpoint["start_page"], checkpoint["page"]) == (2, page)
        assert found + await ids_from(jogg.tracks(**arguments, resume=checkpoint)) == list(range(31, 151))


async def test_start_page_that_the_checkpoint_has_not_is_rejected(jogg: JoggSession) -> None:
    checkpoint = {"page": 5, "place": 20, "page_size": 50, "filters": {}, "start_page": 3}
    for start_page in (1, 2, 4, 6):
        with pytest.raises(ValueError, match=f"start_page={start_page} contradicts resume, which has 5 or 3"):
            jogg.tracks(resume=checkpoint, start_page=start_page)


async def test_checkpoint_before_the_first_step_is_at_the_start_page(fake: FakeJogg, jogg: JoggSession) -> None:
    checkpoint = jogg.tracks(start_page=2, page_size=50).checkpoint()
    assert fake.requests == []
    assert await ids_from(jogg.tracks(resume=checkpoint)) == list(range(51, 251))


async def test_checkpoint_after_the_end_yields_only_new_tracks(fake: FakeJogg, jogg: JoggSession) -> None:
    pager = jogg.tracks()
    await pager.collect()
    assert await ids_from(jogg.tracks(resume=pager.checkpoint())) == []
    fake.catalogue.insert(250, count=100)
    assert (await jogg.count()) == 350
    with pytest.warns(CatalogueChangedWarning):
        assert await ids_from(jogg.tracks(resume=pager.checkpoint())) == list(range(301, 351))
    bounded = jogg.tracks(end_page=2)
    await bounded.collect()
    fake.clear()
    assert await ids_from(jogg.tracks(resume=bounded.checkpoint())) == []
    assert fake.requests == []


async def test_checkpoint_of_a_closed_pager_resumes_at_the_next_track(fake: FakeJogg, jogg: JoggSession) -> None:
    pager, other = jogg.tracks(), jogg.tracks(page_size=30)
    await take(pager, 120)
    await take(other, 40)
    await pager.aclose()
    await jogg.aclose()
    with pytest.raises(SessionClosedError):
        await anext(other)
    async with JoggSession(fake.api_key, base_url=fake.url) as later:
        assert await ids_from(later.tracks(resume=pager.checkpoint())) == list(range(121, 251))
        assert await ids_from(later.tracks(resume=other.checkpoint())) == list(range(41, 251))


@pytest.mark.parametrize("fault", [REJECTED, TRANSIENT, Fault.html(502)], ids=lambda fault: fault.name)
async def test_checkpoint_after_an_error_is_at_the_failed_page(fake: FakeJogg, jogg: JoggSession, fault: Fault) -> None:
    fake.fail(fault, page=2, times=3)
    pager = jogg.tracks()
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which one, is not the question)
        await ids_from(pager)
    assert pager.checkpoint()["page"] == getattr(caught.value, "page", None) == 2
    checkpoint = pager.checkpoint()
    await pager.aclose()
    fake.clear()
    assert await ids_from(jogg.tracks(resume=checkpoint)) == list(range(101, 251))


async def test_checkpoint_taken_while_a_step_waits_is_at_the_awaited_page(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50)
    held = HeldResponses(fake, 2)
    pager = make_session(fake).tracks(page_size=10)
    await take(pager, 10)
    step = asyncio.ensure_future(anext(pager))
    await asyncio.sleep(0.01)
    assert (pager.checkpoint()["page"], pager.checkpoint()["place"]) == (2, 0)
    await held.release()
    assert (await step).id == 11
    assert (pager.checkpoint()["page"], pager.checkpoint()["place"]) == (2, 1)
    await pager.aclose()


async def test_checkpoint_at_the_start_of_a_recrawl_is_at_the_first_track(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(30)
    session = make_session(fake)
    start = session.tracks(page_size=10)
    await take(start, 4)
    pager = session.tracks(resume=start.checkpoint(), on_drift="recrawl", concurrency=1)
    await start.aclose()
    fake.mutate_after(1, lambda catalogue: catalogue.insert(30))
    await take(pager, 27)
    held = HeldResponses(fake, 1)
    step = asyncio.ensure_future(anext(pager))
    await until(lambda: fake.in_flight == 1)
    assert (pager.checkpoint()["page"], pager.checkpoint()["place"]) == (1, 0)
    await held.release()
    assert (await step).id == 1
    await pager.aclose()


@pytest.mark.parametrize(
    "contradiction",
    [
        {"page_size": 100},
        {"page_size": 49},
        {"start_page": 1},
        {"start_page": 3},
        {"genre": "Jazz"},
        {"mood": "Dark"},
        {"params": {"sort": "id"}},
        {"end_page": 0},
    ],
    ids=str,
)
async def test_arguments_that_contradict_the_checkpoint_are_rejected(
    fake: FakeJogg, jogg: JoggSession, contradiction: dict[str, Any]
) -> None:
    pager = jogg.tracks(page_size=50, start_page=2, mood="Calm")
    checkpoint = pager.checkpoint()
    with pytest.raises(ValueError, match=next(iter(contradiction)).replace("params", "sort")):
        jogg.tracks(resume=checkpoint, **contradiction)
    assert fake.requests == []


async def test_end_page_before_the_checkpoint_is_rejected(jogg: JoggSession) -> None:
    checkpoint = jogg.tracks(start_page=5).checkpoint()
    with pytest.raises(ValueError, match="end_page"):
        jogg.tracks(resume=checkpoint, end_page=3)


WHOLE = {"page": 2, "place": 3, "page_size": 50, "filters": {}}


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        [],
        "page 2",
        7,
        {"page": 2},
        {**WHOLE, "page": 0},
        {**WHOLE, "page": "2"},
        {**WHOLE, "place": -1},
        {**WHOLE, "page_size": 101},
        {**WHOLE, "filters": None},
        {**WHOLE, "filters": {"mood": 3}},
    ],
    ids=str,
)
async def test_malformed_checkpoint_is_rejected_before_any_request(
    fake: FakeJogg, jogg: JoggSession, damaged: Any
) -> None:
    with pytest.raises(ValueError, match="resume"):
        jogg.tracks(resume=damaged)
    assert fake.requests == []
