"""Initial corpus of each target, and the fuzzer's dictionary."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.api.random_bodies import JUNK, NAMES, Change, body

_WAITS: Final = (
    b"5",
    b"0",
    b"-1",
    b"1e3",
    b"9" * 400,
    b"Wed, 15 Nov 2023 06:13:20 GMT",
    b"15 Nov 2023 06:13:20 -9999",
    b"",
)
_CHECKPOINTS: Final[tuple[Any, ...]] = (
    {"page": 3, "place": 7, "page_size": 50, "filters": {"mood": "Calm"}},
    {"page": 1, "place": 0, "page_size": 100, "filters": {}},
    {"page": "1", "place": None, "page_size": 101, "filters": {"page": "1"}},
    [],
)


def seeds(target: str) -> Iterator[bytes]:
    """Yield the initial corpus of a target."""
    if target == "checkpoints":
        yield from (json.dumps(each).encode() for each in _CHECKPOINTS)
    elif target == "bodies":
        for first in (b"\x00", b"\x01"):
            yield from (first + each for each in _bodies())
    elif target == "pages":
        yield from (bytes((form, 0, 0, 0, form % 9, 3 * form, form % 3, form)) for form in range(64))
    else:
        yield from _responses()


def _bodies() -> Iterator[bytes]:
    for unknown in (False, True):
        yield body(0, [], unknown=unknown)
        yield body(2, [], unknown=unknown)
        for value in range(len(JUNK)):
            if len(JUNK[value]) < 500:
                yield body(1, [Change(0, 3 * value, value), Change(4, value, value)], unknown=unknown)


def _responses() -> Iterator[bytes]:
    page = body(1, [], unknown=True)
    raw = zlib.compressobj(wbits=-15)
    forms = {1: page, 2: gzip.compress(page, mtime=0), 4: zlib.compress(page), 6: page}
    yield b"\x00\x04\n\n" + raw.compress(page) + raw.flush()
    for status in range(16):
        for coding, form in forms.items():
            wait = _WAITS[(status + coding) % len(_WAITS)]
            yield bytes((status, coding)) + wait + b"\nTue, 14 Nov 2023 22:13:20 GMT\n" + form
    for code in (429, 50000, 10105, 1):
        response = {"code": code, "msg": "secret-key", "retryAfter": 1.5, "data": {"retryAfter": "7"}, "rid": "a" * 32}
        yield b"\x0c\x00\n\n" + json.dumps(response).encode()


def write(target: str, folder: Path) -> None:
    """Write the initial corpus to a folder, and the dictionary beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number}").write_bytes(seed)
    words = [word for word in (*NAMES, *JUNK, *_WAITS, b"retryAfter", b"filters", b"place") if 0 < len(word) < 60]
    folder.with_suffix(".words").write_text("".join(f'"{_escaped(word)}"\n' for word in words), encoding="ascii")


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
