"""Measure fairness: many handlers of one web app share a session, each with a pager, over real sockets."""

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
"""Descriptors for everything but the handlers, which need two each."""


@attrs.frozen
class Fairness:
    """How evenly the handlers were served.

    Attributes:
        found: ids that each handler returned.
        spread: most pages by which one unfinished pager was ever ahead of another.
        first_end: share of all pages that were yielded when the first pager had its last one.
        waited: pages yielded between the call of `page()` and its response.
        seconds: time from the first request to the last response.
    """

    found: list[list[int]]
    spread: int
    first_end: float
    waited: int
    seconds: float


class HandlerGroup:
    """Handlers that share a session and start together.

    Args:
        jogg: the shared session.
        size: number of handlers.
        pages: pages of each pager.
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
        """Handler of each page that was yielded, in order."""

    async def handle(self, request: web.Request) -> web.Response:
        """Handle a request: crawl with a new pager, and return the ids."""
        self._here += 1
        if self._here == self._size:
            self._all_here.set()
        await self._all_here.wait()
        handler, found = int(request.query["handler"]), list[int]()
        pager = self._jogg.tracks(page_size=self._page_size, end_page=self._pages, params={"handler": handler})
        async for page in pager.pages():
            self.served.append(handler)
            found += [track.id for track in page.tracks]
            if self._single is None and 2 * len(self.served) >= self._size * self._pages:
                self._single = asyncio.ensure_future(self._page())
        return web.json_response(found)

    async def _page(self) -> int:
        """Fetch a single page, and return the number of pages yielded meanwhile."""
        before = len(self.served)
        await self._jogg.page(1, page_size=self._page_size)
        return len(self.served) - before

    async def waited(self) -> int:
        assert self._single is not None
        return await self._single


async def measure_fairness(jogg: JoggSession, size: int, pages: int, page_size: int) -> Fairness:
    """Let `size` handlers of one app read a pager each, all at once."""
    group = HandlerGroup(jogg, size, pages, page_size)
    app = web.Application()
    app.router.add_get("/", group.handle)
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
    served = group.served
    return Fairness(found, spread(served, size, pages), first_end(served, pages), await group.waited(), seconds)


async def _visit(url: str, size: int) -> list[list[int]]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(handler: int) -> list[int]:
            async with http.get(url, params={"handler": handler}) as response:
                found: list[int] = await response.json()
                return found

        return await asyncio.gather(*map(one, range(size)))


def spread(served: Iterable[int], size: int, pages: int) -> int:
    """Return the most pages by which one unfinished pager was ever ahead of another."""
    counts: Counter[int] = Counter()
    at = [size] + [0] * pages  # number of pagers that have yielded so many pages
    widest = 0
    for handler in served:
        at[counts[handler]] -= 1
        counts[handler] += 1
        at[counts[handler]] += 1
        unfinished = [count for count in range(pages) if at[count]]
        if unfinished:
            widest = max(widest, unfinished[-1] - unfinished[0])
    return widest


def first_end(served: list[int], pages: int) -> float:
    """Return the share of all pages that were yielded when the first pager had its last one."""
    counts: Counter[int] = Counter()
    for number, handler in enumerate(served, 1):
        counts[handler] += 1
        if counts[handler] == pages:
            return number / len(served)
    return 1.0


@contextmanager
def descriptors_for(handlers: int) -> Generator[int]:
    """Raise the soft limit on descriptors up to the hard one; yield the number of handlers that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * handlers + _SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
        )
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        yield handlers if allowed == resource.RLIM_INFINITY else min(handlers, (allowed - _SPARE) // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
