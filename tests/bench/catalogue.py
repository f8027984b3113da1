"""What the server serves, and which of its answers are slow or fail: the same for every client, known to the theory."""

from __future__ import annotations

import zlib
from typing import Final

TRACKS: Final = 100
"""Tracks on a page: every page is full."""

_LEAD: Final = 1_000_000
"""Page 1's ids begin with the digits of this plus one: so all ids are equally long, and follow each other."""

FIRST_ID: Final = (_LEAD + 1) * TRACKS

_TITLES: Final = ("Morning Light", "Slow Harbour", "Paper Lanterns", "Neon Rain", "Open Fields")


def _pieces() -> list[bytes]:
    tracks = ",".join(
        f'{{"id":@{place:02d},"name":"{_TITLES[place % len(_TITLES)]} No. {place}",'
        f'"music_url":"https://music.example/background/@{place:02d}/audio.mp3","duration":{60 + place}}}'
        for place in range(TRACKS)
    )
    return f'{{"code":0,"msg":"Success","rid":"{"0f" * 16}","data":{{"music":[{tracks}],'.encode().split(b"@")


_PIECES: Final = _pieces()


def render(page: int, pages: int) -> bytes:
    """The whole answer for a page, put together from pieces that were rendered before."""
    body = b'%b"pagination":{"page":%d,"page_size":%d,"total_items":%d,"total_pages":%d}}}' % (
        (b"%d" % (_LEAD + page)).join(_PIECES),
        page,
        TRACKS,
        pages * TRACKS,
        pages,
    )
    return _answer(b"200 OK", body)


def refusal() -> bytes:
    return _answer(b"429 Too Many Requests", _error(429, "Rate limit exceeded."), b"Retry-After: 1\r\n")


def system_error() -> bytes:
    return _answer(b"500 Internal Server Error", _error(50000, "System error."))


def is_slow(page: int, share: float) -> bool:
    """Whether this page is one of the slow ones."""
    return _draw(f"slow {page}") < share


def fails(page: int, attempt: int, share: float) -> bool:
    """Whether this attempt, from 1, at a page meets a system error."""
    return _draw(f"fault {page} {attempt}") < share


def _draw(name: str) -> float:
    return zlib.crc32(name.encode()) / 2**32


def _error(code: int, msg: str) -> bytes:
    return b'{"code":%d,"msg":"%b","data":null,"rid":"%b"}' % (code, msg.encode(), b"0f" * 16)


def _answer(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body
