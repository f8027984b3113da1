"""The gather over httpx, and the ordered map of aiostream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from . import Crawl, Job
from .plain import gather


@asynccontextmanager
async def gathered_httpx(job: Job) -> AsyncGenerator[Crawl]:
    import httpx

    async def fetch(page: int) -> dict[str, Any]:
        response = await http.get(job.url, params={"page": page, "page_size": 100})
        response.raise_for_status()
        data: dict[str, Any] = response.json()["data"]
        return data

    async with httpx.AsyncClient(headers={"x-api-key": "bench"}) as http:
        yield gather(fetch, job)


@asynccontextmanager
async def mapped(job: Job) -> AsyncGenerator[Crawl]:
    from aiostream import stream
    from aiostream.core import Stream

    async def fetch(page: int, *_: int) -> dict[str, Any]:
        async with http.get(job.url, params={"page": page, "page_size": 100}) as response:
            data: dict[str, Any] = (await response.json())["data"]
        return data

    async def crawl() -> AsyncIterator[Any]:
        first = await fetch(1)
        yield first["music"]
        numbers = stream.range(2, first["pagination"]["total_pages"] + 1)
        pages: Stream[dict[str, Any]] = stream.map(numbers, fetch, ordered=True, task_limit=job.concurrency)
        async with pages.stream() as streamer:
            async for data in streamer:
                yield data["music"]

    async with aiohttp.ClientSession(headers={"x-api-key": "bench"}, raise_for_status=True) as http:
        yield crawl
