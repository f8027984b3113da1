"""The library under test, in its two forms."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from jogg_async import JoggSession, RetryPolicy

from . import Crawl, Job


def _session(job: Job) -> JoggSession:
    # No jitter, so that the theory knows the waits.
    retry = RetryPolicy(wait_jitter=0)
    return JoggSession("bench", base_url=job.base_url, concurrency=job.concurrency, retry=retry)


@asynccontextmanager
async def tracks(job: Job) -> AsyncGenerator[Crawl]:
    async with _session(job) as jogg:
        yield jogg.tracks


@asynccontextmanager
async def pages(job: Job) -> AsyncGenerator[Crawl]:
    async def crawl() -> AsyncIterator[object]:
        async for page in jogg.tracks().pages():
            yield page.tracks

    async with _session(job) as jogg:
        yield crawl
