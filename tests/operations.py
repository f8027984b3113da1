"""What can be cut off: each operation of sessions and pagers, with the scene that it plays in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Final

import attrs

from jogg_async import JoggSession, Page, RetryPolicy, Track, TrackList, TrackPager
from jogg_async.testing import FakeJogg, Fault

from .model import PASSING, REFUSED, ids, ids_from, turns
from .stepping import eventually

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


async def hold_the_throttle(scene: Scene) -> None:
    scene.fake.fail(SLOW)
    scene.run_beside(scene.jogg.count())
    await eventually(lambda: scene.fake.in_flight == 1)


async def a_step_that_waits_for_a_turn(scene: Scene) -> Coroutine[Any, Any, Any]:
    await hold_the_throttle(scene)
    return step(scene.tracks())


async def a_page_that_waits_for_a_turn(scene: Scene) -> Coroutine[Any, Any, Any]:
    await hold_the_throttle(scene)
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
