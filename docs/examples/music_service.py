"""JoggAI's music for a web app, whatever its framework: what a client may wait for, the cache, errors as statuses."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

from async_lru import alru_cache

from jogg_async import JoggSession, NotFoundError, Page, PageIterator, RetryPolicy, errors

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds that a client waits for a page
QUICK = RetryPolicy(attempts=3, timeout=3, max_retry_after=1)  # a handler gives up sooner than a crawl
FAILURES = (errors.JoggError, TimeoutError)
OURS = (errors.AuthenticationError, errors.PermissionDeniedError, errors.InsufficientCreditError)
STATUSES: dict[type[BaseException], int] = {
    **dict.fromkeys(OURS, 500),  # the key, the plan, the credit: the operator's business, not the client's
    errors.NotFoundError: 404,
    errors.ParameterError: 400,
    errors.RateLimitError: 503,
    errors.SessionClosedError: 503,
    TimeoutError: 504,
}


class MusicService:
    """Music for the handlers of a web app, over the one session of its process."""

    def __init__(self, jogg: JoggSession) -> None:
        self.jogg = jogg
        # Clients that ask while the crawl runs wait for that crawl. A failure is not cached.
        self.crawl = alru_cache(ttl=300)(self._crawl)

    async def page(self, number: int, mood: str | None = None) -> Page:
        """Return one page of 20 tracks."""
        async with self._patience():
            page = await self.jogg.page(number, page_size=20, mood=mood, on_invalid="skip", retry=QUICK)
        if number > 1 and not page.tracks:
            raise NotFoundError(f"there is no page {number}")
        return page

    async def catalogue(self) -> bytes:
        """Return the whole catalogue as JSON, at most five minutes old."""
        async with asyncio.timeout(30):
            return await self.crawl()

    @asynccontextmanager
    async def lines(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open the whole catalogue as lines of JSON, a page at a time. Leaving the context stops the crawl."""
        # Two requests at once are enough for one client, and bound the pages that wait for a slow one.
        async with self.jogg.tracks(concurrency=2, on_invalid="skip", on_drift="ignore") as pager:
            pages = pager.pages()
            async with self._patience():
                first = await anext(pages)  # before the headers, so that its failure has a status
            yield _chunks(first, pages)

    def health(self) -> dict[str, Any]:
        """Return what a health check reports. A paused session is no reason to restart the process."""
        return {"status": "paused" if self.jogg.paused else "ok", "paused": self.jogg.paused}

    @asynccontextmanager
    async def _patience(self) -> AsyncGenerator[None]:
        """Bound a wait, and refuse at once while a rate limit pauses the session for longer than that."""
        if self.jogg.paused > PATIENCE:
            raise TimeoutError("a rate limit pauses all requests")
        async with asyncio.timeout(PATIENCE):
            yield

    async def _crawl(self) -> bytes:
        tracks = await self.jogg.tracks(on_invalid="skip", on_drift="recrawl").collect()
        return json.dumps([track.to_dict() for track in tracks]).encode()


@asynccontextmanager
async def open_music() -> AsyncGenerator[MusicService]:
    """Open the one session of a process: its handlers share connections and rate limit."""
    async with JoggSession(concurrency=16) as jogg:
        music = MusicService(jogg)
        yield music
        await music.crawl.cache_close()


async def _chunks(first: Page, rest: PageIterator) -> AsyncIterator[bytes]:
    yield _ndjson(first)
    async for page in rest:
        yield _ndjson(page)


def _ndjson(page: Page) -> bytes:
    return "".join(f"{json.dumps(track.to_dict())}\n" for track in page.tracks).encode()


class Failure(NamedTuple):
    """Response to a failure. It tells the client no more than the status and the service's request id."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def failure(error: Exception, paused: float) -> Failure:
    """Return the response to one of `FAILURES`. `paused` is that of the session."""
    wait = max(getattr(error, "retry_after", None) or 0.0, paused)
    status = 504 if isinstance(error.__cause__, TimeoutError) else STATUSES.get(type(error), 502)
    if wait and status > 500:
        status = 503
    if status >= 500:
        logger.log(logging.ERROR if status == 500 else logging.WARNING, "%d: %s", status, error)
    headers = {"Retry-After": str(max(1, math.ceil(wait)))} if status == 503 else {}
    return Failure(status, headers, {"error": HTTPStatus(status).phrase, "rid": getattr(error, "rid", None)})
