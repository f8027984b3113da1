"""Loops written over aiohttp by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import stamina

from . import Crawl, Job

Fetch = Callable[[int], Awaitable[dict[str, Any]]]


class SystemFaultError(Exception):
    """The service reported a system error in its envelope."""


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"x-api-key": "bench"}, raise_for_status=True)


def _query(page: int) -> dict[str, int]:
    return {"page": page, "page_size": 100}


@asynccontextmanager
async def sequential(job: Job) -> AsyncGenerator[Crawl]:
    async def crawl() -> AsyncIterator[Any]:
        page, last = 1, 1
        while page <= last:
            async with http.get(job.url, params=_query(page)) as response:
                data = (await response.json())["data"]
            yield data["music"]
            page, last = page + 1, data["pagination"]["total_pages"]

    async with _session() as http:
        yield crawl


def gather(fetch: Fetch, job: Job) -> Crawl:
    """Fetch page 1 for the number of pages, then all others at once under a semaphore."""

    async def crawl() -> AsyncIterator[Any]:
        semaphore = asyncio.Semaphore(job.concurrency)

        async def bounded(page: int) -> dict[str, Any]:
            async with semaphore:
                return await fetch(page)

        first = await fetch(1)
        last: int = first["pagination"]["total_pages"]
        for data in (first, *await asyncio.gather(*(bounded(page) for page in range(2, last + 1)))):
            yield data["music"]

    return crawl


@asynccontextmanager
async def gathered(job: Job) -> AsyncGenerator[Crawl]:
    async def fetch(page: int) -> dict[str, Any]:
        async with http.get(job.url, params=_query(page)) as response:
            data: dict[str, Any] = (await response.json())["data"]
        return data

    async with _session() as http:
        yield gather(fetch, job)


@asynccontextmanager
async def gathered_fast(job: Job) -> AsyncGenerator[Crawl]:
    async def fetch(page: int) -> dict[str, Any]:
        async with http.get(job.url, params=_query(page)) as response:
            data: dict[str, Any] = msgspec.json.decode(await response.read())["data"]
        return data

    async with _session() as http:
        yield gather(fetch, job)


@asynccontextmanager
async def gathered_stamina(job: Job) -> AsyncGenerator[Crawl]:
    # The library's own waits, and enough attempts and time for the rate limits.
    @stamina.retry(on=_backoff, attempts=job.attempts or 10, timeout=None, wait_initial=0.1, wait_jitter=0.2)
    async def fetch(page: int) -> dict[str, Any]:
        async with http.get(job.url, params=_query(page)) as response:
            envelope = await response.json()
        if envelope["code"] == 50000:
            raise SystemFaultError
        data: dict[str, Any] = envelope["data"]
        return data

    async with _session() as http:
        yield gather(fetch, job)


def _backoff(error: Exception) -> bool | float:
    """stamina's backoff hook: `False` (give up), `True` (default wait) or seconds."""
    if isinstance(error, SystemFaultError):
        return True
    if not isinstance(error, aiohttp.ClientResponseError):
        return isinstance(error, aiohttp.ClientConnectionError)
    wait = error.headers.get("Retry-After") if error.headers else None
    if wait is not None:
        return float(wait)
    return error.status == 429 or error.status >= 500
