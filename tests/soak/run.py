"""Run of the soak: consumers crawl, a sample is taken each second, and an idle sample once a minute."""

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

from . import crawls, unusual_crawls
from .environment import Environment, UnexpectedResultError, check, open_environment
from .fairness import Fairness, descriptors_for, measure_fairness
from .remote import service
from .samples import Sample, Sampler

RandomCrawl = Callable[[Environment, Random], Awaitable[None]]

CRAWLS: Final[tuple[RandomCrawl, ...]] = (
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
    unusual_crawls.changing,
    unusual_crawls.irregular,
    unusual_crawls.limited,
    unusual_crawls.short_lived,
    unusual_crawls.borrowed,
    unusual_crawls.cut_short,
    unusual_crawls.refused,
)
CONSUMERS: Final = 6
HANDLERS: Final = 2000
_LONGEST: Final = 90.0
"""Seconds after which a crawl counts as hanging."""

_IDLE_EVERY: Final = 60.0
_OBJECTS_EVERY: Final = 30.0


@attrs.define
class Outcome:
    """Outcome of a run.

    Attributes:
        idle_samples: samples while no consumer was at work; the first before any crawl, with all sessions open.
        fairness: how evenly the handlers were served, before and after the run.
        failures: unexpected results, and errors that the event loop reported.
        kinds: number of crawls of each kind.
        left: descriptors and tasks at the end, beyond those at the start.
    """

    idle_samples: list[Sample] = attrs.field(factory=list)
    fairness: list[Fairness] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)
    kinds: dict[str, int] = attrs.field(factory=dict)
    left: tuple[int, int] = (0, 0)


class Soak:
    """One run.

    Args:
        environment: sessions and expected results.
        sampler: takes the samples.
        outcome: filled in during the run.
        seed: seed of the random crawls.
    """

    def __init__(self, environment: Environment, sampler: Sampler, outcome: Outcome, seed: int) -> None:
        self._environment = environment
        self._sampler = sampler
        self._outcome = outcome
        self._dice = Random(seed)
        self._go = asyncio.Event()
        self._at_work = 0

    async def run(self, seconds: float) -> None:
        """Crawl for so long. Fairness is measured before and after, since it changes the layout of the heap."""
        await self._measure_fairness()
        self._sampler.begin()
        await self._take_idle_sample(0)
        consumers = [asyncio.create_task(self._consume(Random(self._dice.random()))) for _ in range(CONSUMERS)]
        try:
            await self._watch(seconds)
        finally:
            for consumer in consumers:
                consumer.cancel()
            await asyncio.gather(*consumers, return_exceptions=True)
        if not self._outcome.failures:
            await self._measure_fairness()

    async def _watch(self, seconds: float) -> None:
        idle, objects = _IDLE_EVERY, _OBJECTS_EVERY
        end = self._sampler.seconds + seconds
        self._go.set()
        while (now := self._sampler.seconds) < end and not self._outcome.failures:
            if now >= idle:
                idle += _IDLE_EVERY
                await self._take_idle_sample()
                self._go.set()
            await self._sampler.take(objects=now >= objects, consumers=CONSUMERS)
            if now >= objects:
                objects += _OBJECTS_EVERY
            await asyncio.sleep(1 - time.monotonic() % 1)
        await self._take_idle_sample()

    async def _consume(self, rng: Random) -> None:
        while True:
            await self._go.wait()
            self._at_work += 1
            try:
                await self._work(rng.choice(CRAWLS), rng)
            finally:
                self._at_work -= 1
            await asyncio.sleep(rng.random() * 0.2)

    async def _work(self, work: RandomCrawl, rng: Random) -> None:
        name = f"{work.__module__.rpartition('.')[2]}.{getattr(work, '__name__', '?')}"
        try:
            async with asyncio.timeout(_LONGEST):
                await work(self._environment, rng)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (every error is a failure of the soak)
            self._outcome.failures.append(f"{name}: {type(error).__name__}: {error}")
        self._environment.counts.crawls += 1
        self._outcome.kinds[name] = self._outcome.kinds.get(name, 0) + 1

    async def _take_idle_sample(self, consumers: int = CONSUMERS) -> None:
        """Wait until no consumer is at work, and take a sample."""
        self._go.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST):
                while self._at_work:  # noqa: ASYNC110 (there is no event for it)
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        gc.collect()
        await asyncio.sleep(0.1)
        self._outcome.idle_samples.append(await self._sampler.take(idle=True, objects=True, consumers=consumers))

    async def _measure_fairness(self) -> None:
        with descriptors_for(HANDLERS) as size:
            async with self._environment.session(concurrency=8) as jogg:
                fairness = await measure_fairness(jogg, size, pages=4, page_size=10)
        expected = [track.id for track in self._environment.oracles[0].tracks(10, end_page=4)]
        check(all(found == expected for found in fairness.found), "tracks of the handlers")
        self._outcome.fairness.append(attrs.evolve(fairness, found=[]))


async def soak(minutes: float, samples: Path, seed: int) -> Outcome:
    """Run the soak, and return its outcome."""
    outcome = Outcome()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: outcome.failures.append(repr(context)[:500]))
    sys.unraisablehook = lambda fault: outcome.failures.append(repr(fault)[:500])
    async with service() as remote:
        async with open_environment(remote) as environment:
            sampler = Sampler(environment, samples)
            before = await sampler.measure()
            try:
                await Soak(environment, sampler, outcome, seed).run(minutes * 60)
            except UnexpectedResultError as error:
                outcome.failures.append(str(error))
        await asyncio.sleep(0.2)
        gc.collect()
        after = await sampler.measure()
        sampler.close()
        outcome.left = (after.files + after.sockets - before.files - before.sockets, after.tasks - before.tasks)
    return outcome
