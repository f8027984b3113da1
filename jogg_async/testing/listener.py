"""The listening socket and its connections: counted, and closed without waiting for anybody."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Listener"]


class Listener(web.Server):
    """An aiohttp server that counts its connections and can hang up on all of them at once.

    Args:
        handler: Answers one request. It is cancelled when its client leaves.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler, handler_cancellation=True, access_log=None)
        self.accepted: int = 0
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._socket: asyncio.Server | None = None

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._transports)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Called by aiohttp for each new connection."""
        self.accepted += 1
        self._transports[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp for each connection that ended, from whichever side."""
        self._transports.pop(handler, None)
        super().connection_lost(handler, exc)

    async def listen(self, host: str, port: int) -> int:
        """Open the socket and return its port, which the system picks if `port` is 0.

        Raises:
            OSError: The address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_server(self, host, port, backlog=1024)
        return int(self._socket.sockets[0].getsockname()[1])

    async def _stop_accepting(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        for listening in self._socket.sockets:
            with contextlib.suppress(NotImplementedError):  # not every loop has readers
                loop.remove_reader(listening)
        # What is being accepted in this very turn of the loop has to be there to be closed: asyncio loses a connection
        # whose server is closed meanwhile.
        for _ in range(3):
            await asyncio.sleep(0)
        self._socket.close()

    async def hang_up(self) -> None:
        """Close the socket and every connection now, cancel the handlers, and wait until they are gone."""
        await self._stop_accepting()
        for transport in list(self._transports.values()):
            transport.abort()
        # Handlers end within a few turns of the loop, unless a user's hook swallows its cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while self.connections or self._transports:  # noqa: ASYNC110 (aiohttp tells nobody that one is gone)
                    await asyncio.sleep(0)
