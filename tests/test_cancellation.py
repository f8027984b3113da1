"""Every operation, cut off before each callback that it takes: nothing of it stays, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Final

import attrs
import pytest

from jogg_async import (
    CatalogueChangedError,
    JoggError,
    JoggSession,
    Page,
    ParameterError,
    RetryPolicy,
    SessionClosedError,
    Track,
    TrackList,
    TrackPager,
)
from jogg_async.testing import FakeJogg, Fault

from .model import PASSING, REFUSED, Doors, ids, ids_from, no_complaints, read_into, turns
from .stepping import (
    Cut,
    Ending,
    SteppingLoop,
    abandoned_by_its_group,
    cancelled,
    cancelled_twice,
    counted,
    eventually,
    timed_out,
)

TRACKS: Final = 12
SIZE: Final = 3
CONCURRENCY: Final = 2
TIMEOUT: Final = 5.0
SLOW: Final = Fault.slow(0.1)
REFUSAL: Final = Fault.business(429, retry_after=1)
RETRY: Final = RetryPolicy(attempts=3, wait_initial=0.1, wait_jitter=0.0)

MISSED: Final = 8
"""The track that slides past the first pass of a crawl."""


class Limiter:
    """A caller's limiter that takes its time, and counts who is in."""

    def __init__(self) -> None:
        self.inside = 0

    async def __aenter__(self) -> None:
        await turns(2)
        self.inside += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.inside -= 1
        await turns(1)


@attrs.define
class Scene:
    """A session on a fake, what runs in it, and what a pager should yield and has yielded.

    Attributes:
        loses: the operation keeps what it took when it is cut off.
        unordered: the pager promises no order.
        leaves_nothing: what was cut off had already closed what it used.
        closes: it closed the pager.
        tells: the pager's end tells of a change of the catalogue.
    """

    fake: FakeJogg
    limiter: Limiter
    jogg: JoggSession
    concurrency: int
    pager: TrackPager | None = None
    wanted: list[int] = attrs.Factory(lambda: list(range(1, TRACKS + 1)))
    found: list[int] = attrs.Factory(list[int])
    beside: list[asyncio.Task[Any]] = attrs.Factory(list[asyncio.Task[Any]])
    loses: bool = False
    unordered: bool = False
    closes: bool = False
    tells: bool = False
    leaves_nothing: bool = False

    def tracks(self, **kwargs: Any) -> TrackPager:
        self.pager = self.jogg.tracks(page_size=SIZE, **kwargs)
        return self.pager

    async def taken(self, count: int, **kwargs: Any) -> TrackPager:
        """A pager with so many tracks taken."""
        pager = self.tracks(**kwargs)
        for _ in range(count):
            self.take(await anext(pager))
        return pager

    def take(self, result: object) -> None:
        if isinstance(result, Track):
            self.found.append(result.id)
        elif isinstance(result, Page):
            self.found += ids(result.tracks)
        elif isinstance(result, TrackList):
            self.found += ids(result)

    def unfinished(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.beside if not task.done()]

    def run_beside(self, work: Coroutine[Any, Any, Any]) -> None:
        self.beside.append(asyncio.get_running_loop().create_task(work))


async def step(pager: TrackPager) -> Track | None:
    return await anext(pager, None)


Prepare = Callable[[Scene], Awaitable[Coroutine[Any, Any, Any]]]
"""Sets the scene, and returns what is to be cut off."""


async def a_first_step(scene: Scene) -> Coroutine[Any, Any, Any]:
    return step(scene.tracks())


async def a_step_that_waits(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=2)
    return step(await scene.taken(SIZE))


async def a_step_without_order(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=2)
    scene.unordered = True
    return step(await scene.taken(SIZE, ordered=False))


async def a_step_that_fails(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(REFUSED, page=2)
    return step(await scene.taken(SIZE))


async def a_step_of_pages(scene: Scene) -> Coroutine[Any, Any, Any]:
    pages = scene.tracks().pages()
    scene.take(await anext(pages))
    return pages.__anext__()


async def collecting(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=3)
    scene.loses = True
    return scene.tracks().collect()


async def a_loop(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=2)
    return ids_from(scene.jogg.tracks(page_size=SIZE))


async def a_page(scene: Scene) -> Coroutine[Any, Any, Any]:
    return page(scene)


async def a_page_that_fails(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(REFUSED, page=2)
    return page(scene)


async def page(scene: Scene) -> None:
    """A page that is none of the pager's."""
    assert ids((await scene.jogg.page(2, page_size=SIZE)).tracks) == [4, 5, 6]


async def a_page_that_is_cut_short(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(Fault.truncate(), page=2)
    return page(scene)


async def a_page_that_takes_too_long(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(Fault.stall(), page=2)
    return page(scene)


async def counting(scene: Scene) -> Coroutine[Any, Any, Any]:
    return scene.jogg.count()


async def close(scene: Scene, what: TrackPager | JoggSession) -> None:
    scene.closes = True
    scene.leaves_nothing = what is scene.jogg
    await what.aclose()


async def closing_a_pager(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, times=None)
    pager = await scene.taken(1)

    return close(scene, pager)


async def closing_a_pager_that_opens_connections(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=1)
    pager = scene.tracks()
    scene.run_beside(step(pager))
    await turns(5)
    return close(scene, pager)


async def closing_a_session(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, times=None)
    await scene.taken(1)
    scene.run_beside(scene.jogg.count())
    await turns(3)

    return close(scene, scene.jogg)


async def a_session_from_enter_to_exit(scene: Scene) -> Coroutine[Any, Any, Any]:
    fake = scene.fake
    fake.fail(SLOW, page=2)
    scene.leaves_nothing = True

    async def whole() -> None:
        async with JoggSession(fake.api_key, base_url=fake.url, limiter=scene.limiter, retry=RETRY) as jogg:
            async for _ in jogg.tracks(page_size=SIZE):
                break
            pager = jogg.tracks(page_size=SIZE)
            await anext(pager)

    return whole()


async def a_step_in_a_pause(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(REFUSAL, page=1)
    return step(scene.tracks())


async def a_page_in_a_pause(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(REFUSAL, page=2)
    return page(scene)


async def a_step_while_a_retry_waits(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(PASSING, page=1, times=2)
    return step(scene.tracks())


async def a_page_while_a_retry_waits(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(PASSING, page=2, times=2)
    return page(scene)


async def hold_the_gate(scene: Scene) -> None:
    scene.fake.fail(SLOW)
    scene.run_beside(scene.jogg.count())
    await eventually(lambda: scene.fake.in_flight == 1)


async def a_step_that_waits_for_a_turn(scene: Scene) -> Coroutine[Any, Any, Any]:
    await hold_the_gate(scene)
    return step(scene.tracks())


async def a_page_that_waits_for_a_turn(scene: Scene) -> Coroutine[Any, Any, Any]:
    await hold_the_gate(scene)
    return page(scene)


async def opening_ahead(scene: Scene) -> Coroutine[Any, Any, Any]:
    scene.fake.fail(SLOW, page=1)
    return step(scene.tracks())


async def a_new_pass(scene: Scene) -> Coroutine[Any, Any, Any]:
    def slid(envelope: Any) -> None:
        rows = envelope["data"]["music"]
        rows[:] = [row for row in rows if row["id"] != MISSED]
        envelope["data"]["pagination"]["total_items"] -= 1

    scene.fake.fail(Fault.patch(slid), page=3)
    scene.wanted.remove(MISSED)
    scene.wanted.append(MISSED)
    return step(await scene.taken(TRACKS - 1, on_drift="recrawl"))


async def a_last_step(scene: Scene) -> Coroutine[Any, Any, Any]:
    return step(await scene.taken(TRACKS))


async def a_last_step_that_tells_of_a_change(scene: Scene) -> Coroutine[Any, Any, Any]:
    def grown(envelope: Any) -> None:
        envelope["data"]["pagination"]["total_items"] += 1

    scene.fake.fail(Fault.patch(grown), page=3)
    scene.tells = True
    return step(await scene.taken(TRACKS, on_drift="raise"))


OPERATIONS: Final[tuple[Prepare, ...]] = (
    a_first_step,
    a_step_that_waits,
    a_step_without_order,
    a_step_that_fails,
    a_step_of_pages,
    collecting,
    a_loop,
    a_page,
    a_page_that_fails,
    a_page_that_is_cut_short,
    a_page_that_takes_too_long,
    counting,
    closing_a_pager,
    closing_a_pager_that_opens_connections,
    closing_a_session,
    a_session_from_enter_to_exit,
    a_step_in_a_pause,
    a_page_in_a_pause,
    a_step_while_a_retry_waits,
    a_page_while_a_retry_waits,
    a_step_that_waits_for_a_turn,
    a_page_that_waits_for_a_turn,
    opening_ahead,
    a_new_pass,
    a_last_step,
    a_last_step_that_tells_of_a_change,
)

CONCURRENT: Final[dict[Prepare, int]] = {
    a_step_that_waits_for_a_turn: 1,
    a_page_that_waits_for_a_turn: 1,
    opening_ahead: 4,
    a_last_step: 4,
    a_last_step_that_tells_of_a_change: 4,
    closing_a_pager_that_opens_connections: 4,
}
"""The requests in flight, where they are not `CONCURRENCY`."""

CUTS: Final[tuple[Cut, ...]] = (cancelled, cancelled_twice, timed_out, abandoned_by_its_group)


async def check_pager(scene: Scene, ending: Ending) -> None:
    """It goes on where it was, unless it was closed."""
    pager = scene.pager
    if pager is None:
        return
    if scene.jogg.closed:
        with pytest.raises(SessionClosedError):
            await anext(pager)
        return
    if scene.loses and ending.cut:
        scene.found = scene.wanted[: pager.progress.tracks]
    assert pager.progress.tracks == len(scene.found)
    wanted = scene.found.copy() if scene.closes else scene.wanted
    if scene.tells and ending.cut:
        with pytest.raises(CatalogueChangedError):
            await anext(pager)
    await read_all(scene.found, pager)
    assert (sorted(scene.found) if scene.unordered else scene.found) == wanted


async def read_all(found: list[int], pager: TrackPager) -> None:
    """Read to the end, past the one error that a page may still have in store."""
    try:
        await read_into(found, pager)
    except ParameterError:
        await read_into(found, pager)


async def check_session(scene: Scene) -> None:
    """It serves, with as many requests at once as ever; or it is closed."""
    fake, jogg = scene.fake, scene.jogg
    if jogg.closed:
        with pytest.raises(SessionClosedError):
            await jogg.page()
        return
    for _ in range(4 * fake.refused):  # a refusal halved them
        await jogg.page()
    await eventually(lambda: fake.in_flight == 0)
    fake.clear()
    doors = Doors(fake)
    asking = [asyncio.ensure_future(jogg.page()) for _ in range(scene.concurrency + 1)]
    await eventually(lambda: fake.in_flight == scene.concurrency)
    await doors.open()
    await asyncio.gather(*asking)
    assert fake.max_in_flight == scene.concurrency


async def check_nothing_left(scene: Scene, server: set[asyncio.Task[Any]]) -> None:
    await eventually(lambda: scene.fake.open_connections == 0)
    await eventually(lambda: asyncio.all_tasks() - server == {asyncio.current_task(), *scene.unfinished()})
    assert scene.limiter.inside == 0


async def trial(fake: FakeJogg, prepare: Prepare, cut: Cut, point: int, server: set[asyncio.Task[Any]]) -> Ending:
    """Cut one operation off at one point, and look at what is left."""
    fake.clear()
    fake.on_request = None
    limiter, concurrency = Limiter(), CONCURRENT.get(prepare, CONCURRENCY)
    jogg = JoggSession(
        fake.api_key, base_url=fake.url, concurrency=concurrency, retry=RETRY, timeout=TIMEOUT, limiter=limiter
    )
    scene = Scene(fake, limiter, jogg, concurrency)
    with no_complaints():
        ending = await cut(await prepare(scene), point)
        assert ending.error is None or isinstance(ending.error, CatalogueChangedError if scene.tells else JoggError)
        scene.take(ending.result)
        if scene.leaves_nothing:
            await check_nothing_left(scene, server)
        for result in await asyncio.gather(*scene.beside, return_exceptions=True):
            scene.take(result)
        await check_pager(scene, ending)
        await check_session(scene)
        await jogg.aclose()
        await check_nothing_left(scene, server)
    return ending


async def trials(prepare: Prepare, cut: Cut) -> int:
    """Try one point after the other until the operation ends before it; returns how many there were."""
    async with FakeJogg(TRACKS) as fake:
        server = asyncio.all_tasks()
        for point in itertools.count():
            try:
                ending = await counted(trial(fake, prepare, cut, point, server))
            except BaseException as error:
                error.add_note(f"cut off before callback {point}")
                raise
            if ending.steps <= point:
                return point
    raise AssertionError


@pytest.fixture
def cheap_collections() -> Generator[None]:
    """What was there before is left out of the many garbage collections of a test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("prepare", OPERATIONS, ids=lambda prepare: prepare.__name__)
def test_cut_off_anywhere(prepare: Prepare, cut: Cut, cheap_collections: None) -> None:
    with warnings.catch_warnings(record=True) as warned, asyncio.Runner(loop_factory=SteppingLoop) as runner:
        warnings.simplefilter("always")
        runner.get_loop().set_debug(False)
        points = runner.run(trials(prepare, cut))
    assert warned == []
    assert points > 2
    logging.getLogger(__name__).info("%s, %s: %d points", prepare.__name__, cut.__name__, points)
