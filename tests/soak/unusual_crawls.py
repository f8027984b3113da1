"""Random crawls of changing, irregular and rate-limited catalogues, and with short-lived sessions."""

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
from .catalogues import CHANGING
from .environment import KEY, Environment, check
from .faults import FATAL

_KINDS: dict[str, type[JoggError]] = {
    "10104": NotFoundError,
    "10105": AuthenticationError,
    "18020": InsufficientCreditError,
    "18025": PermissionDeniedError,
    "40000": ParameterError,
    "garbage": DecodeError,
    "types": DecodeError,
}
_changing = asyncio.Lock()


async def changing(environment: Environment, rng: Random) -> None:
    """Crawl a catalogue that changes during the first pass only: every track in it at the end is found, none twice."""
    page_size = rng.choice((5, 10, 20))
    # Each change comes before a further response of the same pass, even after the removals, so that it is noticed.
    last = len(pages_of(CHANGING, page_size)) - 5
    moments = sorted(rng.sample(range(1, last), k=rng.randint(0, 6)))
    changes = [[moment, rng.choice(("insert", "remove")), rng.randrange(300)] for moment in moments]
    async with _changing, environment.session("changing", concurrency=rng.randint(1, 8)) as jogg:
        await environment.remote.command("move", changes=changes)
        pager = jogg.tracks(page_size=page_size, on_drift="recrawl", ordered=rng.random() < 0.7)
        found = [track.id async for track in pager]
        contents = await environment.remote.command("contents")
    check(len(found) == len(set(found)), "an id came twice", changes, found)
    check(
        set(contents["now"]) <= set(found) <= set(contents["ever"]),
        "tracks of a changing catalogue",
        changes,
        found,
        contents["now"],
    )
    check(pager.progress.drifted == bool(changes), "drifted", changes, pager.progress)
    environment.counts.tracks += len(found)


async def irregular(environment: Environment, rng: Random) -> None:
    """Crawl a catalogue with invalid and repeated records."""
    page_size = rng.choice((7, 20, 100))
    arguments: dict[str, Any] = {"page_size": page_size, "on_invalid": "skip", "on_drift": "ignore"}
    ordered = rng.random() < 0.5
    async with environment.session("irregular", concurrency=rng.randint(1, 8)) as jogg:
        pager = jogg.tracks(**arguments, ordered=ordered, params={"chaos": 0.02})
        found = ids([track async for track in pager])
    expected, rows = environment.irregular.tracks(page_size), environment.irregular.rows
    check(
        found == ids(expected) if ordered else sorted(found) == sorted(ids(expected)),
        "irregular tracks",
        arguments,
        found,
    )
    invalid = sum(type(row["id"]) is not int for row in rows)
    duplicates = len(rows) - invalid - len(expected)
    progress = pager.progress
    check((progress.invalid, progress.duplicates) == (invalid, duplicates), "irregular counts", progress)
    check(len(pager.invalid_records) == invalid, "invalid records", len(pager.invalid_records), invalid)
    environment.counts.tracks += len(found)


async def limited(environment: Environment, rng: Random) -> None:
    """Crawl a service with a rate limit."""
    page_size = rng.choice((50, 100))
    pager = environment.limited.tracks(page_size=page_size, params={"chaos": 0.01})
    crawl = crawls.ExpectedCrawl(
        environment.limited,
        {},
        _with_urls_of(environment, environment.oracles[0].tracks(page_size), "limited"),
        page_size,
    )
    await crawls.read_all(environment, crawl, pager)


def _with_urls_of(environment: Environment, tracks: list[Track], name: str) -> list[Track]:
    """Return the tracks of the steady catalogue with audio URLs of another fake, which has its address in them."""
    old, new = environment.remote.urls["steady"], environment.remote.urls[name]
    return [Track(track.id, track.name, (track.music_url or "").replace(old, new), track.duration) for track in tracks]


async def short_lived(environment: Environment, rng: Random) -> None:
    """Crawl with a session of its own, of random concurrency."""
    crawl = crawls.random_crawl(environment, rng)
    async with environment.session(concurrency=rng.randint(1, 32)) as jogg:
        pager = jogg.tracks(**crawl.arguments)
        found = [track async for track in pager]
        crawls.settle(environment, crawl, pager, found)


async def borrowed(environment: Environment, rng: Random) -> None:
    """Crawl with a session over a caller's aiohttp session, which must stay open."""
    crawl = crawls.random_crawl(environment, rng)
    async with aiohttp.ClientSession() as http:
        async with environment.session(concurrency=rng.randint(1, 16), http=http) as jogg:
            pager = jogg.tracks(**crawl.arguments)
            crawls.settle(environment, crawl, pager, [track async for track in pager])
        check(not http.closed, "the caller's session is open")
        async with http.get(f"{environment.remote.urls['steady']}/v2/musics", headers={"x-api-key": KEY}) as response:
            check(response.status == 200, "the caller's session works", response.status)


async def cut_short(environment: Environment, rng: Random) -> None:
    """Close a session while its consumers wait."""
    crawl = crawls.random_crawl(environment, rng)
    jogg = environment.session(concurrency=rng.randint(1, 16))
    readers = [asyncio.ensure_future(_read(jogg.tracks(**crawl.arguments))) for _ in range(3)]
    await asyncio.sleep(rng.random() * 0.15)
    await jogg.aclose()
    for found, complete in await asyncio.gather(*readers):
        expected = crawl.expected if complete else crawl.expected[: len(found)]
        check(found == expected, "tracks of a session cut short", complete, crawl.arguments, ids(found))
        environment.counts.tracks += len(found)


async def _read(pager: TrackPager) -> tuple[list[Track], bool]:
    found: list[Track] = []
    try:
        async for track in pager:
            found.append(track)  # noqa: PERF401 (those before the close stay)
    except SessionClosedError:
        return found, False
    return found, True


async def refused(environment: Environment, rng: Random) -> None:
    """Request a page that fails permanently: the error has the right type, page and attempts."""
    kind, number = rng.choice([*FATAL]), rng.randint(1, 5)
    try:
        await environment.lent.page(number, params={"fail_page": number, "fault": kind})
    except JoggError as error:
        check(type(error) is _KINDS[kind], "the kind of error", kind, error)
        check((error.page, error.attempts) == (number, 1), "where it failed", kind, error.page, error.attempts)
        if isinstance(error, APIError):
            check(str(error.code) == kind, "its code", kind, error.code)
        environment.counts.errors += 1
