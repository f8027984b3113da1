"""Puts an answer on the wire, whole or as a fault wants it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .faults import Fault, Manner

if TYPE_CHECKING:
    from .answers import Answer

__all__ = ["deliver", "is_heard"]

_DRIP_PIECES: Final = 10
_SILENT: Final = frozenset({Manner.DROP, Manner.RESET, Manner.STALL})
_NO_LINGER: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


def is_heard(fault: Fault | None) -> bool:
    """Whether the client gets to see a status at all."""
    return fault is None or fault.manner not in _SILENT


async def deliver(request: web.BaseRequest, answer: Answer, fault: Fault | None) -> web.StreamResponse:
    """Send the answer, or what the fault leaves of it."""
    manner = Manner.WHOLE if fault is None else fault.manner
    if fault is None or manner is Manner.WHOLE:
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)
    if manner in _SILENT:
        if manner is Manner.STALL:
            await asyncio.sleep(fault.seconds)
        _hang_up(request, reset=manner is Manner.RESET)
        # Nothing of it goes out any more; aiohttp sees a client that left.
        return web.Response()
    return await _in_parts(request, answer, fault)


async def _in_parts(request: web.BaseRequest, answer: Answer, fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if fault.manner is Manner.TRUNCATE_CHUNKED:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(answer.body)
    # A client that leaves in the middle is nothing to log.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        if fault.manner is Manner.DRIP:
            await _drip(response, answer.body, fault.seconds)
        else:
            await response.write(answer.body[: len(answer.body) // 2])
            await asyncio.sleep(fault.seconds)
            _hang_up(request)
    return response


async def _drip(response: web.StreamResponse, body: bytes, seconds: float) -> None:
    step = -(-len(body) // _DRIP_PIECES) or 1
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds / _DRIP_PIECES)
        await response.write(body[start : start + step])


def _hang_up(request: web.BaseRequest, *, reset: bool = False) -> None:
    transport = request.transport
    if transport is None:
        return
    sock: socket.socket | None = transport.get_extra_info("socket")
    if reset and sock is not None:
        # Lingering for no time makes the kernel send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()
