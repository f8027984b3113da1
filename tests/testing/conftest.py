from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from jogg_async.testing import FakeJogg


@attrs.frozen
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


@attrs.frozen
class Fetch:
    """Send requests to a fake by plain aiohttp, without the client under test."""

    http: aiohttp.ClientSession

    async def __call__(
        self,
        fake: FakeJogg,
        path: str = "/v2/musics",
        *,
        key: str | None = "fake-jogg-key",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Response:
        sent = {**(headers or {}), **({"x-api-key": key} if key else {})}
        async with self.http.request(
            method, fake.url + path, params=query, headers=sent, allow_redirects=False
        ) as response:
            body = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "") and method != "HEAD"
            return Response(response.status, response.headers, body, await response.json() if is_json else None)


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    async with aiohttp.ClientSession() as http:
        yield Fetch(http)
