"""HTTP server of a fake: sending responses and faults, the listening socket, the thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from aiohttp import web

from ._faults import Fault, Manner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._endpoint import FakeResponse

__all__ = ["Listener", "ServerThread", "send"]

_DRIP_PARTS: Final = 10
_LINGER_0_SECONDS: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


async def send(request: web.BaseRequest, response: FakeResponse, fault: Fault | None) -> web.StreamResponse:
    """Send a response in the way that the fault sets."""
    manner = Manner.WHOLE if fault is None else fault.manner
    if fault is None or manner is Manner.WHOLE:
        return web.Response(body=response.body, status=response.status, headers=response.headers)
    if manner.sends_nothing:
        if manner is Manner.STALL:
            await asyncio.sleep(fault.seconds)
        _close_connection(request, reset=manner is Manner.RESET)
        # aiohttp does not send it, since the connection is closed.
        return web.Response()
    return await _send_in_parts(request, response, fault)


async def _send_in_parts(request: web.BaseRequest, response: FakeResponse, fault: Fault) -> web.StreamResponse:
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    if fault.manner is Manner.TRUNCATE_CHUNKED:
        stream.enable_chunked_encoding()
    else:
        stream.content_length = len(response.body)
    # A client may leave at any time; that is no error of the fake.
    with contextlib.suppress(ConnectionError):
        await stream.prepare(request)
        if fault.manner is Manner.DRIP:
            await _drip(stream, response.body, fault.seconds)
        else:
            await stream.write(response.body[: len(response.body) // 2])
            await asyncio.sleep(fault.seconds)
            _close_connection(request)
    return stream


async def _drip(stream: web.StreamResponse, body: bytes, seconds: float) -> None:
    step = -(-len(body) // _DRIP_PARTS) or 1
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds / _DRIP_PARTS)
        await stream.write(body[start : start + step])


def _close_connection(request: web.BaseRequest, *, reset: bool = False) -> None:
    transport = request.transport
    if transport is None:
        return
    sock: socket.socket | None = transport.get_extra_info("socket")
    if reset and sock is not None:
        # With a linger time of 0 the kernel sends RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_SECONDS)
        transport.abort()
    else:
        transport.close()


class Listener(web.Server):
    """aiohttp server that can close all its connections at once.

    Args:
        handler: Responds to one request; cancelled when its client leaves.
        on_connection: Called for each new connection.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        on_connection: Callable[[], None],
    ) -> None:
        super().__init__(handler, handler_cancellation=True, access_log=None)
        self._on_connection = on_connection
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._server: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        """Number of open connections."""
        return len(self._transports)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Register a new connection; called by aiohttp."""
        self._on_connection()
        self._transports[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Unregister a connection that either side closed; called by aiohttp."""
        self._transports.pop(handler, None)
        super().connection_lost(handler, exc)

    async def listen(self, host: str, port: int) -> int:
        """Open the socket and return its port; for `port=0` the system chooses one.

        Raises:
            OSError: The address is in use, or does not belong to this machine.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self, host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop_accepting(self) -> None:
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets:
            with contextlib.suppress(NotImplementedError):  # Windows' proactor loop has no readers
                loop.remove_reader(listening)
        # Let connections that are being accepted in this iteration of the loop be registered: asyncio would lose them
        # if the server closed meanwhile.
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()

    async def close_all(self) -> None:
        """Close the socket and every connection now, cancel the handlers, and wait until they have ended."""
        await self._stop_accepting()
        for transport in list(self._transports.values()):
            transport.abort()
        # Handlers end within a few iterations of the loop, unless `on_request` suppresses its cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while self.connections or self._transports:  # noqa: ASYNC110 (aiohttp has no event for it)
                    await asyncio.sleep(0)


class ServerThread:
    """Thread whose event loop runs `start`, serves until `stop` is called, then runs `close`.

    Args:
        start: Awaited in the new loop before the constructor returns; the constructor raises its exception.
        close: Awaited in the same loop by `stop`.
    """

    def __init__(self, start: Callable[[], Awaitable[object]], close: Callable[[], Awaitable[object]]) -> None:
        self._start = start
        self._close = close
        # What the thread stores is read after `_ready` was set or the thread was joined: no lock is needed.
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        # A daemon, so that a test run that is aborted does not wait for it.
        self._thread = threading.Thread(target=self._run, name="FakeJogg", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._raise_error()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self._start()
        self._ready.set()
        await self._stopping.wait()
        await self._close()

    def stop(self) -> None:
        """Close the server in its thread, and wait for the thread to end. Raise the exception of `close`, if any."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
