"""Whatever fails, and whatever consumers do: what comes out is `model.crawl`, or the start of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import (
    AuthenticationError,
    JoggError,
    JoggSession,
    ParameterError,
    RetryPolicy,
    ServerError,
    SessionClosedError,
    TrackPager,
)
from jogg_async.testing import FakeJogg, Fault

from .model import PASSING, REFUSED, Doors, crawl, examples, ids_from, no_complaints, read_into, turns, until

if TYPE_CHECKING:
    from .conftest import MakeFake, MakeSession

TWICE = RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0)


async def test_a_failed_page_is_an_error_after_all_before_it(fake: FakeJogg, jogg: JoggSession) -> None:
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


async def test_the_error_names_the_page_to_start_again_from(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(PASSING, page=2, times=3)
    found: list[int] = []
    with pytest.raises(ServerError) as caught:
        await read_into(found, jogg.tracks())
    assert caught.value.attempts == 3
    assert caught.value.page is not None
    found += await ids_from(jogg.tracks(start_page=caught.value.page))
    assert found == list(range(1, 251))


async def test_a_first_page_that_fails_may_be_tried_again(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(REFUSED)
    pager = jogg.tracks(page_size=100)
    with pytest.raises(ParameterError) as caught:
        await anext(pager)
    assert caught.value.page == 1
    assert (pager.total_pages, fake.pages) == (None, [1])
    assert await ids_from(pager) == list(range(1, 251))


async def test_without_order_all_that_is_in_comes_before_the_error(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(70)
    doors = Doors(fake, 5)
    fake.fail(REFUSED, page=3)
    pager = make_session(fake).tracks(page_size=10, ordered=False)
    await anext(pager)
    await until(lambda: fake.in_flight == 1 and len(fake.requests) == 7)
    await doors.open()
    await until(lambda: fake.in_flight == 0)
    await asyncio.sleep(0.01)
    found = [1]
    with pytest.raises(ParameterError) as caught:
        await read_into(found, pager)
    assert caught.value.page == 3
    assert sorted(found) == [*range(1, 21), *range(31, 71)]
    assert await ids_from(pager) == list(range(21, 31))


async def test_nothing_is_asked_beyond_a_page_that_failed(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(1000)
    fake.fail(REFUSED, page=5, times=2)
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
        st.sampled_from([REFUSED, PASSING, Fault.html(503), Fault.truncate(), Fault.slow(0.004)]),
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
async def test_faults_cost_no_track(  # noqa: PLR0917 (what hypothesis draws)
    numbers: list[int],
    page_size: int,
    ordered: bool,
    concurrency: int,
    faults: list[tuple[int, Fault, int]],
    jitter: float,
) -> None:
    rows = [{"id": number} for number in numbers]
    wanted = crawl(rows, page_size)
    async with FakeJogg(rows, jitter=jitter) as fake, JoggSession(fake.api_key, base_url=fake.url, retry=TWICE) as jogg:
        for page, fault, times in faults:
            fake.fail(fault, page=page, times=times)
        pager = jogg.tracks(page_size=page_size, ordered=ordered, concurrency=concurrency, on_drift="ignore")
        found: list[int] = []
        with no_complaints():
            async with asyncio.timeout(20):
                ended = False
                while not ended:
                    try:
                        await read_into(found, pager)
                        ended = True
                    except JoggError as error:
                        before = crawl(rows, page_size, end_page=(error.page or 0) - 1)
                        assert (found == before) if ordered else (set(found) >= set(before))
        assert (found if ordered else sorted(found)) == (wanted if ordered else sorted(wanted))
        assert fake.max_in_flight <= concurrency
        assert pager.progress.requests == len(fake.requests)
        assert pager.progress.duplicates == len(numbers) - len(wanted)


@attrs.define
class Consumer:
    """One pager, and what the model says it will yield."""

    pager: TrackPager
    wanted: list[int]
    ordered: bool
    found: list[int] = attrs.field(factory=list)
    ended: bool = False
    closed: bool = False

    async def step(self, patience: int) -> None:
        """A step, cancelled after so many turns of the loop; 0: never."""
        step = asyncio.ensure_future(anext(self.pager, None))
        if patience:
            await turns(patience)
            step.cancel()
        try:
            track = await step
        except (asyncio.CancelledError, ParameterError, ServerError):
            return
        if track is None:
            self.ended = True
            assert self.closed or len(self.found) == len(self.wanted)
        else:
            assert not self.ended
            self.found.append(track.id)
        self.check()

    def check(self) -> None:
        if self.ordered:
            assert self.found == self.wanted[: len(self.found)]
        assert len(self.found) == len(set(self.found))
        assert set(self.found) <= set(self.wanted)
        assert self.pager.progress.tracks == len(self.found)


class World:
    """One session, several consumers, and a fake that fails as told."""

    def __init__(self, fake: FakeJogg, jogg: JoggSession, rows: list[dict[str, Any]]) -> None:
        self.fake = fake
        self.jogg = jogg
        self.rows = rows
        self.consumers: list[Consumer] = []

    def start(self, choice: int) -> None:
        ordered, page_size = choice % 3 > 0, choice % 7 + 1
        limit = choice if ordered and choice % 2 else None  # without order, which ones come first is nobody's promise
        pager = self.jogg.tracks(page_size=page_size, ordered=ordered, limit=limit, on_drift="ignore")
        self.consumers.append(Consumer(pager, crawl(self.rows, page_size, limit=limit), ordered))

    def resume(self, consumer: Consumer) -> None:
        checkpoint = consumer.pager.checkpoint()
        page, place = checkpoint["page"], checkpoint["place"]
        wanted = crawl(self.rows, checkpoint["page_size"], start_page=page, place=place)
        pager = self.jogg.tracks(resume=checkpoint, on_drift="ignore")
        assert set(wanted) | set(consumer.found) >= set(consumer.wanted)
        self.consumers.append(Consumer(pager, wanted, ordered=True))

    async def do(self, move: str, choice: int) -> None:
        if move == "fail":
            self.fake.fail(REFUSED if choice % 2 else PASSING, page=choice % 9 + 1)
        elif move == "start" or not self.consumers:
            self.start(choice)
        elif move == "drop":
            self.consumers.pop(choice % len(self.consumers))
        else:
            await self.use(move, self.consumers[choice % len(self.consumers)], choice)

    async def use(self, move: str, consumer: Consumer, choice: int) -> None:
        if move == "step":
            for _ in range(choice % 5 + 1):
                await consumer.step(0)
        elif move == "cancel":
            await consumer.step(choice % 6 + 1)
        elif move == "resume":
            self.resume(consumer)
        elif not consumer.ended:
            await consumer.pager.aclose()
            consumer.closed = True


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "step", "step", "step", "cancel", "fail", "resume", "drop", "close"]),
        st.integers(0, 40),
    ),
    min_size=3,
    max_size=25,
)


@examples(60)
@given(numbers=st.lists(st.integers(1, 30), max_size=30), moves=MOVES, concurrency=st.integers(1, 4))
async def test_any_order_of_events(numbers: list[int], moves: list[tuple[str, int]], concurrency: int) -> None:
    rows = [{"id": number} for number in numbers]
    before = asyncio.all_tasks()
    with no_complaints():
        async with asyncio.timeout(20), FakeJogg(rows) as fake:
            jogg = JoggSession(fake.api_key, base_url=fake.url, retry=TWICE, concurrency=concurrency)
            world = World(fake, jogg, rows)
            for move, choice in moves:
                await world.do(move, choice)
            consumers = [consumer for consumer in world.consumers if not consumer.closed]
            fake.clear()
            for consumer in consumers[1:]:
                while not consumer.ended:
                    await consumer.step(0)
                assert sorted(consumer.found) == sorted(consumer.wanted)
            await jogg.aclose()
            for consumer in consumers[:1]:
                if not consumer.ended:
                    with pytest.raises(SessionClosedError):
                        await anext(consumer.pager)
    await turns()
    assert asyncio.all_tasks() == before
