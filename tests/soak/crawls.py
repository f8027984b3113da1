"""Crawls of the catalogue that stands still, each with an exact response."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import attrs

from jogg_async import JoggError, JoggSession, Track, TrackPager
from tests.model import ids, iterate_loop

from .catalogues import FILTERS
from .faults import FATAL
from .world import World, check


@attrs.frozen
class PageUrl:
    """A crawl to make: with what arguments, and what it must come to."""

    jogg: JoggSession
    arguments: dict[str, Any]
    wanted: list[Track]
    page_size: int

    def pager(self, **more: Any) -> TrackPager:
        return self.jogg.tracks(**self.arguments, **more)

    def before(self, page: int | None) -> int:
        """How many tracks are on the pages before `page`."""
        first: int = self.arguments.get("start_page", 1)
        return ((page or 1) - first) * self.page_size


def listing(world: World, dice: Random, **more: Any) -> PageUrl:
    """Any listing of the steady catalogue, faults and all."""
    place = dice.randrange(len(FILTERS))
    page_size = dice.choice((10, 25, 50, 100))
    bounds: dict[str, Any] = {}
    if dice.random() < 0.2:
        bounds["limit"] = dice.randint(0, 700)
    if dice.random() < 0.2:
        bounds["start_page"] = dice.randint(1, 3)
    params = {"chaos": dice.choice((0, 0, 0.01, 0.05))} | more
    arguments = {**FILTERS[place], "page_size": page_size, "params": params, **bounds}
    arguments["concurrency"] = dice.choice((None, 1, 2, 5))
    wanted = world.oracles[place].tracks(page_size, **bounds)
    return PageUrl(dice.choice((world.shared, world.shared, world.lent)), arguments, wanted, page_size)


async def read_all(world: World, asked: PageUrl, pager: TrackPager, *, ordered: bool = True) -> None:
    """Every track, through whatever errors; each error stands behind all tracks of the pages before its own."""
    found: list[Track] = []
    while True:
        try:
            async for track in pager:
                found.append(track)  # noqa: PERF401 (those before an error stay)
            break
        except JoggError as error:
            world.counts.errors += 1
            before = asked.wanted[: asked.before(error.page)]
            held = found == before if ordered else {*ids(found)} >= {*ids(before)}
            check(held, "before the error", error, ids(found), ids(before))
    settle(world, asked, pager, found, ordered=ordered)


def settle(world: World, asked: PageUrl, pager: TrackPager, found: list[Track], *, ordered: bool = True) -> None:
    """Hold what was found against what must be, and count it."""
    same = found == asked.wanted if ordered else sorted(found, key=_id) == sorted(asked.wanted, key=_id)
    check(same, "tracks", asked.arguments, ids(found), ids(asked.wanted))
    check(pager.progress.tracks == len(found), "progress", pager.progress, len(found))
    world.counts.tracks += len(found)
    world.counts.retries += pager.progress.retries


def _id(track: Track) -> int:
    return track.id


async def whole(world: World, dice: Random) -> None:
    """All of it, in order."""
    asked = listing(world, dice, **spoilt(dice))
    await read_all(world, asked, asked.pager())


async def unordered(world: World, dice: Random) -> None:
    """All of it, as pages arrive. A limit would leave open which tracks come."""
    asked = listing(world, dice, **spoilt(dice))
    if "limit" not in asked.arguments:
        await read_all(world, asked, asked.pager(ordered=False), ordered=False)


def spoilt(dice: Random) -> dict[str, Any]:
    """Parameters that make a page fail for good, half of the times it is asked for; or none."""
    if dice.random() < 0.6:
        return {}
    return {"spoil": dice.randint(1, 12), "with": dice.choice([*FATAL])}


async def broken(world: World, dice: Random) -> None:
    """A loop left by `break`: nothing else holds the pager."""
    asked = listing(world, dice)
    count = dice.randint(1, 400)
    found = await _piece(asked.pager(), count)
    check(found == asked.wanted[:count], "tracks before the break", asked.arguments, ids(found))
    world.counts.tracks += len(found)


async def dropped(world: World, dice: Random) -> None:
    """A pager that is held for a while, and then by nobody."""
    asked = listing(world, dice)
    pager = asked.pager()
    found = [track for _ in range(dice.randint(1, 50)) if (track := await anext(pager, None)) is not None]
    await asyncio.sleep(dice.random() * 0.3)
    check(found == asked.wanted[: len(found)], "tracks before it was dropped", asked.arguments, ids(found))
    world.counts.tracks += len(found)


async def cancelled(world: World, dice: Random) -> None:
    """Steps that are cancelled or timed out, and lose nothing."""
    asked = listing(world, dice)
    pager, found = asked.pager(), list[Track]()
    while (track := await _impatient(pager, dice)) is not None:
        found += track
    settle(world, asked, pager, found)


async def _impatient(pager: TrackPager, dice: Random) -> list[Track] | None:
    """The track that a step brings, none where it was given up, `None` at the end."""
    try:
        if dice.random() < 0.5:
            return [await asyncio.wait_for(anext(pager), dice.choice((0.0005, 0.002, 0.01)))]
        step = asyncio.ensure_future(anext(pager))
        await iterate_loop(dice.randint(1, 6))
        step.cancel()
        return [await step]
    except (TimeoutError, asyncio.CancelledError):
        return []
    except StopAsyncIteration:
        return None


async def resumed(world: World, dice: Random) -> None:
    """Pieces, each from the checkpoint of the last."""
    asked = listing(world, dice)
    asked.arguments.pop("limit", None)
    place = FILTERS.index({name: asked.arguments[name] for name in ("genre", "mood") if name in asked.arguments})
    wanted = world.oracles[place].tracks(asked.page_size, start_page=asked.arguments.get("start_page", 1))
    pager, found = asked.pager(), list[Track]()
    while len(found) < len(wanted):
        piece = await _piece(pager, dice.randint(1, 600))
        check(piece, "a piece brings tracks", asked.arguments, ids(found), ids(wanted))
        found += piece
        saved = json.loads(json.dumps(pager.checkpoint()))
        await pager.aclose()
        pager = asked.jogg.tracks(resume=saved)
    check(await anext(pager, None) is None, "nothing is left", asked.arguments)
    check(found == wanted, "tracks in pieces", asked.arguments, ids(found), ids(wanted))
    world.counts.tracks += len(found)


async def _piece(pager: TrackPager, count: int) -> list[Track]:
    found: list[Track] = []
    async for track in pager:
        found.append(track)
        if len(found) == count:
            break
    return found


async def by_pages(world: World, dice: Random) -> None:
    """Page after page."""
    asked = listing(world, dice)
    async with asked.pager() as pager:
        found = [track async for page in pager.pages() for track in page.tracks]
        settle(world, asked, pager, found)


async def collected(world: World, dice: Random) -> None:
    """`collect()`; on an error the tracks before it are the error's, and the next call goes on."""
    asked = listing(world, dice, **spoilt(dice))
    pager, found = asked.pager(), list[Track]()
    while True:
        try:
            found += await pager.collect()
            break
        except JoggError as error:
            world.counts.errors += 1
            found += error.tracks or ()
            check(len(found) == asked.before(error.page), "error.tracks", error, ids(found))
    settle(world, asked, pager, found)


async def single(world: World, dice: Random) -> None:
    """`page()` and `count()`."""
    asked = listing(world, dice)
    place = dice.randrange(len(FILTERS))
    oracle, number = world.oracles[place], dice.randint(1, 40)
    page = await asked.jogg.page(number, page_size=asked.page_size, **FILTERS[place], params=asked.arguments["params"])
    wanted = oracle.tracks(asked.page_size, start_page=number, end_page=number)
    check(list(page.tracks) == wanted, "a page", number, asked.page_size, ids(page.tracks), ids(wanted))
    check(page.pagination.total_items == len(oracle.rows), "total", page.pagination)
    count = await asked.jogg.count(**FILTERS[place])
    check(count == len(oracle.rows), "count", count, len(oracle.rows))
    world.counts.tracks += len(wanted)
