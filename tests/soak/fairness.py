"""A web app whose handlers share one session: a crowd of them at once, each with a pager, over real sockets."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final

import aiohttp
import attrs
from aiohttp import web

from jogg_async import JoggSession

_SPARE: Final = 300
"""Descriptors for everything but the crowd, which takes two each."""


@attrs.frozen
class Fairness:
    """How a crowd was served.

    Attributes:
        found: the ids that each handler returned.
        spread: the most pages by which one unfinished pager was ever ahead of another.
        first_end: the share of all pages that were handed on when the first pager had its last one.
        waited: pages handed on between the call of `page()` and its response.
        seconds: from the first request to the last response.
    """

    found: list[list[int]]
    spread: int
    first_end: float
    waited: int
    seconds: float


class Crowd:
    """The handlers.

    Args:
        jogg: the session that all share.
        size: how many handlers; they begin together.
        pages: pages that each pager has.
        page_size: tracks per page.
    """

    def __init__(self, jogg: JoggSession, size: int, pages: int, page_size: int) -> None:
        self._jogg = jogg
        self._size = size
        self._pages = pages
        self._page_size = page_size
        self._here = 0
        self._all_here = asyncio.Event()
        self._single: asyncio.Task[int] | None = None
        self.served: list[int] = []
        """Who was handed a page, in order."""

    async def handle(self, request: web.Request) -> web.Response:
        """The tracks of a pager of one's own."""
        self._here += 1
        if self._here == self._size:
            self._all_here.set()
        await self._all_here.wait()
        who, found = int(request.query["who"]), list[int]()
        pager = self._jogg.tracks(page_size=self._page_size, end_page=self._pages, params={"who": who})
        async for page in pager.pages():
            self.served.append(who)
            found += [track.id for track in page.tracks]
            if self._single is None and 2 * len(self.served) >= self._size * self._pages:
                self._single = asyncio.ensure_future(self._page())
        return web.json_response(found)

    async def _page(self) -> int:
        """How many pages were handed on while a single one was waited for."""
        before = len(self.served)
        await self._jogg.page(1, page_size=self._page_size)
        return len(self.served) - before

    async def waited(self) -> int:
        assert self._single is not None
        return await self._single


async def serve_a_crowd(jogg: JoggSession, size: int, pages: int, page_size: int) -> Fairness:
    """Have `size` handlers of one app read a pager each, all at once."""
    crowd = Crowd(jogg, size, pages, page_size)
    app = web.Application()
    app.router.add_get("/", crowd.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=size)
        await site.start()
        began = time.monotonic()
        found = await _visit(f"http://127.0.0.1:{runner.addresses[0][1]}/", size)
        seconds = time.monotonic() - began
    finally:
        await runner.cleanup()
    served = crowd.served
    return Fairness(found, spread(served, size, pages), first_end(served, pages), await crowd.waited(), seconds)


async def _visit(url: str, size: int) -> list[list[int]]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(who: int) -> list[int]:
            async with http.get(url, params={"who": who}) as response:
                found: list[int] = await response.json()
                return found

        return await asyncio.gather(*map(one, range(size)))


def spread(served: Iterable[int], size: int, pages: int) -> int:
    """The most pages by which one unfinished pager was ever ahead of another."""
    counts: Counter[int] = Counter()
    at = [size] + [0] * pages  # how many pagers have so many pages
    widest = 0
    for who in served:
        at[counts[who]] -= 1
        counts[who] += 1
        at[counts[who]] += 1
        unfinished = [count for count in range(pages) if at[count]]
        if unfinished:
            widest = max(widest, unfinished[-1] - unfinished[0])
    return widest


def first_end(served: list[int], pages: int) -> float:
    """The share of all pages that were handed on when the first pager had its last one."""
    counts: Counter[int] = Counter()
    for number, who in enumerate(served, 1):
        counts[who] += 1
        if counts[who] == pages:
            return number / len(served)
    return 1.0


@contextmanager
def descriptors_for(crowd: int) -> Generator[int]:
    """Raise the soft limit on descriptors, as far as the hard one lets; how large the crowd may then be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * crowd + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        yield crowd if allowed == resource.RLIM_INFINITY else min(crowd, (allowed - _SPARE) // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
