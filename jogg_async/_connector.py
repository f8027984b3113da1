"""Connections over aiohttp: opened before they are needed, and none left behind."""

from __future__ import annotations

import asyncio
import functools
import weakref
from typing import Any, Final

import aiohttp

_OPENING_DELAY: Final = 0.002
"""Seconds until connections are opened ahead: the request that asked first is on its way by then."""


class Connector(aiohttp.TCPConnector):
    """A connector that opens further connections as soon as a first request asks it for one.

    Not before: where a test tool answers in place of the network, no request ever gets here, and nothing is dialled.
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
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own)
    ) -> aiohttp.connector.Connection:
        self._wanted = max(0, self._wanted - 1)
        ahead, self.ahead = self.ahead, 0
        self._wanted += ahead
        for _ in range(ahead):
            task = asyncio.get_running_loop().create_task(self._open(req, timeout))
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)
        connection = await super().connect(req, traces, timeout)
        if req.is_ssl() and connection.transport is not None:
            self._secured.add(connection.transport)
        return connection

    @functools.cached_property
    def _secured(self) -> weakref.WeakSet[asyncio.Transport]:
        return weakref.WeakSet()

    async def cut_off(self) -> None:
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
            connection = await super().connect(req, [], patience)
        except Exception:  # noqa: BLE001 - what fails here fails again, and is reported, where a request needs it
            return
        connection.release()
