"""Server of audio files with faults on demand, which records its requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
from aiohttp import web

CONTENT: Final = bytes(range(256)) * 1200
"""Content of a file, 307,200 bytes."""

_PIECE: Final = 1 << 16

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@attrs.define
class AudioFile:
    """Responds with a file or the requested range of it.

    Attributes:
        content: the file.
        headers: further headers, such as ``ETag``.
        cuts: number of bytes after which the next responses break off, one for each response.
        hangs_after: number of bytes after which a response waits for ever; `None` for none.
        sends_ranges: false for a server that always sends the whole file.
        is_chunked: send the body without its length.
    """

    content: bytes = CONTENT
    headers: dict[str, str] = attrs.field(factory=lambda: {"ETag": '"one"'})
    cuts: list[int] = attrs.field(factory=list)
    hangs_after: int | None = None
    sends_ranges: bool = True
    is_chunked: bool = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        start = self._start(request)
        if start and start >= len(self.content):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(self.content)}"})
        body, size = self.content[start:], len(self.content)
        response = web.StreamResponse(
            status=206 if start else 200, headers={"Content-Type": "audio/mpeg"} | self.headers
        )
        if self.is_chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(body)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        await response.prepare(request)
        await self._send(request, response, body)
        return response

    def _start(self, request: web.BaseRequest) -> int:
        wanted = request.headers.get("Range")
        validator = request.headers.get("If-Range")
        if wanted is None or not self.sends_ranges or validator not in (None, *self.headers.values()):
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, body: bytes) -> None:
        stop = self.cuts.pop(0) if self.cuts else self.hangs_after
        for begin in range(0, len(body[:stop]), _PIECE):
            await response.write(body[:stop][begin : begin + _PIECE])
        if self.hangs_after is not None:
            await asyncio.Event().wait()
        if stop is not None and request.transport is not None:
            await asyncio.sleep(0.05)  # what was written reaches the client before the connection breaks
            request.transport.abort()
            return
        await response.write_eof()


class AudioServer:
    """Server on loopback that responds by path.

    Attributes:
        paths: the response of each path; others get 404.
        requests: path and headers of each request so far.
    """

    def __init__(self) -> None:
        self.paths: dict[str, Respond] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    @property
    def ranges(self) -> list[str | None]:
        """The ``Range`` of each request."""
        return [headers.get("Range") for _, headers in self.requests]

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._respond, handler_cancellation=True), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.path, dict(request.headers)))
        respond: Any = self.paths.get(request.path)
        return web.Response(status=404) if respond is None else await respond(request)
