"""The paginator of the SDKs that Stainless generates: openai's own base client, on this endpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from openai import BaseModel
from openai._base_client import AsyncAPIClient, BaseAsyncPage, BasePage, PageInfo, make_request_options
from typing_extensions import override

from . import Crawl, Job

_T = TypeVar("_T")


class Track(BaseModel):
    id: int
    name: str | None = None
    music_url: str | None = None
    duration: int | None = None


class Pagination(BaseModel):
    page: int
    total_pages: int


class Data(BaseModel, Generic[_T]):
    music: list[_T]
    pagination: Pagination


class MusicPage(BaseAsyncPage[_T], BasePage[_T], Generic[_T]):
    code: int
    data: Data[_T]

    @override
    def _get_page_items(self) -> list[_T]:
        return self.data.music

    @override
    def next_page_info(self) -> PageInfo | None:
        pagination = self.data.pagination
        if pagination.page >= pagination.total_pages:
            return None
        return PageInfo(params={"page": pagination.page + 1})


@asynccontextmanager
async def paginator(job: Job) -> AsyncGenerator[Crawl]:
    client = AsyncAPIClient(
        version="1",
        base_url=job.base_url,
        _strict_response_validation=False,
        max_retries=10,
        custom_headers={"x-api-key": "bench"},
    )
    options = make_request_options(query={"page": 1, "page_size": 100})
    async with client:
        yield lambda: aiter(client.get_api_list("/v2/musics", page=MusicPage[Track], model=Track, options=options))
