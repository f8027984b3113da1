from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import attrs
import pytest

from jogg_async.browse.server import BrowseServer
from jogg_async.browse.sources import Query, ServiceSource, Source

if TYPE_CHECKING:
    from jogg_async import JoggSession

Serve = Callable[..., Awaitable["Client"]]


@attrs.frozen
class Response:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@attrs.frozen
class Client:
    """Plain HTTP client of a `BrowseServer`. It takes the token from the URL of the server."""

    server: BrowseServer
    http: aiohttp.ClientSession

    @property
    def origin(self) -> str:
        return self.server.url.partition("/?")[0]

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.server.url).query)["token"][0]

    def address(self, path: str, **query: Any) -> str:
        given = "&".join(f"{name}={value}" for name, value in {"token": self.token, **query}.items())
        return f"{self.origin}{path}?{given}"

    async def get(self, address: str, *, method: str = "GET", **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, address, headers=sent, allow_redirects=False) as response:
            return Response(response.status, response.headers, await response.read())

    async def messages(self, until: Callable[[dict[str, Any]], bool], **query: Any) -> list[dict[str, Any]]:
        """Return the messages of the stream of tracks, up to the one that fulfils a condition."""
        found: list[dict[str, Any]] = []
        async with self.http.get(self.address("/tracks", **query)) as response:
            async for text in response.content:
                found.append(json.loads(text))
                if until(found[-1]):
                    break
        return found


def is_in_state(*states: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("state") in states


def tracks_of(messages: list[dict[str, Any]]) -> list[list[Any]]:
    return [row for message in messages for row in message.get("tracks", [])]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start the page's server for a source, and close it at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(source: Source, query: Query = Query()) -> Client:  # noqa: B008 (it is frozen)
            server = await stack.enter_async_context(BrowseServer(source, query))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Client(server, http)

        yield start


@pytest.fixture
async def client(serve: Serve, jogg: JoggSession) -> Client:
    """A client of a page with the 250 tracks of the fixture `fake`."""
    return await serve(ServiceSource(jogg))
