"""Connections over aiohttp: opened in advance, checked before reuse, all closed at the end.

This relies on two undocumented parts of aiohttp: a session gets its connections from `BaseConnector.connect`, and
`aiohttp.tracing.Trace` has the methods overridden below. `tests/http/test_connections.py` and `test_caller_pool.py`
fail if aiohttp changes them.
"""

from __future__ import annotations

import asyncio
import functools
import select
import sys
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self, cast

import aiohttp
from aiohttp.tracing import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler

    from jogg_async._http.timeouts import TimeoutScope

_MAX_PRECONNECT: Final = 3
"""Most connections that are being opened in advance at once: four with the connection of the first request."""

_PRECONNECT_DELAY: Final = 0.002
"""Seconds before connections are opened in advance, so that the first request is sent before them."""

_READ_ITERATIONS: Final = 3
"""Iterations of the event loop after which bytes in a socket are read and decrypted."""


class Connector(aiohttp.TCPConnector):
    """Connector that opens further connections in advance, as soon as a request needs a connection.

    They are opened within `connect`, which a test tool that replaces the network never calls: it then opens none.
    """

    preconnect = 0
    """Number of connections to open in advance when the next request needs one."""

    _not_started = 0
    """Number of preconnects that still wait for `_PRECONNECT_DELAY`. For each request that calls `connect` in the
    meantime, one of them is given up."""

    @functools.cached_property
    def _preconnects(self) -> set[asyncio.Task[None]]:
        return set()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own)
    ) -> aiohttp.connector.Connection:
        self._not_started = max(0, self._not_started - 1)
        if self.preconnect:
            self._start_preconnects(req, timeout)
        return await self._get_connection(req, traces, timeout)

    def _start_preconnects(self, req: aiohttp.ClientRequest, timeouts: aiohttp.ClientTimeout) -> None:
        count, self.preconnect = min(self.preconnect, _MAX_PRECONNECT - len(self._preconnects)), 0
        for _ in range(count):
            self._not_started += 1
            task = asyncio.get_running_loop().create_task(self._open_in_advance(req, timeouts))
            self._preconnects.add(task)
            task.add_done_callback(self._preconnects.discard)

    async def _get_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeouts: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """Return a connection that is new, or that received nothing while it was idle."""
        while True:
            connection = await super().connect(req, traces, timeouts)
            transport, handler = connection.transport, connection.protocol
            if transport is None or handler is None:
                return connection  # closed already; sending over it raises
            idle = transport.get_protocol()
            if not isinstance(idle, _IdleProtocol):
                idle = _IdleProtocol(handler, transport)
                if req.is_ssl():
                    self._register_tls(handler, transport)
                break
            if await _received_nothing(connection):
                idle.remove()
                break
            connection.close()
        connection.add_callback(idle.install)
        return connection

    @functools.cached_property
    def _tls_transports(self) -> set[asyncio.Transport]:
        return set()

    def _register_tls(self, handler: ResponseHandler, transport: asyncio.Transport) -> None:
        """Keep an open TLS connection for `abort_tls`."""

        def forget(closed: asyncio.Future[None]) -> None:
            self._tls_transports.discard(transport)
            if not closed.cancelled():
                closed.exception()  # mark the error as retrieved: the request that failed reports it

        if (closed := handler.closed) is not None:
            self._tls_transports.add(transport)
            closed.add_done_callback(forget)

    async def abort_tls(self) -> None:
        """After `close`, abort the TLS connections that still wait for the server's closing message.

        aiohttp's connector forgets such a connection at once, but its socket stays open until the message comes.
        """
        for transport in tuple(self._tls_transports):
            transport.abort()
        if self._tls_transports:
            await asyncio.sleep(0)  # the loop closes their sockets in its next iteration

    def stop_preconnects(self) -> tuple[asyncio.Task[None], ...]:
        """Cancel the connections being opened in advance; return their tasks, to be awaited."""
        self.preconnect = self._not_started = 0
        tasks = tuple(self._preconnects)
        for task in tasks:
            task.cancel()
        return tasks

    async def _open_in_advance(self, req: aiohttp.ClientRequest, timeouts: aiohttp.ClientTimeout) -> None:
        try:
            await asyncio.sleep(_PRECONNECT_DELAY)
            if self._not_started <= 0:
                return
            self._not_started -= 1
            connection = await self._get_connection(req, [], timeouts)
        except Exception:  # noqa: BLE001 - the request that needs the connection meets and reports the same failure
            return
        connection.release()


class _IdleProtocol(asyncio.Protocol):
    """Protocol of a pooled idle connection, which aborts it when anything arrives."""

    def __init__(self, handler: ResponseHandler, transport: asyncio.Transport) -> None:
        self._handler = handler
        self._transport = transport

    def install(self) -> None:
        """Replace aiohttp's protocol by this one."""
        self._transport.set_protocol(self)

    def remove(self) -> None:
        """Restore aiohttp's protocol."""
        self._transport.set_protocol(self._handler)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)


class SharedConnector:
    """Wrapper of a caller's connector, which our session uses but neither changes nor closes.

    It skips pooled connections on which bytes arrived while they were idle. Part of a response that the event loop has
    already read into aiohttp's parser cannot be noticed here.
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
            trace = _PoolTrace(_pool_wait.get(None))
            connection = await self._connector.connect(req, [*traces, trace], timeout)
            if not trace.reused or await _received_nothing(connection):
                return connection
            connection.close()


class PoolWait:
    """Wait of one attempt for a connection of a caller's pool. Meanwhile, the attempt's timeout is paused.

    Args:
        timeout: timeout of the attempt.
        on_sent: called once, when the attempt gets a connection or begins to open one. Also called at the end of an
            attempt that did neither and did not wait, for example if a test tool replaces the network.
    """

    def __init__(self, timeout: TimeoutScope, on_sent: Callable[[], None]) -> None:
        self._timeout = timeout
        self._on_sent = on_sent
        self._queued = self._sent = False

    def queue(self) -> None:
        """Record that the attempt begins to wait for a connection."""
        self._queued = True
        self._timeout.pause()

    def end(self) -> None:
        """Record that the attempt has a connection, or opens one."""
        if self._queued:
            self._queued = False
            self._timeout.restart()
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


class _PoolTrace(Trace):
    """Trace of how a request gets its connection from a caller's pool."""

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


async def _received_nothing(connection: aiohttp.connector.Connection) -> bool:
    """Return whether no byte arrived on a pooled connection, not even one unread in its socket."""
    transport = connection.transport
    try:
        if transport is not None and _is_readable(transport):
            if transport.get_extra_info("sslcontext") is None:
                return False
            for _ in range(_READ_ITERATIONS):  # the bytes may be a TLS session ticket, not a response
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
