"""Pages and errors that the server sends. Slow and failing requests are drawn by page and attempt."""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import blake2b
from typing import Final

TRACKS: Final = 100
"""Tracks on each page."""

RETRY_AFTER: Final = 1
"""Wait in seconds that every 429 response names."""

_SEED: Final = 7
"""Seed of the random choices: 49 of 1,049 requests fail at a share of 5 %, and 24 of 224 are refused at 10 %."""

_ID_BASE: Final = 1_000_000
"""The ids of a page begin with the digits of this number plus the page, so that all ids have the same length."""

FIRST_ID: Final = (_ID_BASE + 1) * TRACKS

_TITLES: Final = ("Morning Light", "Slow Harbour", "Paper Lanterns", "Neon Rain", "Open Fields")
_GENRES: Final = ("Ambient", "Corporate", "Jazz")
_MOODS: Final = ("Calm", "Energetic")


def _pieces(*, undocumented: bool) -> list[bytes]:
    tracks = ",".join(_record(place, undocumented=undocumented) for place in range(TRACKS))
    return f'{{"code":0,"msg":"Success","rid":"{"0f" * 16}","data":{{"music":[{tracks}],'.encode().split(b"@")


def _record(place: int, *, undocumented: bool) -> str:
    genre, mood = _GENRES[place % len(_GENRES)], _MOODS[place % len(_MOODS)]
    more = f',"genre":"{genre}","mood":"{mood}","bpm":{70 + place}' if undocumented else ""
    return (
        f'{{"id":@{place:02d},"name":"{_TITLES[place % len(_TITLES)]} No. {place}",'
        f'"music_url":"https://music.example/background/@{place:02d}/audio.mp3","duration":{60 + place}{more}}}'
    )


_DOCUMENTED: Final = _pieces(undocumented=False)
_UNDOCUMENTED: Final = _pieces(undocumented=True)


def render(page: int, pages: int, *, undocumented: bool = False) -> bytes:
    """Return the response for a page, assembled from parts that were rendered at import."""
    return _response(b"200 OK", _body(page, pages, undocumented=undocumented))


@cache
def render_gzipped(page: int, pages: int) -> bytes:
    """Return the response for a page, compressed with gzip. It is cached, because compression takes longest."""
    return _response(b"200 OK", gzip.compress(_body(page, pages), mtime=0), b"Content-Encoding: gzip\r\n")


def _body(page: int, pages: int, *, undocumented: bool = False) -> bytes:
    return b'%b"pagination":{"page":%d,"page_size":%d,"total_items":%d,"total_pages":%d}}}' % (
        (b"%d" % (_ID_BASE + page)).join(_UNDOCUMENTED if undocumented else _DOCUMENTED),
        page,
        TRACKS,
        pages * TRACKS,
        pages,
    )


def refusal() -> bytes:
    """Return the response of a rate limit."""
    return _response(
        b"429 Too Many Requests", _error(429, "Rate limit exceeded."), b"Retry-After: %d\r\n" % RETRY_AFTER
    )


def system_error(page: int, attempt: int) -> bytes:
    """Return a system error, half of them with HTTP 200, as the service's reference allows."""
    status = b"200 OK" if _draw(f"status {page} {attempt}") < 0.5 else b"500 Internal Server Error"
    return _response(status, _error(50000, "System error."))


def is_slow(page: int, share: float) -> bool:
    """Return True if this page is slow."""
    return _draw(f"slow {page}") < share


def is_failed(page: int, attempt: int, share: float) -> bool:
    """Return True if this attempt (from 1) at a page meets a system error."""
    return _draw(f"fault {page} {attempt}") < share


def is_refused(page: int, attempt: int, share: float) -> bool:
    """Return True if this attempt (from 1) at a page is refused at random."""
    return _draw(f"refusal {page} {attempt}") < share


def _draw(name: str) -> float:
    # Not CRC-32: names that differ in one character get draws that depend on each other.
    return int.from_bytes(blake2b(f"{_SEED} {name}".encode(), digest_size=4).digest()) / 2**32


def _error(code: int, msg: str) -> bytes:
    return b'{"code":%d,"msg":"%b","data":null,"rid":"%b"}' % (code, msg.encode(), b"0f" * 16)


def _response(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, headers, len(body)) + body
