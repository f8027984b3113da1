"""Random crawls over a stand-in for the page fetcher, without HTTP, so that hundreds of thousands can run.

Run ``python -m tests.paging.random_crawls --count 200000`` from the project's root for the long search.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import warnings
from typing import Any, cast

import attrs
from yarl import URL

from jogg_async import CatalogueChangedWarning, JoggError, Page, Pagination, ServerError, Track
from jogg_async._api.decoding import Decoded
from jogg_async._paging.crawl import Crawl
from jogg_async._paging.options import crawl_options

_MAX_STEPS = 4000
"""Iterations of the event loop after which a crawl counts as hanging: the longest take some hundred."""


@attrs.define
class Scenario:
    """One random crawl: responses of the service and behaviour of the consumer.

    Attributes:
        seed: seed of all random choices.
        pages: number of pages in the catalogue; each has `size` ids.
        overrides: by page, a pagination that differs from the others.
        holes: pages whose list is empty.
        duplicates: by page, the page whose ids it repeats.
        failures: by page, how many fetches of it fail.
        delays: by page, the steps of the event loop that a fetch takes.
        named: True if responses contain the totals.
    """

    seed: int
    size: int
    pages: int
    concurrency: int
    ordered: bool
    limit: int | None
    end_page: int | None
    on_drift: Any
    named: bool
    overrides: dict[int, Pagination]
    holes: set[int]
    duplicates: dict[int, int]
    failures: dict[int, int]
    delays: dict[int, int]
    cancel_every: int
    expected_pages: int | None

    @classmethod
    def draw(cls, seed: int) -> Scenario:
        rng = random.Random(seed)
        pages, size = rng.randint(1, 14), rng.choice((1, 1, 2, 5))

        def some(most: int) -> list[int]:
            return [rng.randint(1, pages) for _ in range(rng.choice((0, 1, 1, 2, most)))]

        return cls(
            seed=seed,
            size=size,
            pages=pages,
            concurrency=rng.choice((1, 2, 3, 8)),
            ordered=rng.random() < 0.7,
            limit=rng.choice((None, rng.randint(0, pages * size + 2), rng.randint(pages * size // 2, pages * size))),
            end_page=rng.choice((None, None, None, rng.randint(1, pages + 2))),
            on_drift=rng.choice(("ignore", "ignore", "recrawl")),
            named=rng.random() < 0.9,
            overrides={number: _wrong_pagination(rng, pages, size) for number in some(4)},
            holes=set(some(3)),
            duplicates={number: rng.randint(1, pages) for number in some(3)},
            failures={number: rng.randint(1, 2) for number in some(3)},
            delays={number: rng.choice((5, 15, 60)) for number in some(8)},
            cancel_every=rng.choice((0, 0, 3, 7)),
            expected_pages=rng.choice((None, None, None, rng.randint(1, 20))),
        )

    def ids(self, number: int) -> list[int]:
        if number in self.holes or not 1 <= number <= self.pages:
            return []
        source = self.duplicates.get(number, number)
        return list(range((source - 1) * self.size + 1, source * self.size + 1))

    def pagination(self, number: int) -> Pagination:
        if number in self.overrides:
            return self.overrides[number]
        return Pagination(number, None, self.pages * self.size, self.pages) if self.named else Pagination()


def _wrong_pagination(rng: random.Random, pages: int, size: int) -> Pagination:
    total = rng.choice((0, 1, 2, pages - 1, pages + 3, 10**12))
    return Pagination(
        rng.choice((None, None, 1, 99)),
        rng.choice((None, None, 1, size * 3, 100)),
        rng.choice((None, total * size)),
        rng.choice((None, total)),
    )


class StandIn:
    """Stand-in for the session's page fetcher, its transport and its throttle."""

    paused = 0.0

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.throttle = self.transport = self
        self.page_totals: dict[Any, int] = {}
        self.fetched: set[int] = set()
        self.received: set[int] = set()
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self.arrived: set[int] = set()
        self.ended = False
        self._failures = dict(scenario.failures)
        self._rng = random.Random(scenario.seed)

    @property
    def running(self) -> list[int]:
        """Pages being fetched. Tasks being cancelled do not count: eager tasks may start before those have ended."""
        return [number for task, number in self._tasks.items() if not task.cancelling()]

    def preconnect(self, count: int) -> None:
        """Open nothing."""

    def stop_preconnects(self) -> tuple[()]:
        return ()

    def request_line(self, _url: Any, number: int) -> str:
        return f"GET page {number}"

    async def page(self, _url: Any, number: int, _queue: Any, stats: Any, **_options: Any) -> Decoded:
        assert number not in self.running, f"page {number} is fetched twice at once"
        assert len(self.running) < self.scenario.concurrency
        assert number not in self.arrived, f"page {number} is fetched again"
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = number
        self.fetched.add(number)
        stats.requests += 1
        try:
            for _ in range(self.scenario.delays.get(number, self._rng.randint(0, 3))):
                await asyncio.sleep(0)
        finally:
            del self._tasks[task]
        if self._failures.get(number, 0) > 0:
            self._failures[number] -= 1
            error = ServerError("system error", code=50000)
            error.page = number
            raise error
        ids = self.scenario.ids(number)
        page = Page(tuple(Track(id) for id in ids), self.scenario.pagination(number))
        return Decoded(page, None, len(ids))


async def run(scenario: Scenario) -> str | None:
    """Run one crawl to its end; return a description of the fault, or `None`."""
    fetcher = StandIn(scenario)
    options = crawl_options(
        URL("http://stand-in"),
        {},
        page_size=scenario.size,
        concurrency=scenario.concurrency,
        limit=scenario.limit,
        start_page=1,
        end_page=scenario.end_page,
        ordered=scenario.ordered,
        on_invalid="raise",
        on_drift=scenario.on_drift,
        resume=None,
        retry=None,
    )
    crawl = Crawl(options, cast("Any", lambda: fetcher))
    _watch(crawl, fetcher)
    if scenario.expected_pages is not None:
        fetcher.page_totals[options.url] = scenario.expected_pages
    ids: list[int] = []
    consumer = asyncio.ensure_future(_consume(crawl, scenario, ids))
    for _ in range(_MAX_STEPS):
        if consumer.done():
            break
        await asyncio.sleep(0)
    else:
        consumer.cancel()
        await crawl.aclose(JoggError)
        return f"never ended; yielded {ids}, running {fetcher.running}"
    consumer.result()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        return f"left {len(left)} tasks"
    return _fault(scenario, fetcher, ids)


def _watch(crawl: Crawl, fetcher: StandIn) -> None:
    """Record the tracks that the crawl receives, and if empty or repeated pages ended a pass."""
    receive, stop_at = crawl._record_response, crawl.pages.stop_at

    def received(number: int, decoded: Decoded) -> None:
        fetcher.received.update(track.id for track in decoded.page.tracks)
        if crawl.options.on_drift == "ignore" and not fetcher.ended:  # else it may be dropped, or come in another pass
            fetcher.arrived.add(number)
        receive(number, decoded)

    def stopped(number: int) -> None:
        fetcher.ended = True
        fetcher.arrived.clear()
        stop_at(number)

    crawl._record_response, crawl.pages.stop_at = received, stopped  # type: ignore[method-assign]


async def _consume(crawl: Crawl, scenario: Scenario, ids: list[int]) -> None:
    step = failures = 0
    while True:
        step += 1
        try:
            if scenario.cancel_every and step % scenario.cancel_every == 0 and not crawl.ready:
                task = asyncio.ensure_future(crawl.next_track())
                await asyncio.sleep(0)
                if not task.done():
                    task.cancel()
                ids.append((await task).id)
            elif crawl.ready or crawl.load_ready():
                ids.append(crawl.ready.popleft().id)
            else:
                ids.append((await crawl.next_track()).id)
        except StopAsyncIteration:
            return
        except ServerError:
            failures += 1
            assert failures <= sum(scenario.failures.values())
        except asyncio.CancelledError:
            continue


def _fault(scenario: Scenario, fetcher: StandIn, ids: list[int]) -> str | None:
    if len(set(ids)) != len(ids):
        return f"an id came twice: {ids}"
    if scenario.limit is not None and len(ids) > scenario.limit:
        return f"more than limit={scenario.limit}: {ids}"
    beyond = {number for number in fetcher.fetched if number > (scenario.end_page or 10**9)}
    if beyond:
        return f"pages beyond end_page={scenario.end_page} were fetched: {beyond}"
    if not (scenario.overrides or scenario.holes or scenario.duplicates) and scenario.named:
        wanted = _sequential(scenario)
        if (ids if scenario.ordered else sorted(ids)) != wanted and (scenario.ordered or scenario.limit is None):
            return f"yielded {ids}, not {wanted}"
    # A pass that empty or repeated pages ended may drop pages that came, and so may the limit.
    whole = scenario.limit is None or len(ids) < scenario.limit
    missing = fetcher.received - set(ids)
    return f"{sorted(missing)} came and were not yielded: {ids}" if whole and missing and not fetcher.ended else None


def _sequential(scenario: Scenario) -> list[int]:
    pages = min(scenario.pages, scenario.end_page or scenario.pages)
    ids = [id for number in range(1, pages + 1) for id in scenario.ids(number)]
    return ids[: scenario.limit]


async def search(first: int, count: int) -> list[str]:
    """Run the scenarios of `count` seeds from `first` on; return a description of each fault."""
    faults: list[str] = []
    for seed in range(first, first + count):
        scenario = Scenario.draw(seed)
        if fault := await run(scenario):
            faults.append(f"seed {seed}: {fault}\n  {scenario}")
    return faults


def main() -> None:
    """Run the search, and print the faults found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("ignore", CatalogueChangedWarning)
    started = time.perf_counter()
    faults = asyncio.run(search(given.first, given.count))
    print(f"{given.count} crawls in {time.perf_counter() - started:.0f} s, {len(faults)} wrong")  # noqa: T201
    sys.exit("\n".join(faults[:20]) if faults else 0)


if __name__ == "__main__":
    main()
