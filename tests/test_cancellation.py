"""Interrupt every operation before each of its callbacks: nothing is left behind, and no track is lost."""

from __future__ import annotations

import asyncio
import itertools
import logging
import warnings
from typing import Any, Final

import pytest

from jogg_async import CatalogueChangedError, JoggError, JoggSession, ParameterError, SessionClosedError, TrackPager
from jogg_async.testing import FakeJogg

from .model import LONG_RUN, HeldResponses, no_loop_errors, read_into
from .operations import CONCURRENCY, CONCURRENCY_OF, OPERATIONS, RETRY, TIMEOUT, TRACKS, Limiter, Prepare, Scenario
from .stepping import (
    Interrupt,
    Outcome,
    SteppingLoop,
    cancelled,
    cancelled_by_task_group,
    cancelled_twice,
    counted_task,
    eventually,
    timed_out,
)

INTERRUPTS: Final[tuple[Interrupt, ...]] = (cancelled, cancelled_twice, timed_out, cancelled_by_task_group)


async def check_pager(scenario: Scenario, outcome: Outcome) -> None:
    """Assert that the pager continues with the next track, unless it was closed."""
    pager = scenario.pager
    if pager is None:
        return
    if scenario.jogg.closed:
        with pytest.raises(SessionClosedError):
            await anext(pager)
        return
    if scenario.loses_tracks and outcome.interrupted:
        scenario.yielded = scenario.expected[: pager.progress.tracks]
    assert pager.progress.tracks == len(scenario.yielded)
    expected = scenario.yielded.copy() if scenario.closes_pager else scenario.expected
    if scenario.reports_drift and outcome.interrupted:
        with pytest.raises(CatalogueChangedError):
            await anext(pager)
    if scenario.closes_pager:
        with pytest.raises(JoggError, match="closed before its end"):
            await read_all(scenario.yielded, pager)
    else:
        await read_all(scenario.yielded, pager)
    assert (sorted(scenario.yielded) if scenario.unordered else scenario.yielded) == expected


async def read_all(found: list[int], pager: TrackPager) -> None:
    """Read to the end, and continue once after the error of a page."""
    try:
        await read_into(found, pager)
    except ParameterError:
        await read_into(found, pager)


async def check_session(scenario: Scenario) -> None:
    """Assert that the session is closed, or still sends as many requests at once as its concurrency allows."""
    fake, jogg = scenario.fake, scenario.jogg
    if jogg.closed:
        with pytest.raises(SessionClosedError):
            await jogg.page()
        return
    for _ in range(4 * fake.refused):  # each refusal halved the number in flight
        await jogg.page()
    await eventually(lambda: fake.in_flight == 0)
    fake.clear()
    held = HeldResponses(fake)
    pages = [asyncio.ensure_future(jogg.page()) for _ in range(scenario.concurrency + 1)]
    await eventually(lambda: fake.in_flight == scenario.concurrency)
    await held.release()
    await asyncio.gather(*pages)
    assert fake.max_in_flight == scenario.concurrency


async def check_nothing_left(scenario: Scenario, server: set[asyncio.Task[Any]]) -> None:
    await eventually(lambda: scenario.fake.open_connections == 0)
    await eventually(lambda: asyncio.all_tasks() - server == {asyncio.current_task(), *scenario.unfinished()})
    assert scenario.limiter.inside == 0


async def trial(
    fake: FakeJogg, prepare: Prepare, interrupt: Interrupt, point: int, server: set[asyncio.Task[Any]]
) -> Outcome:
    """Interrupt one operation at one point, and check what is left."""
    fake.clear()
    fake.on_request = None
    limiter, concurrency = Limiter(), CONCURRENCY_OF.get(prepare, CONCURRENCY)
    jogg = JoggSession(
        fake.api_key, base_url=fake.url, concurrency=concurrency, retry=RETRY, timeout=TIMEOUT, limiter=limiter
    )
    scenario = Scenario(fake, limiter, jogg, concurrency)
    with no_loop_errors():
        outcome = await interrupt(await prepare(scenario), point)
        allowed = CatalogueChangedError if scenario.reports_drift else JoggError
        assert outcome.error is None or isinstance(outcome.error, allowed)
        scenario.record(outcome.result)
        if scenario.closes_all:
            await check_nothing_left(scenario, server)
        for result in await asyncio.gather(*scenario.background, return_exceptions=True):
            scenario.record(result)
        await check_pager(scenario, outcome)
        await check_session(scenario)
        await jogg.aclose()
        await check_nothing_left(scenario, server)
    return outcome


async def trials(prepare: Prepare, interrupt: Interrupt) -> int:
    """Interrupt an operation at one point after the other, and return the number of points."""
    # A third of the points by default, but every one for a plain cancellation.
    step = 1 if LONG_RUN or interrupt is cancelled else 3
    async with FakeJogg(TRACKS) as fake:
        server = asyncio.all_tasks()
        for point in itertools.count(step=step):
            try:
                outcome = await counted_task(trial(fake, prepare, interrupt, point, server))
            except BaseException as error:
                error.add_note(f"interrupted before callback {point}")
                raise
            if outcome.steps <= point:
                return point
    raise AssertionError


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda interrupt: interrupt.__name__)
@pytest.mark.parametrize("prepare", OPERATIONS, ids=lambda prepare: prepare.__name__)
def test_operation_interrupted_before_any_callback_leaves_nothing_behind(
    prepare: Prepare, interrupt: Interrupt, frozen_heap: None
) -> None:
    with warnings.catch_warnings(record=True) as warned, asyncio.Runner(loop_factory=SteppingLoop) as runner:
        warnings.simplefilter("always")
        runner.get_loop().set_debug(False)
        points = runner.run(trials(prepare, interrupt))
    assert warned == []
    assert points > 2
    logging.getLogger(__name__).info("%s, %s: %d points", prepare.__name__, interrupt.__name__, points)
