"""Crawls that end early: by `break`, an error, `aclose()`, garbage collection or cancellation."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import JoggError, JoggSession, SessionClosedError, TrackPager
from jogg_async._http import connector as connector_module
from jogg_async.testing import FakeJogg, Fault
from tests.http.raw import Connection, RawServer
from tests.model import REJECTED, examples, iterate_loop, no_loop_errors, until

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


class LeftError(Exception):
    """Raised by the body of a loop."""


@pytest.fixture
def silent() -> Iterator[FakeJogg]:
    """Start a fake that responds to the first request only.

    It serves from a thread of its own, so that all tasks of the test's loop belong to the client.
    """
    with FakeJogg(900) as fake:
        fake.fail(Fault.slow(3600), times=None, after=1)
        yield fake


def session_on(fake: FakeJogg, concurrency: int = 8) -> JoggSession:
    return JoggSession(fake.api_key, base_url=fake.url, concurrency=concurrency)


async def by_break(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10):
        await until(lambda: fake.in_flight == 8)
        break


async def by_break_over_pages(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10).pages():
        await until(lambda: fake.in_flight == 8)
        break


async def by_an_error(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10):
        await until(lambda: fake.in_flight == 8)
        raise LeftError


async def in_the_body(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10):
        await asyncio.sleep(3600)


async def in_a_step(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10):
        pass


async def in_collect(jogg: JoggSession, fake: FakeJogg) -> None:
    await jogg.tracks(page_size=10).collect()


async def in_a_step_over_pages(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10).pages():
        pass


async def in_save(jogg: JoggSession, fake: FakeJogg) -> None:
    with TemporaryDirectory() as folder:
        await jogg.tracks(page_size=10).save(Path(folder, "tracks.jsonl"))


async def assert_quiet(fake: FakeJogg, tasks: set[asyncio.Task[object]]) -> None:
    """Assert that only these tasks run, that the fake's open requests end, and that it gets no new ones."""
    assert asyncio.all_tasks() == tasks
    await asyncio.sleep(0.05)  # requests already sent arrive in the fake's thread
    requests = len(fake.requests)
    await until(lambda: fake.in_flight == 0)
    await asyncio.sleep(0.01)
    assert len(fake.requests) == requests


Leave = Callable[[JoggSession, FakeJogg], Awaitable[None]]


async def by_one_step(jogg: JoggSession, fake: FakeJogg) -> None:
    await anext(jogg.tracks(page_size=10))


async def by_one_page(jogg: JoggSession, fake: FakeJogg) -> None:
    await anext(jogg.tracks(page_size=10).pages())


async def by_one_page_of_a_loop(jogg: JoggSession, fake: FakeJogg) -> None:
    async for _ in jogg.tracks(page_size=10).pages():
        break


@pytest.mark.parametrize(
    "leave",
    [by_one_step, by_one_page, by_one_page_of_a_loop],
)
async def test_one_step_of_an_unreferenced_pager_leaves_no_task(silent: FakeJogg, leave: Leave) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        await leave(jogg, silent)
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before
        assert silent.in_flight == 0


@pytest.mark.parametrize("leave", [by_break, by_break_over_pages, by_an_error])
async def test_leaving_the_loop_over_a_pager_cancels_its_requests(silent: FakeJogg, leave: Leave) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        kept: LeftError | None = None
        with no_loop_errors():
            try:
                await leave(jogg, silent)
            except LeftError as error:
                kept = error  # with its traceback, and so with the frame of the loop
            await iterate_loop(5)
            await assert_quiet(silent, before)
        assert (kept is not None) == (leave is by_an_error)


@pytest.mark.parametrize(
    "leave",
    [in_the_body, in_a_step, in_a_step_over_pages, in_collect, in_save],
)
async def test_cancelling_the_loop_over_a_pager_cancels_its_requests(silent: FakeJogg, leave: Leave) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        with no_loop_errors():
            crawling = asyncio.ensure_future(leave(jogg, silent))
            await until(lambda: silent.in_flight == 8)
            crawling.cancel()
            with pytest.raises(asyncio.CancelledError) as kept:
                await crawling
            await iterate_loop(5)
            await assert_quiet(silent, before)
        assert crawling.cancelled()
        assert kept.tb is not None


async def test_error_of_a_page_ends_the_loop_over_a_pager_and_its_requests(silent: FakeJogg) -> None:
    silent.clear()
    silent.fail(REJECTED, page=2)
    silent.fail(Fault.slow(3600), times=None, after=1)
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        with pytest.raises(JoggError) as kept:
            await in_a_step(jogg, silent)
        await iterate_loop(5)
        await assert_quiet(silent, before)
        assert kept.value.__traceback__ is not None


async def test_pager_that_is_still_referenced_ends_when_it_is_closed(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        pager = jogg.tracks(page_size=10)
        async for _ in pager:
            break
        await until(lambda: silent.in_flight == 8)
        assert asyncio.all_tasks() > before
        await pager.aclose()
        await assert_quiet(silent, before)
        await pager.aclose()
        with pytest.raises(JoggError, match="closed before its end"):
            await anext(pager)
        with pytest.raises(JoggError, match="closed before its end"):
            await anext(pager.pages())


async def test_async_with_closes_the_pager(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        with suppress(LeftError):
            async with jogg.tracks(page_size=10) as pager:
                await anext(pager)
                await until(lambda: silent.in_flight == 8)
                raise LeftError
        await assert_quiet(silent, before)


async def test_closing_the_iterator_of_pages_closes_the_pager(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        pager = jogg.tracks(page_size=10)
        pages = pager.pages()
        await anext(pages)
        await until(lambda: silent.in_flight == 8)
        await pages.aclose()
        await assert_quiet(silent, before)
        with pytest.raises(JoggError, match="closed before its end"):
            await anext(pager)


async def test_a_pager_closed_in_its_first_step_leaves_no_task(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        for count in range(12):
            pager = jogg.tracks()
            step = asyncio.ensure_future(anext(pager))
            await iterate_loop(count)
            step.cancel()
            with suppress(asyncio.CancelledError):
                await step
            await pager.aclose()
            assert asyncio.all_tasks() == before


async def test_closing_a_pager_raises_in_its_waiting_step(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        pager = jogg.tracks(page_size=10, start_page=2)
        await jogg.count()
        step = asyncio.ensure_future(anext(pager))
        await until(lambda: silent.in_flight == 1)
        await pager.aclose()
        with pytest.raises(JoggError):
            await step


async def test_closing_a_pager_raises_in_each_of_its_waiting_steps(silent: FakeJogg) -> None:
    async with session_on(silent) as jogg:
        pager = jogg.tracks(page_size=10, start_page=2)
        await jogg.count()
        steps = [asyncio.ensure_future(anext(pager)) for _ in range(3)]
        await until(lambda: silent.in_flight == 1)
        await pager.aclose()
        assert all(isinstance(each, JoggError) for each in await asyncio.gather(*steps, return_exceptions=True))


@examples(8)
@given(patience=st.lists(st.integers(1, 12), min_size=1, max_size=6), ordered=st.booleans())
async def test_cancelled_steps_lose_no_track(patience: list[int], ordered: bool) -> None:
    async with asyncio.timeout(20), FakeJogg(120, jitter=0.002) as fake, session_on(fake, 3) as jogg:
        pager = jogg.tracks(page_size=10, ordered=ordered)
        found: list[int] = []
        attempt = 0
        while True:
            step = asyncio.ensure_future(anext(pager, None))
            await iterate_loop(patience[attempt % len(patience)])
            step.cancel()
            attempt += 1
            try:
                track = await step
            except asyncio.CancelledError:
                await asyncio.sleep(0.0005)
                continue
            if track is None:
                break
            found.append(track.id)
        assert (found if ordered else sorted(found)) == list(range(1, 121))
        assert len(fake.requests) == 12


async def test_steps_that_time_out_lose_no_track(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(30, latency=0.004)
    pager = make_session(fake, concurrency=2).tracks(page_size=2)
    found: list[int] = []
    expired = 0
    while len(found) < 30:
        try:
            found.append((await asyncio.wait_for(anext(pager), 0.001)).id)
        except TimeoutError:
            expired += 1
    assert found == list(range(1, 31))
    assert expired > 0
    assert len(fake.requests) == 15
    await pager.aclose()


async def started(jogg: JoggSession, fake: FakeJogg) -> TrackPager:
    pager = jogg.tracks(page_size=10)
    await anext(pager)
    await until(lambda: fake.in_flight == 8)
    return pager


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_garbage_collection_of_a_pager_in_a_cycle_cancels_its_requests(silent: FakeJogg, elsewhere: bool) -> None:
    async with session_on(silent) as jogg:
        before = asyncio.all_tasks()
        gc.collect()
        gc.disable()
        try:
            cycle: list[object] = [await started(jogg, silent)]
            cycle.append(cycle)
            del cycle
            await iterate_loop(5)
            assert silent.in_flight == 8
            if elsewhere:
                collector = threading.Thread(target=gc.collect)
                collector.start()
                collector.join()
            else:
                gc.collect()
        finally:
            gc.enable()
        await iterate_loop(5)
        await assert_quiet(silent, before)


async def test_pager_that_outlives_its_loop_is_collected_silently(silent: FakeJogg) -> None:
    kept: list[TrackPager] = []

    async def main() -> None:
        async with session_on(silent) as jogg:
            kept.append(await started(jogg, silent))
            kept.append(jogg.tracks())

    await asyncio.to_thread(asyncio.run, main())
    with pytest.raises(SessionClosedError):
        await anext(kept[0])
    kept.clear()
    gc.collect()


SCRIPT = """
import asyncio
from jogg_async import JoggSession
from jogg_async.testing import FakeJogg

async def main(url, key):
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is nothing to report
    async with JoggSession(key, base_url=url) as jogg:
        async for track in jogg.tracks(page_size=10):
            if track.id == {last}:
                break
        pager = jogg.tracks(page_size=5)
        await anext(pager)
        task = asyncio.create_task(jogg.tracks(page_size=1).collect())
        await asyncio.sleep(0.01)
        task.cancel()

with FakeJogg(5000, latency=0.002) as fake:
    asyncio.run(main(fake.url, fake.api_key))
print("done")
"""


@pytest.mark.parametrize("last", [1, 77])
async def test_program_that_exits_during_crawls_prints_nothing(last: int) -> None:
    program = [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT.format(last=last)]
    done = await asyncio.to_thread(subprocess.run, program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def preconnects() -> list[str]:
    """Return the names of the coroutines that open connections in advance."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("Connector.")]


@pytest.mark.parametrize("way", ["closed", "dropped"])
async def test_end_of_a_crawl_cancels_the_connections_being_opened_ahead(way: str) -> None:
    server = RawServer(Connection.stay_silent, None)  # no handshake comes to its end
    await server.start()
    async with JoggSession("key", base_url=f"https://127.0.0.1:{server.port}") as jogg:
        pager = jogg.tracks()
        step = asyncio.ensure_future(anext(pager))
        await until(lambda: server.open == 4)
        assert len(preconnects()) == 3
        if way == "closed":
            await pager.aclose()
            assert preconnects() == []
        else:
            del pager
            step.cancel()
        await asyncio.wait([step])
        await until(lambda: preconnects() == [], 5)
    await server.close()
    assert isinstance(step.exception(), JoggError) if way == "closed" else step.cancelled()


async def test_crawl_that_ended_leaves_no_connection_being_opened_ahead(
    fake: FakeJogg, jogg: JoggSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_module, "_PRECONNECT_DELAY", 3600.0)
    pager = jogg.tracks()
    await anext(pager)
    assert len(preconnects()) == 3
    assert len(await pager.collect()) == 249
    assert preconnects() == []
