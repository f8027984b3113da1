"""The peer `LIMIT`: the fastest loop, with a window of requests but without retries, checks or other features."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import aiohttp
import attrs
import msgspec
from yarl import URL

from . import Crawl, Job

_AHEAD: Final = 16
"""Pages requested or held for each request in flight."""

_GZIP: Final = 16 + zlib.MAX_WBITS


@attrs.frozen
class Track:
    id: int
    name: str | None = None
    music_url: str | None = None
    duration: int | None = None


@attrs.frozen
class Pagination:
    total_pages: int


@attrs.frozen
class Data:
    music: list[Track]
    pagination: Pagination


@attrs.frozen
class Envelope:
    code: int
    data: Data


@asynccontextmanager
async def window(job: Job) -> AsyncGenerator[Crawl]:
    """Run a window of tasks, refilled as its head is taken; decode bytes straight into attrs classes."""
    decode = msgspec.json.Decoder(Envelope).decode
    slots = asyncio.Semaphore(job.concurrency)
    prefix = f"{job.url}?page_size=100&page="

    async def fetch(number: int) -> Data:
        async with slots:
            response = await http.get(URL(f"{prefix}{number}", encoded=True), allow_redirects=False)
            body = await response.read()
        if response.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, _GZIP)
        return decode(body).data

    async def crawl() -> AsyncIterator[list[Track]]:
        opening = [asyncio.create_task(_connect(http, job.url)) for _ in range(job.concurrency - 1 if job.early else 0)]
        first = await fetch(1)
        yield first.music
        numbers = iter(range(2, first.pagination.total_pages + 1))
        tasks = deque(asyncio.create_task(fetch(number)) for number in islice(numbers, _AHEAD * job.concurrency))
        while tasks:
            page = await tasks.popleft()
            tasks.extend(asyncio.create_task(fetch(number)) for number in islice(numbers, 1))
            yield page.music
        await asyncio.gather(*opening)

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"x-api-key": "bench", "Accept": "application/json"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        auto_decompress=False,
    ) as http:
        yield crawl


async def _connect(http: aiohttp.ClientSession, url: str) -> None:
    assert http.connector is not None
    request = aiohttp.ClientRequest("GET", URL(url), loop=asyncio.get_running_loop())
    connection = await http.connector.connect(request, traces=[], timeout=aiohttp.ClientTimeout())
    connection.release()
