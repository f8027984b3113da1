"""Every operation, cut off before each callback that it takes: nothing of it stays, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import warnings
from typing import Any, Final

import pytest

from jogg_async import CatalogueChangedError, JoggError, JoggSession, ParameterError, SessionClosedError, TrackPager
from jogg_async.testing import FakeJogg

from .model import Doors, no_complaints, read_into
from .operations import CONCURRENCY, CONCURRENT, OPERATIONS, RETRY, TIMEOUT, TRACKS, Limiter, Prepare, Scene
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
    if scene.closes:
        with pytest.raises(JoggError, match="closed before its end"):
            await read_all(scene.found, pager)
    else:
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


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("prepare", OPERATIONS, ids=lambda prepare: prepare.__name__)
def test_operation_cancelled_before_any_callback_leaves_nothing_behind(
    prepare: Prepare, cut: Cut, cheap_collections: None
) -> None:
    with warnings.catch_warnings(record=True) as warned, asyncio.Runner(loop_factory=SteppingLoop) as runner:
        warnings.simplefilter("always")
        runner.get_loop().set_debug(False)
        points = runner.run(trials(prepare, cut))
    assert warned == []
    assert points > 2
    logging.getLogger(__name__).info("%s, %s: %d points", prepare.__name__, cut.__name__, points)
