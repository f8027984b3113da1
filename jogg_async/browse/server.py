"""`BrowseServer`: the page's web server on loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .access import HEADERS, Access
from .audio import AudioProxy
from .feed import Feed, Feeds, line
from .sources import Query, Source

if TYPE_CHECKING:
    from typing import Self

_logger = logging.getLogger(__name__)

_HOST: Final = "127.0.0.1"
_HEARTBEAT: Final = 1.0
"""Seconds between two status lines at most: the page shows a countdown in seconds."""
_COALESCE_DELAY: Final = 0.05
"""Seconds to wait for further batches after a change, so that a fast crawl is sent in few messages."""

_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
"""Content types by file extension. Those of `mimetypes` depend on the system and may be wrong."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BrowseServer:
    """Web server of the page, on loopback only; an async context manager that serves inside its block.

    Args:
        source: source of the tracks.
        query: filters that the page begins with.
        port: port to listen on, 0 to 65535; 0 for any free port.
    """

    def __init__(self, source: Source, query: Query = Query(), *, port: int = 0) -> None:  # noqa: B008 (it is frozen)
        self._source = source
        self._query = query
        self._port = port
        self._access: Access | None = None
        self._feeds = Feeds(source)
        self._audio = AudioProxy()
        page = files("jogg_async.browse").joinpath("page")
        self._files = {entry.name: entry.read_bytes() for entry in page.iterdir()}
        self._runner = web.AppRunner(
            self._application(),
            logger=_logger,  # else aiohttp's own, which prints the traceback of a malformed request on the terminal
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=1.0,
        )

    @property
    def url(self) -> str:
        """Address of the page, with the token of this run.

        Raises:
            RuntimeError: the server was not entered.
        """
        return f"{self._origin}/?token={self._running.token}"

    def url_for_browser(self) -> str:
        """Return an address that opens the page once. Other users can see the arguments of a browser."""
        return f"{self._origin}/?pass={self._running.new_one_time_token()}"

    async def __aenter__(self) -> Self:
        """Start to serve.

        Raises:
            OSError: the port is in use.
        """
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, _HOST, self._port)
            await site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self._access = Access(self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._audio.aclose()

    @property
    def _running(self) -> Access:
        if self._access is None:
            raise RuntimeError("the server has no address yet: enter it by `async with`")
        return self._access

    @property
    def _origin(self) -> str:
        return f"http://{_HOST}:{self._port}"

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._close_streams)  # called once no new connections are accepted
        application.add_routes(
            [
                _get("/", self._page),
                _get("/settings", self._with_token(self._settings)),
                _get("/tracks", self._with_token(self._tracks)),
                web.post("/retry", self._with_token(self._retry)),
                _get(r"/audio/{id:-?\d{1,19}}", self._with_token(self._audio_file)),
                _get("/{name}", self._file),
            ]
        )
        return application

    async def _close_streams(self, _: web.Application) -> None:
        await self._feeds.aclose()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        refusal = self._running.refusal(request.headers)
        if refusal is not None:
            raise web.HTTPForbidden(text=refusal)
        return await handler(request)

    def _with_token(self, handler: _Handler) -> _Handler:
        async def checked(request: web.Request) -> web.StreamResponse:
            if not self._running.allows(request.query.get("token", "")):
                raise web.HTTPForbidden(text="Open the address that jogg-async browse printed: it holds a token.")
            return await handler(request)

        return checked

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if "pass" in request.query:
            if not self._running.use_one_time_token(request.query["pass"]):
                raise web.HTTPForbidden(text="This address works once. Open the one that jogg-async browse printed.")
            raise web.HTTPSeeOther(f"/?token={self._running.token}")
        return await self._with_token(self._index)(request)

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return self._response("index.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        # No token is needed: the files are public, and an import in a JavaScript module could not send it.
        name = request.match_info["name"]
        if name not in self._files or name == "index.html":
            raise web.HTTPNotFound
        return self._response(name)

    def _response(self, name: str) -> web.Response:
        return web.Response(body=self._files[name], content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    async def _settings(self, _: web.Request) -> web.StreamResponse:
        suggestions = self._source.suggestions
        settings = {
            "name": self._source.name,
            "genres": suggestions.genres,
            "moods": suggestions.moods,
            "anyText": suggestions.any_text,
            "genre": self._query.genre,
            "mood": self._query.mood,
        }
        return web.Response(body=line(settings), content_type="application/json")

    async def _tracks(self, request: web.Request) -> web.StreamResponse:
        """Stream the tracks and the status of a query as lines of JSON, at each change and at least every second."""
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        with self._feeds.watched(_query(request)) as feed:
            resumed = request.query.get("feed") == feed.id
            sent = _whole_number(request.query.get("after", "")) if resumed else 0
            await response.write(line({"feed": feed.id}))
            while not feed.closed:
                sent = await _send_update(response, feed, sent)
        return response

    async def _retry(self, request: web.Request) -> web.StreamResponse:
        self._feeds.retry(_query(request))
        return web.Response(status=204)

    async def _audio_file(self, request: web.Request) -> web.StreamResponse:
        url = self._feeds.music_url(int(request.match_info["id"]))
        if url is None or not url.lower().startswith(("http://", "https://")):
            raise web.HTTPNotFound(text="The track has no audio file.")
        return await self._audio.send(request, url)


def _get(path: str, handler: _Handler) -> web.RouteDef:
    """Return a route for GET alone: for HEAD, aiohttp would run the handler, which may crawl or fetch a file."""
    return web.get(path, handler, allow_head=False)


async def _send_update(response: web.StreamResponse, feed: Feed, sent: int) -> int:
    """Send the batches from index `sent` on, and the status. Wait for a change; return the number of batches sent."""
    changed, batches = feed.changed, feed.batches[sent:]
    await response.write(b"".join((*batches, feed.status().line())))
    try:
        async with asyncio.timeout(_HEARTBEAT):
            await changed.wait()
        await asyncio.sleep(_COALESCE_DELAY)
    except TimeoutError:
        pass
    return sent + len(batches)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _query(request: web.Request) -> Query:
    return Query(request.query.get("genre") or None, request.query.get("mood") or None)


def _whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
