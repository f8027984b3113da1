"""Connections that break, stall or send garbage at every stage of a response, once or every time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from jogg_async import JoggSession, TransportError
from jogg_async.testing import Fault
from tests.model import until

from .conftest import Serve
from .raw import AT_ONCE, PAGE, Behaviour, Connection, RawServer

if TYPE_CHECKING:
    from tests.conftest import MakeFake

TIMEOUT: Final = 0.1
ATTEMPTS: Final = AT_ONCE.attempts or 0
SLACK: Final = 1.5  # seconds that a busy machine may add
RESENT: Final = 2  # aiohttp resends a GET once if its connection ends before a response: two breaks in one attempt


async def closed_on_arrival(connection: Connection) -> None:
    pass


async def reset_on_arrival(connection: Connection) -> None:
    connection.reset()


async def closed_after_the_request(connection: Connection) -> None:
    await connection.request()


async def reset_after_the_request(connection: Connection) -> None:
    await connection.request()
    connection.reset()


def after_the_request(sent: bytes, *, stays: bool = False) -> Behaviour:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(sent)
        if stays:
            await connection.stay_silent()

    return behave


async def reset_in_the_body(connection: Connection) -> None:
    await connection.request()
    await connection.response(PAGE[:20], length=len(PAGE))
    connection.reset()


async def dripping(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE))
    for place in range(len(PAGE)):
        await connection.send(PAGE[place : place + 1])
        await asyncio.sleep(TIMEOUT / 10)


async def dripping_headers(connection: Connection) -> None:
    await connection.request()
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
        await connection.send(bytes([byte]))
        await asyncio.sleep(TIMEOUT / 10)


CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
CHUNK: Final = b"%x\r\n%b\r\n" % (len(PAGE), PAGE)
WHOLE: Final = SIZED + PAGE

STAGES: Final[dict[str, Behaviour]] = {
    "closed on arrival": closed_on_arrival,
    "reset on arrival": reset_on_arrival,
    "silent on arrival": Connection.stay_silent,
    "closed after the request": closed_after_the_request,
    "reset after the request": reset_after_the_request,
    "silent after the request": after_the_request(b"", stays=True),
    "part of the status line": after_the_request(b"HTTP/1.1 20"),
    "part of the status line, then silence": after_the_request(b"HTTP/1.1 20", stays=True),
    "part of the headers": after_the_request(SIZED[:30]),
    "part of the headers, then silence": after_the_request(SIZED[:30], stays=True),
    "no HTTP": after_the_request(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "a status that is no number": after_the_request(b"HTTP/1.1 OK 200\r\n\r\n"),
    "a header without a name": after_the_request(b"HTTP/1.1 200 OK\r\n: nothing\r\n\r\n"),
    "a header with a NUL": after_the_request(b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"),
    "a length that is no number": after_the_request(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
    "two lengths": after_the_request(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "a header of 100,000 bytes": after_the_request(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "100,000 headers": after_the_request(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n"),
    "part of the body": after_the_request(WHOLE[:-1]),
    "no body": after_the_request(SIZED),
    "part of the body, then silence": after_the_request(WHOLE[:-1], stays=True),
    "part of the body, then a reset": reset_in_the_body,
    "part of a chunk": after_the_request(CHUNKED + CHUNK[:-10]),
    "no last chunk": after_the_request(CHUNKED + CHUNK),
    "no last chunk, then silence": after_the_request(CHUNKED + CHUNK, stays=True),
    "a chunk of no size": after_the_request(CHUNKED + b"many\r\n" + PAGE),
    "a byte at a time": dripping,
    "a byte at a time, from the status on": dripping_headers,
}
every_stage: Final = pytest.mark.parametrize("behaviour", STAGES.values(), ids=STAGES)


def first(times: int, behaviour: Behaviour) -> Behaviour:
    """Return a behaviour that is `behaviour` for the first connections, and normal for the others."""

    async def behave(connection: Connection) -> None:
        await (behaviour if connection.number < times else Connection.respond_normally)(connection)

    return behave


async def all_closed(server: RawServer) -> None:
    """Wait until every connection is closed."""
    await until(lambda: server.open == 0, 2)


@every_stage
async def test_connection_fault_that_occurs_once_is_retried(serve: Serve, behaviour: Behaviour) -> None:
    server = await serve(first(RESENT, behaviour))
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE, timeout=TIMEOUT, concurrency=1) as jogg:
        pager = jogg.tracks()
        assert [track.id for track in await pager.collect()] == [1, 2]
        assert pager.progress.retries in (1, 2)
        assert pager.progress.requests == pager.progress.retries + 1
    await all_closed(server)


@every_stage
async def test_connection_fault_that_persists_is_a_transport_error(serve: Serve, behaviour: Behaviour) -> None:
    server = await serve(behaviour)
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE, timeout=TIMEOUT) as jogg:
        began = time.monotonic()
        with pytest.raises(TransportError) as caught:
            await jogg.page(7)
        took = time.monotonic() - began
        error = caught.value
        assert (error.page, error.attempts, error.rid) == (7, ATTEMPTS, None)
        assert isinstance(error.__cause__, aiohttp.ClientError | TimeoutError | OSError)
        assert "page=7" in str(error)
        assert took < ATTEMPTS * TIMEOUT + SLACK
        assert ATTEMPTS <= server.accepted <= ATTEMPTS * RESENT
        # Before the session is closed: a failed connection is not put back into the pool.
        await all_closed(server)


async def test_refused_connection_is_retried_then_a_transport_error(serve: Serve) -> None:
    server = await serve()
    await server.close()
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE) as jogg:
        with pytest.raises(TransportError) as caught:
            await jogg.tracks().collect()
    assert (caught.value.attempts, caught.value.page) == (ATTEMPTS, 1)
    assert isinstance(caught.value.__cause__, aiohttp.ClientConnectorError)


async def test_unknown_host_name_is_a_transport_error() -> None:
    async with JoggSession("key", base_url="https://nowhere.invalid", retry=AT_ONCE, timeout=5) as jogg:
        with pytest.raises(TransportError, match=r"nowhere\.invalid"):
            await jogg.page()


async def fails_in_time(jogg: JoggSession) -> None:
    async with jogg:
        began = time.monotonic()
        with pytest.raises(TransportError, match=r"timed out after 0\.1 s") as caught:
            await jogg.page()
        assert time.monotonic() - began < ATTEMPTS * TIMEOUT + SLACK
        assert caught.value.attempts == ATTEMPTS


async def test_name_resolution_without_a_response_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver is a stand-in: no resolver on the test machine can be made silent."""
    asked: list[object] = []

    async def no_response(*args: object, **kwargs: object) -> None:
        asked.append(args)
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_response)
    await fails_in_time(JoggSession("key", base_url="https://silent.test", retry=AT_ONCE, timeout=TIMEOUT))
    assert asked


@pytest.mark.skipif(sys.platform != "linux", reason="fills the queue of a socket as Linux does")
async def test_connection_that_is_never_accepted_times_out() -> None:
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        for _ in range(4):  # fill the queue of a listener that accepts nothing: the kernel then drops connections
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        await fails_in_time(JoggSession("key", base_url=url, retry=AT_ONCE, timeout=TIMEOUT))


async def closing_after_each(connection: Connection) -> None:
    await connection.request()
    await connection.response()


async def test_a_kept_connection_that_the_server_closed_costs_no_attempt(serve: Serve) -> None:
    server = await serve(closing_after_each)
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE, concurrency=1) as jogg:
        for _ in range(4):
            pager = jogg.tracks()
            await pager.collect()
            assert pager.progress.requests == 1
        await asyncio.sleep(0.01)
        await jogg.page()
    assert server.accepted >= 5
    await all_closed(server)


@pytest.mark.parametrize("behaviour", [closed_on_arrival, reset_on_arrival, Connection.stay_silent])
async def test_broken_connections_opened_ahead_cause_no_error(serve: Serve, behaviour: Behaviour) -> None:
    async def only_the_first_is_good(connection: Connection) -> None:
        await (behaviour if connection.number else Connection.respond_normally)(connection)

    server = await serve(only_the_first_is_good)
    async with JoggSession("key", base_url=server.url, retry=AT_ONCE, timeout=TIMEOUT) as jogg:
        assert len(await jogg.tracks().collect()) == 2
    await all_closed(server)


NOISE: Final[dict[str, bytes]] = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
    "many": b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
async def test_interim_responses_are_skipped(serve: Serve, noise: bytes) -> None:
    server = await serve(after_the_request(noise + WHOLE))
    async with JoggSession("key", base_url=server.url, timeout=5) as jogg:
        assert len((await jogg.page()).tracks) == 2
    assert len(server.heads) == 1


@pytest.mark.parametrize("ending", ["stays", "leaves"])
async def test_body_without_a_length_ends_with_its_connection(serve: Serve, ending: str) -> None:
    server = await serve(after_the_request(b"HTTP/1.1 200 OK\r\n\r\n" + PAGE, stays=ending == "stays"))
    async with JoggSession("key", base_url=server.url, timeout=TIMEOUT, retry=AT_ONCE) as jogg:
        if ending == "leaves":
            assert len((await jogg.page()).tracks) == 2
            return
        with pytest.raises(TransportError):
            await jogg.page()


async def test_crawl_survives_a_mix_of_connection_faults(make_fake: MakeFake) -> None:
    fake = await make_fake(2000)
    faults: list[Any] = [Fault.drop(), Fault.reset(), Fault.truncate(), Fault.truncate(chunked=True), Fault.html(502)]
    for number, fault in enumerate(faults * 2):
        fake.fail(fault, page=2 * number + 1, times=1)
    fake.fail(Fault.stall_body(), page=20)
    async with JoggSession(fake.api_key, base_url=fake.url, retry=AT_ONCE, timeout=0.5) as jogg:
        tracks = await jogg.tracks(on_drift="raise").collect()
    assert len({track.id for track in tracks}) == len(tracks) == 2000
