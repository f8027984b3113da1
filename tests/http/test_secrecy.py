from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from jogg_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    InsufficientCreditError,
    JoggSession,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)
from jogg_async.testing import Fault

from .conftest import Serve
from .leaks import caught, leaks, leaks_in_log
from .raw import AT_ONCE, PAGE, Connection

if TYPE_CHECKING:
    from tests.conftest import MakeFake

KEY: Final = "canary-7f3a9c51e8d24b60-key"


pytestmark = pytest.mark.usefixtures("debug_loop")


def in_place(change: Callable[[dict[str, Any]], object]) -> Fault:
    def patch(envelope: dict[str, Any]) -> None:
        change(envelope)

    return Fault.patch(patch)


ECHOES: Final[dict[str, tuple[Fault, type[Exception]]]] = {
    "code 10105": (Fault.business(10105, KEY, rid=KEY), AuthenticationError),
    "code 18025": (Fault.business(18025, KEY, rid=KEY), PermissionDeniedError),
    "code 18020": (Fault.business(18020, KEY, rid=KEY), InsufficientCreditError),
    "code 10104": (Fault.business(10104, KEY, rid=KEY), NotFoundError),
    "code 40000": (Fault.business(40000, f"no such key: {KEY}!", rid=KEY), ParameterError),
    "unknown code": (Fault.business(77, KEY, rid=KEY, http_status=418), APIError),
    "redirect": (Fault.redirect(f"http://127.0.0.1:1/?key={KEY}"), APIError),
    "html": (Fault.html(403, f"<p>{KEY}</p>"), PermissionDeniedError),
    "not JSON": (Fault.raw(f"key {KEY}".encode()), DecodeError),
    "no envelope": (Fault.raw(f'["{KEY}"]'.encode()), DecodeError),
    "code is a text": (Fault.raw(f'{{"code": "{KEY}"}}'.encode()), DecodeError),
    "data is a text": (in_place(lambda envelope: envelope.update(data=KEY)), DecodeError),
    "msg is a list": (in_place(lambda envelope: envelope.update(msg=[KEY])), DecodeError),
    "rid is a list": (in_place(lambda envelope: envelope.update(rid=[KEY])), DecodeError),
    "music is a text": (in_place(lambda envelope: envelope["data"].update(music=KEY)), DecodeError),
    "pagination": (in_place(lambda envelope: envelope["data"].update(pagination={"page": KEY})), DecodeError),
    "id": (Fault.wrong_types("id", KEY), DecodeError),
    "name": (Fault.wrong_types("name", [KEY]), DecodeError),
    "unknown field": (Fault.wrong_types(KEY, 2**70), DecodeError),
    "content coding": (Fault.raw(b"{}", headers={"Content-Encoding": KEY}), DecodeError),
    "damaged gzip": (Fault.raw(KEY.encode(), headers={"Content-Encoding": "gzip"}), DecodeError),
}


@pytest.mark.parametrize(("fault", "kind"), ECHOES.values(), ids=ECHOES)
async def test_echoed_key_is_in_no_error_and_no_log(
    make_fake: MakeFake, debug_log: pytest.LogCaptureFixture, fault: Fault, kind: type[Exception]
) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(fault, times=None)
    async with JoggSession(KEY, base_url=fake.url, retry=AT_ONCE) as jogg:
        one, every = await caught(jogg.page()), await caught(jogg.tracks().collect())
    assert (type(one), type(every)) == (kind, kind)
    assert leaks(one, KEY) + leaks(every, KEY) + leaks_in_log(debug_log.records, KEY) == []


RETRIED: Final[dict[str, tuple[Fault, type[Exception]]]] = {
    "code 429": (Fault.business(429, KEY, rid=KEY), RateLimitError),
    "code 50000": (Fault.business(50000, KEY, rid=KEY, http_status=500), ServerError),
    "code 50000 in 200": (Fault.business(50000, KEY, rid=KEY), ServerError),
    "html 502": (Fault.html(502, KEY), ServerError),
    "status 408": (Fault.business(0, KEY, rid=KEY, http_status=408), APIError),
    "senseless wait": (Fault.business(429, KEY, retry_after=KEY, data=True), RateLimitError),
}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [pytest.param(*case, id=name) for name, case in RETRIED.items()],
)
async def test_echoed_key_is_in_no_error_and_no_log_of_a_retried_request(
    make_fake: MakeFake, stamina_log: pytest.LogCaptureFixture, fault: Fault, kind: type[Exception]
) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(fault, times=None)
    async with JoggSession(KEY, base_url=fake.url, retry=AT_ONCE) as jogg:
        error = await caught(jogg.page())
    assert type(error) is kind
    assert len(fake.requests) == AT_ONCE.attempts
    assert any(record.name == "stamina" for record in stamina_log.records)
    assert leaks(error, KEY) + leaks_in_log(stamina_log.records, KEY) == []


async def cut_before_the_status(connection: Connection) -> None:
    await connection.request()


async def reset_before_the_status(connection: Connection) -> None:
    await connection.request()
    connection.reset()


async def cut_in_the_headers(connection: Connection) -> None:
    await connection.request()
    await connection.send(f"HTTP/1.1 200 OK\r\nX-Echo: {KEY}\r\nX-More".encode())


async def garbage_for_a_status(connection: Connection) -> None:
    await connection.request()
    await connection.send(f"{KEY} {KEY}\r\n\r\n".encode())


async def garbage_for_a_header(connection: Connection) -> None:
    await connection.request()
    await connection.send(f"HTTP/1.1 200 OK\r\nX-Echo: {KEY}\0\r\n\r\n".encode())


async def a_header_too_long(connection: Connection) -> None:
    await connection.request()
    await connection.response(PAGE, f"X-Echo: {KEY * 1000}")


async def garbage_for_a_chunk(connection: Connection) -> None:
    await connection.request()
    await connection.send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode())


async def cut_in_the_body(connection: Connection) -> None:
    await connection.request()
    await connection.response(KEY.encode(), f"X-Echo: {KEY}", length=1000)


async def reset_in_the_body(connection: Connection) -> None:
    await cut_in_the_body(connection)
    connection.reset()


async def silent(connection: Connection) -> None:
    await connection.request()
    await connection.stay_silent()


async def silent_in_the_body(connection: Connection) -> None:
    await cut_in_the_body(connection)
    await connection.stay_silent()


BREAKS: Final = [
    cut_before_the_status,
    reset_before_the_status,
    pytest.param(cut_in_the_headers),
    pytest.param(garbage_for_a_status),
    pytest.param(garbage_for_a_header),
    pytest.param(a_header_too_long),
    pytest.param(garbage_for_a_chunk),
    cut_in_the_body,
    reset_in_the_body,
    silent,
    silent_in_the_body,
]


@pytest.mark.parametrize("behaviour", BREAKS)
async def test_error_of_a_broken_connection_shows_no_key(
    serve: Serve, debug_log: pytest.LogCaptureFixture, behaviour: Callable[[Connection], Awaitable[None]]
) -> None:
    server = await serve(behaviour)
    async with JoggSession(KEY, base_url=server.url, retry=AT_ONCE, timeout=0.05) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert KEY.encode() in server.heads[0]
    cause = error.__cause__
    assert cause is not None
    assert cause.__traceback__ is None
    assert leaks(error, KEY) + leaks_in_log(debug_log.records, KEY) == []


async def test_error_of_a_refused_connection_shows_no_key(serve: Serve, debug_log: pytest.LogCaptureFixture) -> None:
    server = await serve()
    await server.close()
    async with JoggSession(KEY, base_url=server.url, retry=AT_ONCE) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert leaks(error, KEY) + leaks_in_log(debug_log.records, KEY) == []
