"""Connections: reuse, opening ahead of the first response, and closing."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
import pytest
from yarl import URL

from jogg_async import APIError, JoggSession, SessionClosedError
from jogg_async._api.redaction import Secret
from jogg_async._http import connector as connector_module
from jogg_async._http.connector import Connector
from jogg_async._http.transport import Transport
from jogg_async.testing import Fault
from tests.model import no_loop_errors, until

from .conftest import Serve
from .raw import AT_ONCE, Connection, RawServer

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

KEY: Final = "the-key"


def response(page: int) -> bytes:
    """Return a response with one track, whose id is the page's number."""
    body = json.dumps({"code": 0, "msg": "Success", "data": {"music": [{"id": page}]}}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Recorder:
    """Server behaviour that responds with the requested page and keeps every connection for the test."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.pages: list[tuple[int, int]] = []
        """Connection and page of each request."""
        self.responds = asyncio.Event()
        """Set while requests are responded to."""
        self.responds.set()

    async def __call__(self, connection: Connection) -> None:
        self.connections.append(connection)
        while True:
            page = int(re.findall(rb"[?&]page=(\d+)", await connection.request())[0])
            self.pages.append((connection.number, page))
            await self.responds.wait()
            await connection.send(response(page))


class Client:
    """Transport and its server; `http` is the caller's session, if any."""

    def __init__(self, server: RawServer, recorder: Recorder, http: aiohttp.ClientSession | None) -> None:
        self.server = server
        self.recorder = recorder
        self.url = URL(server.url)
        self.transport = Transport(Secret(KEY), self.url, 5.0, http)

    async def page(self, number: int) -> int:
        """Return the id in the response to a page: its number, unless the response belongs to another request."""
        response = await self.transport.get(self.url.with_query(page=number))
        track_id: int = json.loads(response.body)["data"]["music"][0]["id"]
        return track_id


@asynccontextmanager
async def client_of(
    server: RawServer, recorder: Recorder, http: aiohttp.ClientSession | None = None
) -> AsyncGenerator[Client, None]:
    """Open a transport, with a pool of its own unless `http` is given."""
    client = Client(server, recorder, http)
    try:
        yield client
    finally:
        await client.transport.aclose()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, server_tls: ssl.SSLContext) -> ssl.SSLContext | None:
    return server_tls if request.param == "tls" else None


@pytest.fixture(params=["own pool", "caller's pool"])
async def client(
    request: pytest.FixtureRequest,
    serve: Serve,
    tls: ssl.SSLContext | None,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Client]:
    recorder = Recorder()
    server = await serve(recorder, tls=tls)
    async with AsyncExitStack() as stack:
        http = None
        if request.param == "own pool":
            # Our own session trusts what Python does by default.
            trusting: Callable[..., Connector] = lambda **settings: Connector(ssl=client_tls, **settings)  # noqa: E731
            monkeypatch.setattr("jogg_async._http.transport.Connector", trusting)
        else:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls))
            )
        client = Client(server, recorder, http)
        stack.push_async_callback(client.transport.aclose)
        yield client


over_tls: Final = pytest.mark.parametrize("tls", ["tls"], indirect=True)


async def test_kept_connection_is_reused(client: Client) -> None:
    for page in range(1, 6):
        assert await client.page(page) == page
        await asyncio.sleep(0.01)
    assert client.recorder.pages == [(0, page) for page in range(1, 6)]


@pytest.mark.parametrize(
    "late", [response(1), response(1) * 2, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"?"], ids=repr
)
async def test_connection_with_a_late_response_is_not_reused(client: Client, late: bytes) -> None:
    assert await client.page(1) == 1
    await client.recorder.connections[0].send(late)
    await asyncio.sleep(0.05)
    for page in range(2, 6):
        assert await client.page(page) == page
    assert [number for number, _ in client.recorder.pages] == [0, 1, 1, 1, 1]


async def test_connection_with_a_late_response_in_its_socket_is_not_reused(client: Client) -> None:
    """The event loop has not run since the response arrived, so that it was not read."""
    assert await client.page(1) == 1
    client.recorder.connections[0].writer.write(response(1))
    assert await client.page(2) == 2
    assert [number for number, _ in client.recorder.pages] == [0, 1]


async def test_connection_with_part_of_a_late_response_in_its_socket_is_not_reused(
    serve: Serve,
) -> None:
    recorder = Recorder()
    server = await serve(recorder)
    async with aiohttp.ClientSession() as http, client_of(server, recorder, http) as client:
        assert await client.page(1) == 1
        recorder.connections[0].writer.write(response(1)[:20])
        assert await client.page(2) == 2
        assert [number for number, _ in recorder.pages] == [0, 1]


async def test_response_sent_before_the_first_request_is_read(
    serve: Serve, client_tls: ssl.SSLContext, tls: ssl.SSLContext | None
) -> None:
    """New connections are not checked for early responses: if each had one, the client would open them for ever."""
    recorder = Recorder()

    async def greets(connection: Connection) -> None:
        await connection.send(response(99))
        await recorder(connection)

    server = await serve(greets, tls=tls)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls)) as http,
        client_of(server, recorder, http) as client,
    ):
        assert await client.page(1) in (1, 99)


async def test_six_connections_with_a_late_response_are_not_reused(client: Client) -> None:
    assert sorted(await asyncio.gather(*map(client.page, range(1, 7)))) == list(range(1, 7))
    for connection in client.recorder.connections:
        connection.writer.write(response(99))
    assert await client.page(7) == 7
    for connection in client.recorder.connections[:6]:
        assert (connection.number, 7) not in client.recorder.pages


async def test_connection_closed_by_the_server_is_not_reused(client: Client) -> None:
    assert await client.page(1) == 1
    client.recorder.connections[0].writer.close()
    assert await client.page(2) == 2
    assert len(client.recorder.pages) == 2


async def test_part_of_a_late_response_closes_a_connection_of_our_own_pool(serve: Serve) -> None:
    recorder = Recorder()
    server = await serve(recorder)
    async with client_of(server, recorder) as client:
        assert await client.page(1) == 1
        await recorder.connections[0].send(response(1)[:20])
        await until(lambda: server.open == 0)  # at once, not when it is needed next
        assert await client.page(2) == 2


async def test_bytes_before_the_first_request_close_a_connection_opened_ahead(serve: Serve) -> None:
    recorder, second_opened = Recorder(), asyncio.Event()

    async def greets(connection: Connection) -> None:
        if connection.number == 0:
            await second_opened.wait()
        elif connection.number == 1:
            await connection.send(response(99))
            second_opened.set()
        await recorder(connection)

    server = await serve(greets)
    async with client_of(server, recorder) as client:
        client.transport.preconnect(1)
        assert await client.page(1) == 1
        await until(lambda: server.open == 1)
        assert list(await asyncio.gather(client.page(2), client.page(3))) == [2, 3]
        assert [number for number, _ in recorder.pages] == [0, 0, 2]


@over_tls
async def test_session_ticket_does_not_end_a_tls_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket makes the socket readable, but contains no byte of HTTP."""
    monkeypatch.setattr(connector_module, "_is_readable", lambda _: True)
    for page in range(1, 4):
        assert await client.page(page) == page
    assert client.server.accepted == 1


@over_tls
async def test_cancellation_while_a_connection_is_checked_closes_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await client.page(1) == 1
    monkeypatch.setattr(connector_module, "_is_readable", lambda _: True)
    task = asyncio.ensure_future(client.page(2))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: client.server.open == 0)
    assert client.recorder.pages == [(0, 1)]


@pytest.mark.parametrize(
    ("concurrency", "limit", "opened"),
    [(1, None, 1), (2, None, 2), (4, None, 4), (8, None, 4), (200, None, 4), (200, 150, 2)],
)
async def test_at_most_four_connections_are_opened_before_the_first_response(
    make_fake: MakeFake, make_session: MakeSession, concurrency: int, limit: int | None, opened: int
) -> None:
    fake = await make_fake(50_000)
    fake.fail(Fault.stall())
    pager = make_session(fake, concurrency=concurrency).tracks(limit=limit)
    step = asyncio.ensure_future(anext(pager))
    await until(lambda: (fake.connections, len(fake.requests)) == (opened, 1))
    await asyncio.sleep(0.05)
    assert (fake.connections, len(fake.requests)) == (opened, 1)
    await pager.aclose()
    await asyncio.wait([step])


async def test_several_pagers_open_at_most_four_connections_ahead(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(50_000)
    fake.fail(Fault.stall(), times=None)
    session = make_session(fake, concurrency=8)
    pagers = [session.tracks() for _ in range(3)]
    steps = [asyncio.ensure_future(anext(pager)) for pager in pagers]
    await until(lambda: len(fake.requests) == 3)
    await asyncio.sleep(0.05)
    assert fake.connections <= 4
    await session.aclose()
    await asyncio.wait(steps)


async def stalls(connection: Connection) -> None:
    await connection.request()
    await connection.stay_silent()


async def give_up(*requests: asyncio.Future[int]) -> None:
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)


async def test_connections_being_opened_count_towards_the_limit_of_four(serve: Serve) -> None:
    server = await serve(stalls)
    async with client_of(server, Recorder()) as client:
        requests: list[asyncio.Future[int]] = []
        for number in range(2):
            client.transport.preconnect(7)
            requests.append(asyncio.ensure_future(client.page(number)))
            await asyncio.sleep(0)
        await until(lambda: len(server.heads) == 2)
        await asyncio.sleep(0.05)
        assert server.accepted == 4
        await give_up(*requests)


async def test_connections_opened_ahead_are_used(serve: Serve) -> None:
    recorder, opened = Recorder(), asyncio.Event()

    async def after_four(connection: Connection) -> None:
        if connection.number == 3:
            opened.set()
        await opened.wait()
        await recorder(connection)

    server = await serve(after_four)
    async with client_of(server, recorder) as client:
        client.transport.preconnect(7)
        assert await client.page(1) == 1
        await asyncio.sleep(0.02)
        assert sorted(await asyncio.gather(*map(client.page, range(2, 6)))) == [2, 3, 4, 5]
        assert server.accepted == 4
        assert client.transport.stop_preconnects() == ()


async def test_stop_preconnects_cancels_connections_not_yet_begun(serve: Serve) -> None:
    server = await serve(stalls)
    async with client_of(server, Recorder()) as client:
        client.transport.preconnect(7)
        assert client.transport.stop_preconnects() == ()
        request = asyncio.ensure_future(client.page(1))
        await until(lambda: len(server.heads) == 1)
        await asyncio.sleep(0.02)
        assert server.accepted == 1
        client.transport.preconnect(7)
        another = asyncio.ensure_future(client.page(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        opening = client.transport.stop_preconnects()
        assert len(opening) == 3
        await asyncio.wait(opening)
        await until(lambda: len(server.heads) == 2)
        await asyncio.sleep(0.02)
        assert server.accepted == 2
        await give_up(request, another)


async def test_stop_preconnects_cancels_connections_being_opened(serve: Serve) -> None:
    server = await serve(Connection.stay_silent)  # no handshake comes to its end
    transport = Transport(Secret(KEY), URL(f"https://127.0.0.1:{server.port}"), 5.0, None)
    transport.preconnect(7)
    request = asyncio.ensure_future(transport.get(URL(f"https://127.0.0.1:{server.port}")))
    await until(lambda: server.open == 4)
    done, _ = await asyncio.wait(transport.stop_preconnects(), timeout=4)
    assert len(done) == 3
    request.cancel()
    await asyncio.wait([request])
    await transport.aclose()


async def test_closing_the_transport_leaves_no_task_and_no_timer(serve: Serve) -> None:
    server = await serve(stalls)
    async with client_of(server, Recorder()) as client:
        before = asyncio.all_tasks()
        client.transport.preconnect(7)
        request = asyncio.ensure_future(client.page(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) >= 4  # with eager tasks, the server accepts connections by now
        await give_up(request)
        await client.transport.aclose()
        await until(lambda: asyncio.all_tasks() == before | {asyncio.current_task()})
        timeouts = client.transport._timeouts
        assert timeouts is not None
        assert timeouts._timer is None


async def test_requests_beyond_the_default_pool_size_of_aiohttp_run_at_once(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.stall(), times=None)
    session = make_session(fake, concurrency=105)
    pages = [asyncio.ensure_future(session.page()) for _ in range(105)]
    await until(lambda: fake.in_flight == 105)
    await session.aclose()
    await asyncio.wait(pages)
    assert all(type(page.exception()) is SessionClosedError for page in pages)


@pytest.mark.parametrize("own_http", [False, True])
async def test_no_timeout_of_aiohttp_applies(serve: Serve, own_http: bool) -> None:
    recorder = Recorder()
    server = await serve(recorder)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession()) if own_http else None
        client = await stack.enter_async_context(client_of(server, recorder, http))
        await client.page(1)
        session = client.transport._http
        assert session is not None
        timeout = session.timeout
        assert (timeout.total, timeout.connect, timeout.sock_connect, timeout.sock_read) == (None, None, None, None)


async def test_one_page_opens_at_most_four_connections(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(100)
    fake.fail(Fault.slow(0.25), page=1)
    assert len(await make_session(fake, concurrency=200).tracks().collect()) == 100
    assert fake.connections == 4


@pytest.mark.usefixtures("debug_loop")
@pytest.mark.parametrize("own_http", [False, True])
async def test_switching_protocols_is_an_error_that_closes_the_connection(serve: Serve, own_http: bool) -> None:
    """In debug mode, aiohttp warns of a response that was left open."""

    async def switches(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI")
        await connection.stay_silent()

    server = await serve(switches)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession()) if own_http else None
        jogg = await stack.enter_async_context(JoggSession(KEY, base_url=server.url, http=http, retry=AT_ONCE))
        with pytest.raises(APIError, match="101") as caught:
            await jogg.page()
        assert type(caught.value) is APIError
        assert (caught.value.http_status, caught.value.attempts) == (101, 1)
        await until(lambda: server.open == 0)


@over_tls
async def test_tls_connection_that_is_reset_is_forgotten_without_an_error_in_the_loop(client: Client) -> None:
    with no_loop_errors():
        assert await client.page(1) == 1
        client.recorder.responds.clear()
        request = asyncio.ensure_future(client.page(2))
        await until(lambda: len(client.recorder.pages) == 2)
        client.recorder.connections[0].reset()
        client.recorder.responds.set()
        assert await request == 2  # aiohttp has sent it again
        assert client.recorder.pages == [(0, 1), (0, 2), (1, 2)]
        connector = client.transport._connector
        assert connector is None or len(connector._tls_transports) == 1


@pytest.mark.parametrize(("transport", "protocol"), [(None, object()), (object(), None), (None, None)])
async def test_connection_closed_before_its_request_is_used_as_it_is(
    monkeypatch: pytest.MonkeyPatch, transport: object, protocol: object
) -> None:
    """Sending over it raises aiohttp's own error."""
    lost = SimpleNamespace(transport=transport, protocol=protocol)

    async def connect(*_: object) -> SimpleNamespace:
        return lost

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    connector = Connector()
    assert cast("Any", await connector.connect(cast("Any", None), [], aiohttp.ClientTimeout())) is lost
    await connector.close()


def test_transport_without_a_socket_counts_as_idle() -> None:
    transport = cast("Any", SimpleNamespace(get_extra_info=lambda _: None))
    assert not connector_module._is_readable(transport)
