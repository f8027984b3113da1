"""The run: consumers at work, a sample each second, and once a minute a rest in which everything is counted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final

import attrs

from . import crawls, oddities
from .fairness import Fairness, descriptors_for, serve_a_crowd
from .remote import service
from .samples import Sample, Sampler
from .world import World, WrongError, check, world

Work = Callable[[World, Random], Awaitable[None]]

WORKS: Final[tuple[Work, ...]] = (
    crawls.whole,
    crawls.whole,
    crawls.unordered,
    crawls.broken,
    crawls.broken,
    crawls.dropped,
    crawls.cancelled,
    crawls.resumed,
    crawls.by_pages,
    crawls.collected,
    crawls.single,
    crawls.single,
    oddities.moved,
    oddities.rough,
    oddities.limited,
    oddities.short_lived,
    oddities.borrowed,
    oddities.cut_short,
    oddities.refused,
)
CONSUMERS: Final = 6
CROWD: Final = 2000
_LONGEST: Final = 90.0
"""Seconds after which a crawl hangs."""

_REST_EVERY: Final = 60.0
_OBJECTS_EVERY: Final = 30.0


@attrs.define
class Outcome:
    """What came of a run.

    Attributes:
        rests: the samples taken while everything was at rest; the first before any work, all sessions open.
        crowds: how each crowd was served.
        wrong: what was not as it must be.
        kinds: how often each kind of crawl was made.
        left: descriptors and tasks at the end, beyond those of the start.
    """

    rests: list[Sample] = attrs.field(factory=list)
    crowds: list[Fairness] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)
    kinds: dict[str, int] = attrs.field(factory=dict)
    left: tuple[int, int] = (0, 0)


class Soak:
    """One run.

    Args:
        here: what all crawls share.
        sampler: takes the samples.
        seed: decides what is crawled.
    """

    def __init__(self, here: World, sampler: Sampler, outcome: Outcome, seed: int) -> None:
        self._world = here
        self._sampler = sampler
        self._outcome = outcome
        self._dice = Random(seed)
        self._go = asyncio.Event()
        self._at_work = 0

    async def run(self, seconds: float) -> None:
        """Crawl for so long; a crowd before and one after, since its app and its sockets stay in the heap's shape."""
        await self._crowd()
        self._sampler.begin()
        await self._rest(0)
        consumers = [asyncio.create_task(self._consume(Random(self._dice.random()))) for _ in range(CONSUMERS)]
        try:
            await self._watch(seconds)
        finally:
            for consumer in consumers:
                consumer.cancel()
            await asyncio.gather(*consumers, return_exceptions=True)
        if not self._outcome.wrong:
            await self._crowd()

    async def _watch(self, seconds: float) -> None:
        rest, objects = _REST_EVERY, _OBJECTS_EVERY
        end = self._sampler.seconds + seconds
        self._go.set()
        while (now := self._sampler.seconds) < end and not self._outcome.wrong:
            if now >= rest:
                rest += _REST_EVERY
                await self._rest()
                self._go.set()
            await self._sampler.take(objects=now >= objects, consumers=CONSUMERS)
            if now >= objects:
                objects += _OBJECTS_EVERY
            await asyncio.sleep(1 - time.monotonic() % 1)
        await self._rest()

    async def _consume(self, dice: Random) -> None:
        while True:
            await self._go.wait()
            self._at_work += 1
            try:
                await self._work(dice.choice(WORKS), dice)
            finally:
                self._at_work -= 1
            await asyncio.sleep(dice.random() * 0.2)

    async def _work(self, work: Work, dice: Random) -> None:
        name = f"{work.__module__.rpartition('.')[2]}.{getattr(work, '__name__', '?')}"
        try:
            async with asyncio.timeout(_LONGEST):
                await work(self._world, dice)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a fault, and is told)
            self._outcome.wrong.append(f"{name}: {type(error).__name__}: {error}")
        self._world.counts.crawls += 1
        self._outcome.kinds[name] = self._outcome.kinds.get(name, 0) + 1

    async def _rest(self, consumers: int = CONSUMERS) -> None:
        """Let all come to an end, and count what is left."""
        self._go.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST):
                while self._at_work:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        gc.collect()
        await asyncio.sleep(0.1)
        self._outcome.rests.append(await self._sampler.take(idle=True, objects=True, consumers=consumers))

    async def _crowd(self) -> None:
        with descriptors_for(CROWD) as size:
            async with self._world.session(concurrency=8) as jogg:
                fairness = await serve_a_crowd(jogg, size, pages=4, page_size=10)
        right = [track.id for track in self._world.oracles[0].tracks(10, end_page=4)]
        check(all(found == right for found in fairness.found), "tracks of a crowd")
        self._outcome.crowds.append(attrs.evolve(fairness, found=[]))


async def soak(minutes: float, samples: Path, seed: int) -> Outcome:
    """Run, and say what came of it."""
    outcome = Outcome()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: outcome.wrong.append(repr(context)[:500]))
    sys.unraisablehook = lambda fault: outcome.wrong.append(repr(fault)[:500])
    async with service() as remote:
        async with world(remote) as here:
            sampler = Sampler(here, samples)
            before = await sampler.look()
            try:
                await Soak(here, sampler, outcome, seed).run(minutes * 60)
            except WrongError as error:
                outcome.wrong.append(str(error))
        await asyncio.sleep(0.2)
        gc.collect()
        after = await sampler.look()
        sampler.close()
        outcome.left = (after.files + after.sockets - before.files - before.sockets, after.tasks - before.tasks)
    return outcome
