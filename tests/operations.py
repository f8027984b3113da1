"""Operations of sessions and pagers that a test interrupts, each with the set-up that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Final

import attrs

from jogg_async import JoggSession, Page, RetryPolicy, Track, TrackList, TrackPager
from jogg_async.testing import FakeJogg, Fault

from .model import REJECTED, TRANSIENT, ids, ids_from, iterate_loop
from .stepping import eventually

TRACKS: Final = 12
PAGE_SIZE: Final = 3
CONCURRENCY: Final = 2
TIMEOUT: Final = 5.0
SLOW: Final = Fault.slow(0.1)
RATE_LIMITED: Final = Fault.business(429, retry_after=1)
RETRY: Final = RetryPolicy(attempts=3, wait_initial=0.1, wait_jitter=0.0)

MOVED_ID: Final = 8
"""Id of the track that is missing from the first pass of a crawl."""


class Limiter:
    """Limiter that takes some iterations of the event loop to enter and to leave, and counts who is inside."""

    def __init__(self) -> None:
        self.inside = 0

    async def __aenter__(self) -> None:
        await iterate_loop(2)
        self.inside += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.inside -= 1
        await iterate_loop(1)


@attrs.define
class Scenario:
    """A session on a fake, its tasks, and the ids that its pager should yield and has yielded.

    Attributes:
        expected: ids that the pager should yield.
        yielded: ids that it has yielded.
        background: tasks that run beside the operation.
        loses_tracks: tracks that the operation has taken are lost if it is interrupted.
        unordered: the pager yields pages as they arrive.
        closes_pager: the operation closes the pager.
        reports_drift: the pager raises `CatalogueChangedError` at its end.
        closes_all: the operation closes everything that it uses, even if it is interrupted.
    """

    fake: FakeJogg
    limiter: Limiter
    jogg: JoggSession
    concurrency: int
    pager: TrackPager | None = None
    expected: list[int] = attrs.Factory(lambda: list(range(1, TRACKS + 1)))
    yielded: list[int] = attrs.Factory(list[int])
    background: list[asyncio.Task[Any]] = attrs.Factory(list[asyncio.Task[Any]])
    loses_tracks: bool = False
    unordered: bool = False
    closes_pager: bool = False
    reports_drift: bool = False
    closes_all: bool = False

    def tracks(self, **kwargs: Any) -> TrackPager:
        self.pager = self.jogg.tracks(page_size=PAGE_SIZE, **kwargs)
        return self.pager

    async def pager_after(self, count: int, **kwargs: Any) -> TrackPager:
        """Return a pager that has yielded `count` tracks."""
        pager = self.tracks(**kwargs)
        for _ in range(count):
            self.record(await anext(pager))
        return pager

    def record(self, result: object) -> None:
        """Append the ids of a track, a page or a track list to `yielded`."""
        if isinstance(result, Track):
            self.yielded.append(result.id)
        elif isinstance(result, Page):
            self.yielded += ids(result.tracks)
        elif isinstance(result, TrackList):
            self.yielded += ids(result)

    def unfinished(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.background if not task.done()]

    def run_in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        self.background.append(asyncio.get_running_loop().create_task(work))


Prepare = Callable[[Scenario], Awaitable[Coroutine[Any, Any, Any]]]
"""Prepare a scenario, and return the operation to interrupt."""


async def step(pager: TrackPager) -> Track | None:
    return await anext(pager, None)


async def fetch_page(scenario: Scenario) -> None:
    """Fetch a single page, without the pager."""
    assert ids((await scenario.jogg.page(2, page_size=PAGE_SIZE)).tracks) == [4, 5, 6]


async def first_step(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    return step(scenario.tracks())


async def step_waiting_for_a_page(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=2)
    return step(await scenario.pager_after(PAGE_SIZE))


async def unordered_step(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=2)
    scenario.unordered = True
    return step(await scenario.pager_after(PAGE_SIZE, ordered=False))


async def failing_step(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(REJECTED, page=2)
    return step(await scenario.pager_after(PAGE_SIZE))


async def step_of_pages(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    pages = scenario.tracks().pages()
    scenario.record(await anext(pages))
    return pages.__anext__()


async def collect(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=3)
    scenario.loses_tracks = True
    return scenario.tracks().collect()


async def loop_over_tracks(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=2)
    return ids_from(scenario.jogg.tracks(page_size=PAGE_SIZE))


async def page(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    return fetch_page(scenario)


async def failing_page(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(REJECTED, page=2)
    return fetch_page(scenario)


async def page_with_a_truncated_response(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(Fault.truncate(), page=2)
    return fetch_page(scenario)


async def page_that_times_out(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(Fault.stall(), page=2)
    return fetch_page(scenario)


async def count(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    return scenario.jogg.count()


async def aclose(scenario: Scenario, target: TrackPager | JoggSession) -> None:
    scenario.closes_pager = True
    scenario.closes_all = target is scenario.jogg
    await target.aclose()


async def close_of_a_pager(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, times=None)
    pager = await scenario.pager_after(1)

    return aclose(scenario, pager)


async def close_of_a_pager_that_opens_connections(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=1)
    pager = scenario.tracks()
    scenario.run_in_background(step(pager))
    await iterate_loop(5)
    return aclose(scenario, pager)


async def close_of_a_session(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, times=None)
    await scenario.pager_after(1)
    scenario.run_in_background(scenario.jogg.count())
    await iterate_loop(3)

    return aclose(scenario, scenario.jogg)


async def session_from_enter_to_exit(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    fake = scenario.fake
    fake.fail(SLOW, page=2)
    scenario.closes_all = True

    async def whole() -> None:
        async with JoggSession(fake.api_key, base_url=fake.url, limiter=scenario.limiter, retry=RETRY) as jogg:
            async for _ in jogg.tracks(page_size=PAGE_SIZE):
                break
            pager = jogg.tracks(page_size=PAGE_SIZE)
            await anext(pager)

    return whole()


async def step_in_a_rate_limit_pause(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(RATE_LIMITED, page=1)
    return step(scenario.tracks())


async def page_in_a_rate_limit_pause(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(RATE_LIMITED, page=2)
    return fetch_page(scenario)


async def step_in_backoff(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(TRANSIENT, page=1, times=2)
    return step(scenario.tracks())


async def page_in_backoff(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(TRANSIENT, page=2, times=2)
    return fetch_page(scenario)


async def occupy_the_slot(scenario: Scenario) -> None:
    scenario.fake.fail(SLOW)
    scenario.run_in_background(scenario.jogg.count())
    await eventually(lambda: scenario.fake.in_flight == 1)


async def step_waiting_for_a_slot(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    await occupy_the_slot(scenario)
    return step(scenario.tracks())


async def page_waiting_for_a_slot(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    await occupy_the_slot(scenario)
    return fetch_page(scenario)


async def step_while_connections_open(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    scenario.fake.fail(SLOW, page=1)
    return step(scenario.tracks())


async def step_into_a_second_pass(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    def without_moved_track(envelope: Any) -> None:
        rows = envelope["data"]["music"]
        rows[:] = [row for row in rows if row["id"] != MOVED_ID]
        envelope["data"]["pagination"]["total_items"] -= 1

    scenario.fake.fail(Fault.patch(without_moved_track), page=3)
    scenario.expected.remove(MOVED_ID)
    scenario.expected.append(MOVED_ID)
    return step(await scenario.pager_after(TRACKS - 1, on_drift="recrawl"))


async def last_step(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    return step(await scenario.pager_after(TRACKS))


async def last_step_that_reports_drift(scenario: Scenario) -> Coroutine[Any, Any, Any]:
    def with_another_total(envelope: Any) -> None:
        envelope["data"]["pagination"]["total_items"] += 1

    scenario.fake.fail(Fault.patch(with_another_total), page=3)
    scenario.reports_drift = True
    return step(await scenario.pager_after(TRACKS, on_drift="raise"))


OPERATIONS: Final[tuple[Prepare, ...]] = (
    first_step,
    step_waiting_for_a_page,
    unordered_step,
    failing_step,
    step_of_pages,
    collect,
    loop_over_tracks,
    page,
    failing_page,
    page_with_a_truncated_response,
    page_that_times_out,
    count,
    close_of_a_pager,
    close_of_a_pager_that_opens_connections,
    close_of_a_session,
    session_from_enter_to_exit,
    step_in_a_rate_limit_pause,
    page_in_a_rate_limit_pause,
    step_in_backoff,
    page_in_backoff,
    step_waiting_for_a_slot,
    page_waiting_for_a_slot,
    step_while_connections_open,
    step_into_a_second_pass,
    last_step,
    last_step_that_reports_drift,
)

CONCURRENCY_OF: Final[dict[Prepare, int]] = {
    step_waiting_for_a_slot: 1,
    page_waiting_for_a_slot: 1,
    step_while_connections_open: 4,
    last_step: 4,
    last_step_that_reports_drift: 4,
    close_of_a_pager_that_opens_connections: 4,
}
"""Concurrency of the session for operations that need another than `CONCURRENCY`."""
