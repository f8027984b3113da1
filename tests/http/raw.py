"""Server that can break every rule of HTTP, for faults that `FakeJogg` cannot produce."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from jogg_async import RetryPolicy

AT_ONCE: Final = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)
TRACKS: Final = [{"id": 1, "name": "One"}, {"id": 2, "name": "Two"}]
PAGINATION: Final = {"page": 1, "page_size": 100, "total_items": 2, "total_pages": 1}
PAGE: Final = json.dumps({"code": 0, "msg": "Success", "data": {"music": TRACKS, "pagination": PAGINATION}}).encode()


@attrs.define(eq=False)
class Connection:
    """Server side of one connection."""

    number: int
    """Number of the connection, from 0."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[bytes]

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(
        self, body: bytes = PAGE, *headers: str, status: str = "200 OK", length: int | None = None
    ) -> None:
        size = len(body) if length is None else length
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers]
        await self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def respond_normally(self) -> None:
        while True:
            await self.request()
            await self.response()

    async def stay_silent(self) -> None:
        """Send nothing until the client closes the connection."""
        await self.reader.read()

    def reset(self) -> None:
        """Close with RST instead of FIN: the kernel sends RST if the linger time is zero."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Behaviour = Callable[[Connection], Awaitable[None]]


class RawServer:
    """Server that runs `behaviour` on each connection and then closes it."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None) -> None:
        self.heads: list[bytes] = []
        self.accepted = 0
        self.url = ""
        self.port = 0
        self._behaviour = behaviour
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def close(self) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(Connection(self.accepted, reader, writer, self.heads)))
        self.accepted += 1
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._behaviour(connection)
        finally:
            connection.writer.close()
            with contextlib.suppress(OSError):
                await connection.writer.wait_closed()
