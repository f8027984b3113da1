"""The library under test: tracks, and pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from jogg_async import JoggSession, RetryPolicy

from . import Crawl, Job


def _session(job: Job) -> JoggSession:
    retry = RetryPolicy() if job.attempts is None else RetryPolicy(attempts=job.attempts)
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
