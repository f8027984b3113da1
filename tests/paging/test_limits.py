"""Bounds of a crawl: limit, first and last page, page size, and arguments that are rejected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import JoggSession
from jogg_async.testing import FakeJogg, Fault
from tests.model import REJECTED, HeldResponses, examples, ids_from, pages_of, sequential_crawl, until

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


def requested_pages(fake: FakeJogg) -> list[int]:
    return sorted(page or 0 for page in fake.pages)


@pytest.mark.parametrize(
    ("limit", "pages"),
    [(0, []), (1, [1]), (99, [1]), (100, [1]), (101, [1, 2]), (200, [1, 2]), (250, [1, 2, 3]), (9999, [1, 2, 3])],
)
@pytest.mark.parametrize("ordered", [True, False])
async def test_limit_requests_no_page_beyond_it(
    fake: FakeJogg, jogg: JoggSession, limit: int, pages: list[int], ordered: bool
) -> None:
    pager = jogg.tracks(limit=limit, ordered=ordered)
    found = await ids_from(pager)
    assert len(found) == min(limit, 250)
    if ordered:
        assert found == list(range(1, len(found) + 1))
    assert requested_pages(fake) == pages
    assert pager.progress.tracks == len(found)


async def test_limit_of_zero_sends_no_request(fake: FakeJogg, jogg: JoggSession) -> None:
    pager = jogg.tracks(limit=0)
    with pytest.raises(StopAsyncIteration):
        await anext(pager.pages())
    assert len(await pager.collect()) == 0
    assert fake.requests == []


@examples(60)
@given(
    numbers=st.lists(st.integers(1, 25), max_size=50),
    page_size=st.integers(1, 9),
    limit=st.integers(0, 40),
    bounds=st.tuples(st.integers(1, 8), st.integers(0, 6)),
    ordered=st.booleans(),
    concurrency=st.integers(1, 4),
)
async def test_duplicates_do_not_count_towards_the_limit(  # noqa: PLR0917 (what hypothesis draws)
    numbers: list[int], page_size: int, limit: int, bounds: tuple[int, int], ordered: bool, concurrency: int
) -> None:
    rows = [{"id": number} for number in numbers]
    start_page, end_page = bounds[0], bounds[0] + bounds[1]
    async with FakeJogg(rows) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        pager = jogg.tracks(
            page_size=page_size,
            limit=limit,
            start_page=start_page,
            end_page=end_page,
            ordered=ordered,
            concurrency=concurrency,
            on_drift="ignore",
        )
        found = await ids_from(pager)
        reachable = sequential_crawl(rows, page_size, start_page=start_page, end_page=end_page)
        assert len(found) == len(set(found)) == min(limit, len(reachable))
        assert set(found) <= set(reachable)
        if ordered:
            assert found == reachable[:limit]
            assert requested_pages(fake) == pages_read(rows, page_size, start_page, end_page, limit)


def pages_read(rows: list[dict[str, Any]], page_size: int, start_page: int, end_page: int, limit: int) -> list[int]:
    """Return the pages that a sequential crawl reads until it has `limit` tracks."""
    pages: list[int] = []
    last = min(end_page, max(pages_of(len(rows), page_size), default=0))
    for page in range(start_page, max(last, start_page) + 1):
        if len(sequential_crawl(rows, page_size, start_page=start_page, end_page=page - 1)) >= limit:
            break
        pages.append(page)
    return pages


async def test_limit_is_filled_from_further_pages_when_pages_are_short(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    fake.fail(Fault.patch(lambda envelope: envelope["data"]["music"].__delitem__(slice(4, None))), times=2)
    found = await ids_from(make_session(fake).tracks(page_size=10, limit=18))
    assert found == [1, 2, 3, 4, 11, 12, 13, 14, *range(21, 31)]
    assert requested_pages(fake) == [1, 2, 3]


async def test_limit_with_a_capped_page_size_yields_enough_tracks(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    """The service accepts any page size, and sends ten tracks a page."""
    fake = await make_fake(50)
    fake.on_request = lambda seen: seen.query.update(page_size="10")
    assert await ids_from(make_session(fake).tracks(page_size=100, limit=35)) == list(range(1, 36))
    assert requested_pages(fake) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("bounds", "pages"),
    [
        ({}, [1, 2, 3]),
        ({"start_page": 2}, [2, 3]),
        ({"end_page": 2}, [1, 2]),
        ({"start_page": 2, "end_page": 2}, [2]),
        ({"start_page": 3, "end_page": 9}, [3]),
        ({"start_page": 3, "limit": 60}, [3]),
        ({"start_page": 2, "end_page": 3, "limit": 120}, [2, 3]),
    ],
)
async def test_start_page_and_end_page_bound_the_crawl(
    fake: FakeJogg, jogg: JoggSession, bounds: dict[str, Any], pages: list[int]
) -> None:
    found = await ids_from(jogg.tracks(**bounds))
    assert found == sequential_crawl(fake.catalogue[:], 100, **bounds)
    assert requested_pages(fake) == pages


@pytest.mark.parametrize("ordered", [True, False])
async def test_start_page_beyond_the_end_yields_nothing(fake: FakeJogg, jogg: JoggSession, ordered: bool) -> None:
    assert await ids_from(jogg.tracks(start_page=50, ordered=ordered)) == []
    assert requested_pages(fake) == [50]


async def test_failing_page_beyond_the_limit_is_never_requested(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(REJECTED, page=3, times=None)
    assert len(await ids_from(jogg.tracks(limit=200))) == 200
    assert len(await ids_from(jogg.tracks(end_page=2))) == 200


@pytest.mark.parametrize("page_size", [1, 33, 100])
async def test_page_size_is_sent_with_each_request(fake: FakeJogg, jogg: JoggSession, page_size: int) -> None:
    assert await ids_from(jogg.tracks(page_size=page_size)) == list(range(1, 251))
    assert {seen.page_size for seen in fake.requests} == {page_size}
    assert requested_pages(fake) == pages_of(250, page_size)


async def test_empty_catalogue_yields_nothing(make_fake: MakeFake, make_session: MakeSession) -> None:
    for null in (False, True):
        fake = await make_fake(0, null_when_empty=null)
        pager = make_session(fake).tracks()
        assert await ids_from(pager) == []
        assert (pager.total_items, pager.total_pages, pager.progress.drifted) == (0, 0, False)
        assert requested_pages(fake) == [1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 101}, "page_size"),
        ({"page_size": -5}, "page_size"),
        ({"page_size": 10.5}, "page_size"),
        ({"page_size": "10"}, "page_size"),
        ({"page_size": True}, "page_size"),
        ({"concurrency": 0}, "concurrency"),
        ({"limit": -1}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"start_page": 0}, "start_page"),
        ({"start_page": -1}, "start_page"),
        ({"end_page": 0}, "end_page"),
        ({"start_page": 3, "end_page": 2}, "end_page"),
        ({"on_invalid": "drop"}, "on_invalid"),
        ({"on_drift": "panic"}, "on_drift"),
        ({"params": {"page": 2}}, "page"),
        ({"params": {"page_size": 2}}, "page_size"),
        ({"params": {"genre": "Jazz"}}, "genre"),
        ({"params": {"mood": "Calm"}}, "mood"),
        ({"params": {"sort": None}}, "sort"),
        ({"params": {3: "x"}}, "params"),
        ({"genre": 5}, "genre"),
        ({"mood": ["Calm"]}, "mood"),
    ],
    ids=str,
)
async def test_invalid_arguments_are_rejected_at_the_call(
    fake: FakeJogg, jogg: JoggSession, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        jogg.tracks(**arguments)
    assert fake.requests == []


async def test_crawl_from_within_a_page_requests_all_pages_that_its_limit_needs_and_no_more(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(100)
    jogg = make_session(fake)
    first = jogg.tracks(page_size=10, limit=9)
    assert await ids_from(first) == list(range(1, 10))
    assert fake.pages == [1]
    pager = jogg.tracks(resume=first.checkpoint(), limit=11)
    held = HeldResponses(fake, 1)
    step = asyncio.ensure_future(anext(pager))
    await until(lambda: len(fake.requests) == 3, 5)  # both pages at once
    await held.release()
    assert (await step).id == 10
    await asyncio.sleep(0.02)
    assert await ids_from(pager) == list(range(11, 21))
    assert sorted(fake.pages, key=str) == [1, 1, 2]
