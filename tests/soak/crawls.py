"""Random crawls of the unchanging catalogue, each with an exact expected result."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import attrs

from jogg_async import JoggError, JoggSession, Track, TrackPager
from tests.model import ids, iterate_loop

from .catalogues import FILTERS
from .environment import Environment, check
from .faults import FATAL


@attrs.frozen
class ExpectedCrawl:
    """Arguments of a crawl, and the tracks that it must yield."""

    jogg: JoggSession
    arguments: dict[str, Any]
    expected: list[Track]
    page_size: int

    def pager(self, **more: Any) -> TrackPager:
        return self.jogg.tracks(**self.arguments, **more)

    def before(self, page: int | None) -> int:
        """Return the number of tracks on the pages before `page`."""
        first: int = self.arguments.get("start_page", 1)
        return ((page or 1) - first) * self.page_size


def random_crawl(environment: Environment, rng: Random, **more: Any) -> ExpectedCrawl:
    """Return a crawl of the steady catalogue with random filters, bounds and faults."""
    place = rng.randrange(len(FILTERS))
    page_size = rng.choice((10, 25, 50, 100))
    bounds: dict[str, Any] = {}
    if rng.random() < 0.2:
        bounds["limit"] = rng.randint(0, 700)
    if rng.random() < 0.2:
        bounds["start_page"] = rng.randint(1, 3)
    params = {"chaos": rng.choice((0, 0, 0.01, 0.05))} | more
    arguments = {**FILTERS[place], "page_size": page_size, "params": params, **bounds}
    arguments["concurrency"] = rng.choice((None, 1, 2, 5))
    expected = environment.oracles[place].tracks(page_size, **bounds)
    return ExpectedCrawl(
        rng.choice((environment.shared, environment.shared, environment.lent)), arguments, expected, page_size
    )


async def read_all(environment: Environment, crawl: ExpectedCrawl, pager: TrackPager, *, ordered: bool = True) -> None:
    """Read every track, and continue after each error, which must come after all tracks of the pages before it."""
    found: list[Track] = []
    while True:
        try:
            async for track in pager:
                found.append(track)  # noqa: PERF401 (those before an error stay)
            break
        except JoggError as error:
            environment.counts.errors += 1
            before = crawl.expected[: crawl.before(error.page)]
            complete = found == before if ordered else {*ids(found)} >= {*ids(before)}
            check(complete, "tracks before the error", error, ids(found), ids(before))
    settle(environment, crawl, pager, found, ordered=ordered)


def settle(
    environment: Environment, crawl: ExpectedCrawl, pager: TrackPager, found: list[Track], *, ordered: bool = True
) -> None:
    """Compare the tracks found with the expected ones, and count them."""
    same = found == crawl.expected if ordered else sorted(found, key=_id) == sorted(crawl.expected, key=_id)
    check(same, "tracks", crawl.arguments, ids(found), ids(crawl.expected))
    check(pager.progress.tracks == len(found), "progress", pager.progress, len(found))
    environment.counts.tracks += len(found)
    environment.counts.retries += pager.progress.retries


def _id(track: Track) -> int:
    return track.id


async def whole(environment: Environment, rng: Random) -> None:
    """Read a whole crawl in order."""
    crawl = random_crawl(environment, rng, **permanent_fault(rng))
    await read_all(environment, crawl, crawl.pager())


async def unordered(environment: Environment, rng: Random) -> None:
    """Read a whole crawl as pages arrive, without a limit, which would not determine the tracks."""
    crawl = random_crawl(environment, rng, **permanent_fault(rng))
    if "limit" not in crawl.arguments:
        await read_all(environment, crawl, crawl.pager(ordered=False), ordered=False)


def permanent_fault(rng: Random) -> dict[str, Any]:
    """Return parameters that make half of the requests of a page fail permanently, or none."""
    if rng.random() < 0.6:
        return {}
    return {"fail_page": rng.randint(1, 12), "fault": rng.choice([*FATAL])}


async def broken(environment: Environment, rng: Random) -> None:
    """Leave the loop over a pager by `break`; nothing else holds the pager."""
    crawl = random_crawl(environment, rng)
    count = rng.randint(1, 400)
    found = await _part(crawl.pager(), count)
    check(found == crawl.expected[:count], "tracks before the break", crawl.arguments, ids(found))
    environment.counts.tracks += len(found)


async def dropped(environment: Environment, rng: Random) -> None:
    """Take some tracks, wait, and drop the pager."""
    crawl = random_crawl(environment, rng)
    pager = crawl.pager()
    found = [track for _ in range(rng.randint(1, 50)) if (track := await anext(pager, None)) is not None]
    await asyncio.sleep(rng.random() * 0.3)
    check(found == crawl.expected[: len(found)], "tracks before it was dropped", crawl.arguments, ids(found))
    environment.counts.tracks += len(found)


async def cancelled(environment: Environment, rng: Random) -> None:
    """Cancel steps or let them time out; no track is lost."""
    crawl = random_crawl(environment, rng)
    pager, found = crawl.pager(), list[Track]()
    while (track := await _interrupted_step(pager, rng)) is not None:
        found += track
    settle(environment, crawl, pager, found)


async def _interrupted_step(pager: TrackPager, rng: Random) -> list[Track] | None:
    """Return the track of a step, an empty list if it was interrupted, `None` at the end."""
    try:
        if rng.random() < 0.5:
            return [await asyncio.wait_for(anext(pager), rng.choice((0.0005, 0.002, 0.01)))]
        step = asyncio.ensure_future(anext(pager))
        await iterate_loop(rng.randint(1, 6))
        step.cancel()
        return [await step]
    except (TimeoutError, asyncio.CancelledError):
        return []
    except StopAsyncIteration:
        return None


async def resumed(environment: Environment, rng: Random) -> None:
    """Read a crawl in parts, each resumed from the checkpoint of the one before."""
    crawl = random_crawl(environment, rng)
    crawl.arguments.pop("limit", None)
    place = FILTERS.index({name: crawl.arguments[name] for name in ("genre", "mood") if name in crawl.arguments})
    expected = environment.oracles[place].tracks(crawl.page_size, start_page=crawl.arguments.get("start_page", 1))
    pager, found = crawl.pager(), list[Track]()
    while len(found) < len(expected):
        part = await _part(pager, rng.randint(1, 600))
        check(part, "tracks of a part", crawl.arguments, ids(found), ids(expected))
        found += part
        saved = json.loads(json.dumps(pager.checkpoint()))
        await pager.aclose()
        pager = crawl.jogg.tracks(resume=saved)
    check(await anext(pager, None) is None, "nothing is left", crawl.arguments)
    check(found == expected, "tracks in parts", crawl.arguments, ids(found), ids(expected))
    environment.counts.tracks += len(found)


async def _part(pager: TrackPager, count: int) -> list[Track]:
    found: list[Track] = []
    async for track in pager:
        found.append(track)
        if len(found) == count:
            break
    return found


async def by_pages(environment: Environment, rng: Random) -> None:
    """Read a crawl page by page."""
    crawl = random_crawl(environment, rng)
    async with crawl.pager() as pager:
        found = [track async for page in pager.pages() for track in page.tracks]
        settle(environment, crawl, pager, found)


async def collected(environment: Environment, rng: Random) -> None:
    """Call `collect()` until the end; an error has the tracks before it, and the next call continues."""
    crawl = random_crawl(environment, rng, **permanent_fault(rng))
    pager, found = crawl.pager(), list[Track]()
    while True:
        try:
            found += await pager.collect()
            break
        except JoggError as error:
            environment.counts.errors += 1
            found += error.tracks or ()
            check(len(found) == crawl.before(error.page), "error.tracks", error, ids(found))
    settle(environment, crawl, pager, found)


async def single(environment: Environment, rng: Random) -> None:
    """Call `page()` and `count()`."""
    crawl = random_crawl(environment, rng)
    place = rng.randrange(len(FILTERS))
    oracle, number = environment.oracles[place], rng.randint(1, 40)
    page = await crawl.jogg.page(number, page_size=crawl.page_size, **FILTERS[place], params=crawl.arguments["params"])
    expected = oracle.tracks(crawl.page_size, start_page=number, end_page=number)
    check(list(page.tracks) == expected, "a page", number, crawl.page_size, ids(page.tracks), ids(expected))
    check(page.pagination.total_items == len(oracle.rows), "total", page.pagination)
    count = await crawl.jogg.count(**FILTERS[place])
    check(count == len(oracle.rows), "count", count, len(oracle.rows))
    environment.counts.tracks += len(expected)
