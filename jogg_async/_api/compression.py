"""Decompression of response bodies (``Content-Encoding``), with a bound on their size."""

from __future__ import annotations

import zlib
from typing import Final

from jogg_async._api.redaction import short_repr
from jogg_async.errors import DecodeError, TransportError

MAX_BODY: Final = 32 * 1024 * 1024
"""The most bytes that a body may have once decompressed: a page of 100 tracks has about 15 KB."""

ACCEPT_ENCODING: Final = "gzip, deflate"

_SLICE: Final = 4096
"""Compressed bytes per call of zlib. At the end of a gzip member, zlib copies the rest of its input: if that were the
whole body, one with many members would take quadratic time."""

_GZIP: Final = 31
_WINDOW_BITS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": 15}


def decompress(coding: str, body: bytes, key: str = "") -> bytes:
    """Decompress a body to at most `MAX_BODY` bytes, so that a small body cannot fill the memory.

    Args:
        coding: the response's ``Content-Encoding``; empty for none.
        body: the compressed body.
        key: the API key, masked where an error quotes the coding.

    Raises:
        DecodeError: the coding was not requested, or the body is damaged or incomplete.
        TransportError: the body is larger than `MAX_BODY`.
    """
    name = coding.strip().lower()
    if not name or name == "identity":
        return body
    if name not in _WINDOW_BITS:
        raise DecodeError(f"the response has a Content-Encoding that was not requested: {short_repr(coding, key)}")
    bits = _WINDOW_BITS[name]
    if name == "deflate" and not _has_zlib_header(body):
        bits = -bits  # some servers send a raw stream under this name
    return _inflate(body, bits)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _inflate(body: bytes, bits: int) -> bytes:
    whole = bytearray()
    stream = zlib.decompressobj(bits)
    place = 0
    while place < len(body):
        if stream.eof:  # a gzip file may have several members, and zeros after the last one
            if bits == _GZIP and body[place] == 0 and not body[place:].strip(b"\0"):
                break
            stream = zlib.decompressobj(bits)
        slice_ = body[place : place + _SLICE]
        try:
            whole += stream.decompress(slice_, MAX_BODY + 1 - len(whole))
        except zlib.error as fault:
            raise DecodeError(f"the response's compressed body is damaged ({fault})") from None
        if len(whole) > MAX_BODY:
            raise too_large()
        place += len(slice_) - len(stream.unused_data)
    if not stream.eof:
        raise DecodeError("the response's compressed body is incomplete")
    return bytes(whole)


def too_large() -> TransportError:
    """Return the error for a body over `MAX_BODY`, which is not retried."""
    return TransportError(f"the response's body has more than {MAX_BODY // 2**20} MiB")
