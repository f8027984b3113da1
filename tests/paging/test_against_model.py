"""Crawls under faults yield the tracks of `sequential_crawl`, or the first of them and an error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import AuthenticationError, JoggError, JoggSession, ParameterError, RetryPolicy, ServerError
from jogg_async.testing import FakeJogg, Fault
from tests.model import (
    REJECTED,
    TRANSIENT,
    HeldResponses,
    examples,
    ids_from,
    no_loop_errors,
    read_into,
    sequential_crawl,
    until,
)

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

TWICE = RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0)


async def test_tracks_before_a_failed_page_are_yielded_before_its_error(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.business(10105), page=3, times=3)
    pager = jogg.tracks(page_size=50)
    found: list[int] = []
    for _ in range(3):
        with pytest.raises(AuthenticationError) as caught:
            await read_into(found, pager)
        assert (caught.value.page, caught.value.attempts, len(caught.value.rid or "")) == (3, 1, 32)
        assert found == list(range(1, 101))
    found += await ids_from(pager)
    assert found == list(range(1, 251))
    assert sorted(page or 0 for page in fake.pages) == [1, 2, 3, 3, 3, 3, 4, 5]


async def test_error_names_the_page_to_restart_from(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(TRANSIENT, page=2, times=3)
    found: list[int] = []
    with pytest.raises(ServerError) as caught:
        await read_into(found, jogg.tracks())
    assert caught.value.attempts == 3
    assert caught.value.page is not None
    found += await ids_from(jogg.tracks(start_page=caught.value.page))
    assert found == list(range(1, 251))


async def test_step_after_a_failed_first_page_retries_it(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(REJECTED)
    pager = jogg.tracks(page_size=100)
    with pytest.raises(ParameterError) as caught:
        await anext(pager)
    assert caught.value.page == 1
    assert (pager.total_pages, fake.pages) == (None, [1])
    assert await ids_from(pager) == list(range(1, 251))


async def test_unordered_crawl_yields_received_pages_before_the_error(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(70)
    held = HeldResponses(fake, 5)
    fake.fail(REJECTED, page=3)
    pager = make_session(fake).tracks(page_size=10, ordered=False)
    await anext(pager)
    await until(lambda: fake.in_flight == 1 and len(fake.requests) == 7)
    await held.release()
    await until(lambda: fake.in_flight == 0)
    await asyncio.sleep(0.01)
    found = [1]
    with pytest.raises(ParameterError) as caught:
        await read_into(found, pager)
    assert caught.value.page == 3
    assert sorted(found) == [*range(1, 21), *range(31, 71)]
    assert await ids_from(pager) == list(range(21, 31))


async def test_no_page_beyond_a_failed_one_is_requested(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(1000)
    fake.fail(REJECTED, page=5, times=2)
    pager = make_session(fake, concurrency=2).tracks(page_size=10)
    with pytest.raises(ParameterError):
        await ids_from(pager)
    await asyncio.sleep(0.02)
    asked = max(page or 0 for page in fake.pages)
    assert asked <= 5 + 2
    with pytest.raises(ParameterError):
        await anext(pager)
    assert fake.pages.count(5) == 2
    assert await ids_from(pager) == list(range(41, 1001))


FAULTS = st.lists(
    st.tuples(
        st.integers(1, 8),
        st.sampled_from([REJECTED, TRANSIENT, Fault.html(503), Fault.truncate(), Fault.slow(0.004)]),
        st.integers(1, 3),
    ),
    max_size=5,
)


@examples(80)
@given(
    numbers=st.lists(st.integers(1, 60), max_size=60),
    page_size=st.integers(1, 10),
    ordered=st.booleans(),
    concurrency=st.integers(1, 5),
    faults=FAULTS,
    jitter=st.sampled_from([0.0, 0.002]),
)
async def test_random_faults_lose_no_track(  # noqa: PLR0917 (what hypothesis draws)
    numbers: list[int],
    page_size: int,
    ordered: bool,
    concurrency: int,
    faults: list[tuple[int, Fault, int]],
    jitter: float,
) -> None:
    rows = [{"id": number} for number in numbers]
    wanted = sequential_crawl(rows, page_size)
    async with FakeJogg(rows, jitter=jitter) as fake, JoggSession(fake.api_key, base_url=fake.url, retry=TWICE) as jogg:
        for page, fault, times in faults:
            fake.fail(fault, page=page, times=times)
        pager = jogg.tracks(page_size=page_size, ordered=ordered, concurrency=concurrency, on_drift="ignore")
        found: list[int] = []
        with no_loop_errors():
            async with asyncio.timeout(20):
                ended = False
                while not ended:
                    try:
                        await read_into(found, pager)
                        ended = True
                    except JoggError as error:
                        before = sequential_crawl(rows, page_size, end_page=(error.page or 0) - 1)
                        assert (found == before) if ordered else (set(found) >= set(before))
        assert (found if ordered else sorted(found)) == (wanted if ordered else sorted(wanted))
        assert fake.max_in_flight <= concurrency
        assert pager.progress.requests == len(fake.requests)
        assert pager.progress.duplicates == len(numbers) - len(wanted)
