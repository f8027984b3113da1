"""Connections over aiohttp: opened before they are needed, checked before they are used again, and none left behind.

Beside aiohttp's documented names this relies on two others: that a session gets its connections from
`BaseConnector.connect`, and on the methods of `aiohttp.tracing.Trace`. `tests/network/test_connections.py` and
`test_pool.py` fail where aiohttp changes them.
"""

from __future__ import annotations

import asyncio
import functools
import select
import sys
import weakref
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self, cast

import aiohttp
from aiohttp.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler

    from jogg_async._http.timeouts import TimeoutScope

_AHEAD: Final = 3
"""Connections opened beside that of the first request: with it, four."""

_OPENING_DELAY: Final = 0.002
"""Seconds until connections are opened ahead: the request that asked first is on its way by then."""

_TURNS: Final = 3
"""Turns of the loop after which it has read what lay in a socket, and TLS has unpacked it."""


class Connector(aiohttp.TCPConnector):
    """A connector that opens further connections as soon as a first request asks it for one.

    Not before: where a test tool responses in place of the network, no request ever gets here, and nothing is dialled.
    """

    ahead = 0
    """How many connections to open beside the next one that is asked for."""

    _wanted = 0
    """How many of them are not being opened yet: a request that asks for a connection meanwhile opens it itself."""

    @functools.cached_property
    def opening(self) -> set[asyncio.Task[None]]:
        """The connections that are being opened."""
        return set()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own)
    ) -> aiohttp.connector.Connection:
        self._wanted = max(0, self._wanted - 1)
        if self.ahead:
            self._start_opening(req, timeout)
        connection = await self._usable(req, traces, timeout)
        if req.is_ssl() and connection.transport is not None:
            self._secured.add(connection.transport)
        return connection

    def _start_opening(self, req: aiohttp.ClientRequest, patience: aiohttp.ClientTimeout) -> None:
        ahead, self.ahead = min(self.ahead, _AHEAD - len(self.opening)), 0
        for _ in range(ahead):
            self._wanted += 1
            task = asyncio.get_running_loop().create_task(self._open(req, patience))
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def _usable(
        self, req: aiohttp.ClientRequest, traces: list[Trace], patience: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection that is new, or on which nothing arrived while it was idle."""
        while True:
            connection = await super().connect(req, traces, patience)
            transport, handler = connection.transport, connection.protocol
            if transport is None or handler is None:
                return connection  # lost already; who sends is told
            idle = transport.get_protocol()
            if not isinstance(idle, _Idle):
                idle = _Idle(handler, transport)
                break
            if await _is_silent(connection):
                idle.leave()
                break
            connection.close()
        connection.add_callback(idle.enter)
        return connection

    @functools.cached_property
    def _secured(self) -> weakref.WeakSet[asyncio.Transport]:
        return weakref.WeakSet()

    async def abort_tls(self) -> None:
        """After `close`: wait no longer for the other side's good-bye where it ended a TLS connection itself.

        The connector forgets such a connection at once, though its socket stays open until that good-bye comes.
        """
        for transport in tuple(self._secured):
            transport.abort()
        if self._secured:
            await asyncio.sleep(0)  # the loop closes their sockets in its next turn

    def stop_opening(self) -> tuple[asyncio.Task[None], ...]:
        """Give up what is being opened ahead; returns the tasks that end with it."""
        self.ahead = self._wanted = 0
        opening = tuple(self.opening)
        for task in opening:
            task.cancel()
        return opening

    async def _open(self, req: aiohttp.ClientRequest, patience: aiohttp.ClientTimeout) -> None:
        try:
            await asyncio.sleep(_OPENING_DELAY)
            if self._wanted <= 0:
                return
            self._wanted -= 1
            connection = await self._usable(req, [], patience)
        except Exception:  # noqa: BLE001 - what fails here fails again, and is reported, where a request needs it
            return
        connection.release()


class _Idle(asyncio.Protocol):
    """Protocol of a connection that waits in our pool: whatever arrives ends the connection."""

    def __init__(self, handler: ResponseHandler, transport: asyncio.Transport) -> None:
        self._handler = handler
        self._transport = transport

    def enter(self) -> None:
        """Take the place of aiohttp's protocol."""
        self._transport.set_protocol(self)

    def leave(self) -> None:
        """Give aiohttp's protocol its place back."""
        self._transport.set_protocol(self._handler)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)


class SharedConnector:
    """A caller's connector, with which our session shares connections: neither changed nor closed.

    It passes over kept connections on which bytes arrived while they were idle. Those of a part of a response that the
    caller's event loop read cannot be seen from here.
    """

    def __init__(self, connector: aiohttp.BaseConnector) -> None:
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own)
    ) -> aiohttp.connector.Connection:
        while True:
            steps = _Steps(_pool_wait.get(None))
            connection = await self._connector.connect(req, [*traces, steps], timeout)
            if not steps.reused or await _is_silent(connection):
                return connection
            connection.close()


class PoolWait:
    """Wait of one attempt for a connection of a caller's pool: its clock stands, and it does not count as sent yet.

    Args:
        attempt: the attempt's timeout.
        on_sent: called once, when the attempt gets a connection or begins to open one, or ends without a pool: where a
            test tool responses in place of the network.
    """

    def __init__(self, attempt: TimeoutScope, on_sent: Callable[[], None]) -> None:
        self._attempt = attempt
        self._on_sent = on_sent
        self._queued = self._sent = False

    def queue(self) -> None:
        """Note that the attempt waits for others to give a connection back."""
        self._queued = True
        self._attempt.pause()

    def end(self) -> None:
        """Note that it waits no longer."""
        if self._queued:
            self._queued = False
            self._attempt.restart()
        if not self._sent:
            self._sent = True
            self._on_sent()

    def __enter__(self) -> Self:
        self._token = _pool_wait.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _pool_wait.reset(self._token)
        if not self._queued:
            self.end()


_pool_wait: Final[ContextVar[PoolWait]] = ContextVar("pool_wait")


class _Steps(Trace):
    """Steps by which a request gets its connection from a caller's pool."""

    reused = False

    def __init__(self, wait: PoolWait | None) -> None:
        super().__init__(cast("aiohttp.ClientSession", None), _NO_SIGNALS, SimpleNamespace())
        self._wait = wait

    async def send_connection_queued_start(self) -> None:
        if self._wait is not None:
            self._wait.queue()

    async def send_connection_create_start(self) -> None:
        if self._wait is not None:
            self._wait.end()

    async def send_connection_reuseconn(self) -> None:
        self.reused = True
        if self._wait is not None:
            self._wait.end()


_NO_SIGNALS: Final = aiohttp.TraceConfig()
_NO_SIGNALS.freeze()


async def _is_silent(connection: aiohttp.connector.Connection) -> bool:
    """Return whether nothing arrived on a kept connection, not even into its socket."""
    transport = connection.transport
    try:
        if transport is not None and _is_readable(transport):
            if transport.get_extra_info("sslcontext") is None:
                return False
            for _ in range(_TURNS):  # it may be a session ticket, which is no response
                await asyncio.sleep(0)
    except BaseException:
        connection.close()
        raise
    protocol = connection.protocol
    return protocol is not None and protocol.is_connected() and not protocol.should_close


def _is_readable(transport: asyncio.Transport) -> bool:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return False
    if sys.platform == "win32":
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
