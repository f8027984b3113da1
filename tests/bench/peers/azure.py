"""The paginator of the Azure SDKs, from azure-core, on this endpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from azure.core import AsyncPipelineClient
from azure.core.async_paging import AsyncItemPaged, AsyncList
from azure.core.pipeline.policies import AsyncRetryPolicy, HeadersPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from . import Crawl, Job


@asynccontextmanager
async def paged(job: Job) -> AsyncGenerator[Crawl]:
    async def get_next(token: str | None) -> AsyncHttpResponse:
        query = {"page": token or "1", "page_size": "100"}
        response = await client.send_request(HttpRequest("GET", job.url, params=query))
        response.raise_for_status()
        return response

    async def extract(response: AsyncHttpResponse) -> tuple[str | None, AsyncIterator[Any]]:
        data = response.json()["data"]
        page, last = data["pagination"]["page"], data["pagination"]["total_pages"]
        return (str(page + 1) if page < last else None), AsyncList(data["music"])

    policies = [HeadersPolicy({"x-api-key": "bench"}), AsyncRetryPolicy(retry_total=10, retry_status=10)]
    client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(job.base_url, policies=policies)
    async with client:
        yield lambda: AsyncItemPaged(get_next, extract)
