"""Crawls of catalogues that move, that are rough or limited; sessions that come and go."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import aiohttp

from jogg_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    InsufficientCreditError,
    JoggError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    SessionClosedError,
    Track,
    TrackPager,
)
from tests.model import ids, pages_of

from . import crawls
from .catalogues import MOVING
from .faults import FATAL
from .world import KEY, World, check

_KINDS: dict[str, type[JoggError]] = {
    "10104": NotFoundError,
    "10105": AuthenticationError,
    "18020": InsufficientCreditError,
    "18025": PermissionDeniedError,
    "40000": ParameterError,
    "garbage": DecodeError,
    "types": DecodeError,
}
_moving = asyncio.Lock()


async def moved(world: World, dice: Random) -> None:
    """A catalogue that changes in the first pass alone: the last pass finds what is there, and none comes twice."""
    page_size = dice.choice((5, 10, 20))
    # Each change lies before another response of the same pass, however many pages the removals cost, so that it shows.
    last = len(pages_of(MOVING, page_size)) - 5
    moments = sorted(dice.sample(range(1, last), k=dice.randint(0, 6)))
    changes = [[moment, dice.choice(("insert", "remove")), dice.randrange(300)] for moment in moments]
    async with _moving, world.session("moving", concurrency=dice.randint(1, 8)) as jogg:
        await world.remote.tell("move", changes=changes)
        pager = jogg.tracks(page_size=page_size, on_drift="recrawl", ordered=dice.random() < 0.7)
        found = [track.id async for track in pager]
        told = await world.remote.tell("moved")
    check(len(found) == len(set(found)), "an id came twice", changes, found)
    check(set(told["now"]) <= set(found) <= set(told["ever"]), "tracks that moved", changes, found, told["now"])
    check(pager.progress.drifted == bool(changes), "drifted", changes, pager.progress)
    world.counts.tracks += len(found)


async def rough(world: World, dice: Random) -> None:
    """Records that are no tracks, and tracks that come twice."""
    page_size = dice.choice((7, 20, 100))
    asked: dict[str, Any] = {"page_size": page_size, "on_invalid": "skip", "on_drift": "ignore"}
    ordered = dice.random() < 0.5
    async with world.session("rough", concurrency=dice.randint(1, 8)) as jogg:
        pager = jogg.tracks(**asked, ordered=ordered, params={"chaos": 0.02})
        found = ids([track async for track in pager])
    wanted, rows = world.rough.tracks(page_size), world.rough.rows
    check(found == ids(wanted) if ordered else sorted(found) == sorted(ids(wanted)), "rough tracks", asked, found)
    invalid = sum(type(row["id"]) is not int for row in rows)
    duplicates = len(rows) - invalid - len(wanted)
    progress = pager.progress
    check((progress.invalid, progress.duplicates) == (invalid, duplicates), "rough counts", progress)
    check(len(pager.invalid_records) == invalid, "invalid records", len(pager.invalid_records), invalid)
    world.counts.tracks += len(found)


async def limited(world: World, dice: Random) -> None:
    """A service that refuses what comes too fast."""
    page_size = dice.choice((50, 100))
    pager = world.limited.tracks(page_size=page_size, params={"chaos": 0.01})
    asked = crawls.PageUrl(world.limited, {}, _at(world, world.oracles[0].tracks(page_size), "limited"), page_size)
    await crawls.read_all(world, asked, pager)


def _at(world: World, tracks: list[Track], name: str) -> list[Track]:
    """The same tracks, as another fake with the same songs sends them."""
    old, new = world.remote.urls["steady"], world.remote.urls[name]
    return [Track(track.id, track.name, (track.music_url or "").replace(old, new), track.duration) for track in tracks]


async def short_lived(world: World, dice: Random) -> None:
    """A session of its own, of any concurrency, for one crawl."""
    asked = crawls.listing(world, dice)
    async with world.session(concurrency=dice.randint(1, 32)) as jogg:
        pager = jogg.tracks(**asked.arguments)
        found = [track async for track in pager]
        crawls.settle(world, asked, pager, found)


async def borrowed(world: World, dice: Random) -> None:
    """A session over an aiohttp session that its caller opens and closes."""
    asked = crawls.listing(world, dice)
    async with aiohttp.ClientSession() as http:
        async with world.session(concurrency=dice.randint(1, 16), http=http) as jogg:
            pager = jogg.tracks(**asked.arguments)
            crawls.settle(world, asked, pager, [track async for track in pager])
        check(not http.closed, "the caller's session is open")
        async with http.get(f"{world.remote.urls['steady']}/v2/musics", headers={"x-api-key": KEY}) as response:
            check(response.status == 200, "the caller's session works", response.status)


async def cut_short(world: World, dice: Random) -> None:
    """A session closed under consumers that wait."""
    asked = crawls.listing(world, dice)
    jogg = world.session(concurrency=dice.randint(1, 16))
    readers = [asyncio.ensure_future(_read(jogg.tracks(**asked.arguments))) for _ in range(3)]
    await asyncio.sleep(dice.random() * 0.15)
    await jogg.aclose()
    for found, complete in await asyncio.gather(*readers):
        wanted = asked.wanted if complete else asked.wanted[: len(found)]
        check(found == wanted, "tracks of a session cut short", complete, asked.arguments, ids(found))
        world.counts.tracks += len(found)


async def _read(pager: TrackPager) -> tuple[list[Track], bool]:
    found: list[Track] = []
    try:
        async for track in pager:
            found.append(track)  # noqa: PERF401 (those before the close stay)
    except SessionClosedError:
        return found, False
    return found, True


async def refused(world: World, dice: Random) -> None:
    """Each failure is an error of its kind, and tells where it happened."""
    kind, number = dice.choice([*FATAL]), dice.randint(1, 5)
    try:
        await world.lent.page(number, params={"spoil": number, "with": kind})
    except JoggError as error:
        check(type(error) is _KINDS[kind], "the kind of error", kind, error)
        check((error.page, error.attempts) == (number, 1), "where it failed", kind, error.page, error.attempts)
        if isinstance(error, APIError):
            check(str(error.code) == kind, "its code", kind, error.code)
        world.counts.errors += 1
