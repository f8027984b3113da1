"""Malicious, malformed and unusual bodies."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from jogg_async import DecodeError, JoggError, JoggSession, ParameterError, ServerError, TransportError
from jogg_async.testing import Fault

from .conftest import Serve
from .raw import AT_ONCE, PAGE, Connection

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

MIB: Final = 2**20
CAP: Final = 32 * MIB
SessionFor = Callable[..., Awaitable[JoggSession]]


def padded(size: int) -> bytes:
    return PAGE + b" " * (size - len(PAGE))


def compressed(data: bytes, bits: int) -> bytes:
    stream = zlib.compressobj(1, wbits=bits)
    return stream.compress(data) + stream.flush()


@pytest.fixture
async def session_for(make_fake: MakeFake, make_session: MakeSession) -> Callable[..., Awaitable[JoggSession]]:
    """Create a session whose service always sends the same response."""

    async def make(body: bytes, *, status: int = 200, content_type: str = "application/json", **headers: str) -> Any:
        fake = await make_fake(5)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        fake.fail(Fault.raw(body, status=status, headers=named, content_type=content_type), times=None)
        return make_session(fake)

    return make


async def failure(jogg: JoggSession, kind: type[JoggError], attempts: int = 1) -> Any:
    with pytest.raises(kind) as caught:
        await jogg.page(3)
    error = caught.value
    assert type(error) is kind
    assert (error.page, error.attempts) == (3, attempts)
    assert len(str(error)) < 1000
    return error


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_decompression_bomb_is_not_unpacked(session_for: SessionFor, coding: str) -> None:
    bomb = compressed(padded(6 * CAP), 31 if coding == "gzip" else 15)
    jogg = await session_for(bomb, Content_Encoding=coding)
    tracemalloc.start()
    error = await failure(jogg, TransportError)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "than 32 MiB" in str(error)
    assert peak < 3 * CAP


@pytest.mark.parametrize("chunk", [b"10000\r\n" + b" " * 65536 + b"\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"])
async def test_reading_of_an_endless_body_stops_at_32_mib(serve: Serve, chunk: bytes) -> None:
    sent = 0

    async def endless(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.send(chunk * 16)
            sent += len(chunk) * 16

    server = await serve(endless)
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE) as jogg:
        error = await failure(jogg, TransportError)
    assert "than 32 MiB" in str(error)
    assert CAP < sent < CAP + 16 * MIB
    assert server.accepted == 1


@pytest.mark.parametrize(("size", "fits"), [(CAP, True), (CAP + 1, False)])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_bodies_up_to_exactly_32_mib_are_accepted(
    session_for: SessionFor, coding: str, size: int, fits: bool
) -> None:
    body = padded(size)
    jogg = await session_for(gzip.compress(body, 1) if coding == "gzip" else body, Content_Encoding=coding)
    if fits:
        assert len((await jogg.page(3)).tracks) == 2
    else:
        await failure(jogg, TransportError)


async def test_many_empty_gzip_members_take_little_time(session_for: SessionFor) -> None:
    jogg = await session_for(
        gzip.compress(b"", mtime=0) * 60_000 + gzip.compress(PAGE, mtime=0), Content_Encoding="gzip"
    )
    began = time.process_time()
    with contextlib.suppress(JoggError):
        await jogg.page()
    assert time.process_time() - began < 0.4  # 1.2 MB; the cap lets 32 MiB in


CODINGS: Final[dict[str, tuple[bytes, str]]] = {
    "gzip": (gzip.compress(PAGE, mtime=0), "gzip"),
    "gzip in two members": (gzip.compress(PAGE[:9], mtime=0) + gzip.compress(PAGE[9:], mtime=0), "gzip"),
    "x-gzip": (gzip.compress(PAGE, mtime=0), "x-gzip"),
    "GZIP": (gzip.compress(PAGE, mtime=0), "GZIP"),
    "deflate": (zlib.compress(PAGE), "deflate"),
    "deflate without its header": (compressed(PAGE, -15), "deflate"),
    "identity": (PAGE, "identity"),
    "none": (PAGE, ""),
}


@pytest.mark.parametrize(("body", "coding"), CODINGS.values(), ids=CODINGS)
async def test_compressed_body_is_decompressed(session_for: SessionFor, body: bytes, coding: str) -> None:
    jogg = await session_for(body, Content_Encoding=coding)
    assert [track.id for track in (await jogg.page()).tracks] == [1, 2]


DAMAGED: Final[dict[str, tuple[bytes, str]]] = {
    "br": (b"\x0b\x02\x80{}\x03", "br"),
    "zstd": (b"(\xb5/\xfd \x02\x11\x00\x00{}", "zstd"),
    "twice": (gzip.compress(gzip.compress(PAGE, mtime=0)), "gzip, gzip"),
    "unknown": (PAGE, "x" * 5000),
    "not gzip": (PAGE, "gzip"),
    "gzip cut short": (gzip.compress(PAGE, mtime=0)[:-9], "gzip"),
    "gzip with a tail": (gzip.compress(PAGE, mtime=0) + b"tail", "gzip"),
    "gzip with a wrong sum": (gzip.compress(PAGE, mtime=0)[:-8] + b"\0" * 8, "gzip"),
    "empty gzip": (b"", "gzip"),
    "gzip twice over": (gzip.compress(gzip.compress(PAGE, mtime=0)), "gzip"),
}


@pytest.mark.parametrize(("body", "coding"), DAMAGED.values(), ids=DAMAGED)
async def test_damaged_or_unrequested_compression_is_a_decode_error(
    session_for: SessionFor, body: bytes, coding: str
) -> None:
    await failure(await session_for(body, Content_Encoding=coding), DecodeError)


@pytest.mark.parametrize(("body", "coding"), DAMAGED.values(), ids=DAMAGED)
async def test_error_status_determines_the_error_even_if_the_body_is_damaged(
    session_for: SessionFor, body: bytes, coding: str
) -> None:
    await failure(await session_for(body, status=422, Content_Encoding=coding), ParameterError)
    await failure(await session_for(body, status=503, Content_Encoding=coding), ServerError, attempts=3)


def data(text: str) -> bytes:
    return f'{{"code": 0, "msg": "", "data": {text}}}'.encode()


def track(text: str) -> bytes:
    return data(f'{{"music": [{{"id": 1, "x": {text}}}]}}')


NONSENSE: Final[dict[str, bytes]] = {
    "empty": b"",
    "white space": b" \r\n\t",
    "cut short": PAGE[:-1],
    "two values": PAGE + PAGE,
    "invalid UTF-8": PAGE.replace(b"One", b"\xff\xfe"),
    "overlong UTF-8": PAGE.replace(b"One", b"\xc0\x80"),
    "a surrogate in UTF-8": PAGE.replace(b"One", b"\xed\xa0\x80"),
    "a lone surrogate": PAGE.replace(b"One", b"\\ud800x"),
    "a surrogate the wrong way round": PAGE.replace(b"One", b"\\udc00\\ud800"),
    "UTF-16": PAGE.decode().encode("utf-16"),
    "a raw line break in a text": PAGE.replace(b"One", b"O\nne"),
    "NaN": track("NaN"),
    "infinity": track("-Infinity"),
    "a leading zero": track("012"),
    "a trailing comma": data('{"music": [],}'),
    "single quotes": b"{'code': 0}",
    "a comment": b"/* */" + PAGE,
    "100,000 lists": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"data":' * 100_000 + b"0" + b"}" * 100_000,
    "100,000 lists that never close": b"[" * 100_000,
    "100,000 lists in a track": track("[" * 100_000 + "]" * 100_000),
    "an integer of 400 digits": track("1" + "0" * 400),
    "an integer of 65 bits": track(str(2**64)),
    "a real of 400 digits as id": data(f'{{"music": [{{"id": 1{"0" * 400}.5}}]}}'),
    "an id of 400 digits": data(f'{{"music": [{{"id": 1{"0" * 400}}}]}}'),
    "null": b"null",
    "a number": b"0",
    "a list": b"[]",
    "an empty object": b"{}",
    "code null": b'{"code": null, "data": {}}',
    "code true": b'{"code": true, "data": {}}',
    "code false": b'{"code": false, "data": {}}',
    "code in a text": b'{"code": "0", "data": {}}',
    "data null": data("null"),
    "data absent": b'{"code": 0, "msg": ""}',
    "data a list": data("[]"),
    "music an object": data('{"music": {}}'),
    "a track null": data('{"music": [null]}'),
    "an id null": data('{"music": [{"id": null}]}'),
    "a track without id": data('{"music": [{}]}'),
    "pagination a list": data('{"music": [], "pagination": []}'),
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
async def test_malformed_body_is_a_decode_error_without_retry(session_for: SessionFor, body: bytes) -> None:
    await failure(await session_for(body), DecodeError)


async def test_code_of_400_digits_is_a_decode_error(session_for: SessionFor) -> None:
    await failure(await session_for(f'{{"code": 1{"0" * 400}}}'.encode()), DecodeError)


@pytest.mark.parametrize("status", [201, 204, 205])
async def test_empty_body_with_a_2xx_status_is_a_decode_error(session_for: SessionFor, status: int) -> None:
    await failure(await session_for(b"", status=status), DecodeError)


ODD: Final[dict[str, bytes]] = {
    "nothing but data": b'{"code": 0, "data": {}}',
    "null wherever it may be": data('{"music": null, "pagination": null}'),
    "no total": data('{"music": [], "pagination": {"page": null, "total_items": null}}'),
    "msg and rid null": b'{"code": 0, "msg": null, "rid": null, "data": {}}',
    "code a real": b'{"code": 0.0, "data": {}}',
    "unknown fields": b'{"code": 0, "data": {"x": [1]}, "y": {"z": null}}',
    "a duplicate key: the last one counts": b'{"code": 7, "data": null, "code": 0, "data": {}}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_unusual_but_valid_envelopes_are_pages_without_tracks(session_for: SessionFor, body: bytes) -> None:
    page = await (await session_for(body)).page()
    assert page.tracks == ()
    assert page.pagination.total_items is None


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain; charset=latin-1", "application/json; charset=utf-16", "x", "\t"]
)
async def test_content_type_is_ignored(session_for: SessionFor, content_type: str) -> None:
    text = PAGE.decode().replace("One", "Ünï ☃ 𝄞")
    page = await (await session_for(text.encode(), content_type=content_type)).page()
    assert page.tracks[0].name == "Ünï ☃ 𝄞"


async def test_escapes_and_nulls_of_a_track_are_kept(session_for: SessionFor) -> None:
    row: dict[str, Any] = {
        "id": 1,
        "name": None,
        "music_url": None,
        "duration": None,
        "mood": "\0\u2028\U0001d11e",
        "deep": [[{}]],
    }
    body = json.dumps({"code": 0, "data": {"music": [row]}})
    (found,) = (await (await session_for(body.encode())).page()).tracks
    assert (found.name, found.music_url, found.duration) == (None, None, None)
    assert found.extra["mood"] == "\0\u2028\U0001d11e"
    assert found.extra["deep"] == [[{}]]


async def test_byte_order_mark_is_a_decode_error(session_for: SessionFor) -> None:
    # RFC 8259 lets a reader refuse it; a clear error either way.
    await failure(await session_for(b"\xef\xbb\xbf" + PAGE), DecodeError)
