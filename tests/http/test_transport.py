"""Transport: where the key is sent, redirects, cookies, proxies, and the caller's own aiohttp session."""

from __future__ import annotations

import asyncio
import ctypes
import gzip
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from jogg_async import APIError, JoggSession, NotFoundError, SessionClosedError, __version__
from jogg_async.testing import Fault
from tests.model import until

from .conftest import Serve
from .raw import AT_ONCE, PAGE, Connection, RawServer

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

KEY: Final = "the-key"
REDIRECTS: Final = range(300, 309)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a caller's own session, whose cookie jar also accepts cookies of IP addresses."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def test_key_is_sent_in_its_header_only(serve: Serve) -> None:
    server = await serve()
    async with JoggSession(KEY, base_url=server.url) as jogg:
        await jogg.page(mood="Calm")
    (head,) = server.heads
    assert head.count(KEY.encode()) == 1
    assert b"\r\nx-api-key: the-key\r\n" in head
    assert f"\r\nUser-Agent: jogg-async/{__version__}\r\n".encode() in head
    assert head.startswith(b"GET /v2/musics?page_size=10&mood=Calm&page=1 HTTP/1.1\r\n")


async def test_path_prefix_of_the_base_url_is_kept(serve: Serve) -> None:
    server = await serve()
    for base_url in (f"{server.url}/proxy", f"{server.url}/proxy/", f"{server.url}/a%2Fb"):
        async with JoggSession(KEY, base_url=base_url) as jogg:
            await jogg.count()
    paths = [head.split(b"?", 1)[0] for head in server.heads]
    assert paths == [b"GET /proxy/v2/musics", b"GET /proxy/v2/musics", b"GET /a%2Fb/v2/musics"]


@pytest.mark.parametrize("own_http", [False, True])
@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_redirect_is_followed(
    make_fake: MakeFake, serve: Serve, http: aiohttp.ClientSession, status: int, own_http: bool
) -> None:
    stranger, fake = await serve(), await make_fake(5)
    places = [
        f"{stranger.url}/v2/musics",
        stranger.url.removeprefix("http:"),
        "/elsewhere",
        f"{fake.url}/v2/musics",
        "",
    ]
    async with JoggSession(fake.api_key, base_url=fake.url, http=http if own_http else None) as jogg:
        for place in places:
            fake.fail(Fault.redirect(place, status))
            with pytest.raises(APIError) as caught:
                await jogg.page()
            error = caught.value
            assert type(error) is APIError
            assert (error.http_status, error.code, error.attempts, error.page) == (status, None, 1, 1)
    assert len(fake.requests) == len(places)
    assert stranger.accepted == 0


async def test_known_code_takes_precedence_over_a_redirect_status(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.business(10104, http_status=302))
    with pytest.raises(NotFoundError):
        await make_session(fake).page()


async def give_cookies(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.response(PAGE, "Set-Cookie: session=1; Path=/", "Set-Cookie: other=2")


async def test_cookies_are_not_sent_back(serve: Serve) -> None:
    server = await serve(give_cookies)
    async with JoggSession(KEY, base_url=f"http://localhost:{server.port}") as jogg:
        await jogg.page()
        await jogg.page()
    assert len(server.heads) == 2
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_cookie_jar_of_the_caller_is_neither_read_nor_written(serve: Serve, http: aiohttp.ClientSession) -> None:
    server = await serve(give_cookies)
    http.cookie_jar.update_cookies({"callers": "own"})
    async with JoggSession(KEY, base_url=server.url, http=http) as jogg:
        await jogg.page()
        await jogg.page()
    assert [cookie.key for cookie in http.cookie_jar] == ["callers"]
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_callers_session_is_used_and_left_open(serve: Serve, http: aiohttp.ClientSession) -> None:
    server = await serve()
    async with JoggSession(KEY, base_url=server.url, http=http) as jogg:
        await jogg.page()
    assert not http.closed
    assert "x-api-key" not in http.headers
    async with http.get(server.url) as response:
        assert response.status == 200
    assert server.accepted == 1  # over the connection that the library left in the caller's pool
    assert KEY.encode() not in server.heads[-1]


async def test_callers_headers_are_sent_but_do_not_replace_those_of_the_library(serve: Serve) -> None:
    server = await serve()
    headers = {
        "X-Tenant": "7",
        "X-API-Key": "not this",
        "accept-encoding": "br",
        "User-Agent": "app/1",
        "accept": "text/html",
    }
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        JoggSession(KEY, base_url=server.url, http=http) as jogg,
    ):
        await jogg.page()
    head = server.heads[0].lower()
    assert b"x-tenant: 7" in head
    assert b"user-agent: app/1" in head
    assert head.count(b"x-api-key") == head.count(b"accept-encoding") == 1
    assert b"x-api-key: the-key" in head
    assert b"accept-encoding: gzip, deflate\r\n" in head
    assert re.findall(rb"\r\naccept: (.*)\r\n", head) == [b"application/json"]


async def test_timeout_status_and_decompression_settings_of_the_caller_do_not_apply(
    make_fake: MakeFake, serve: Serve
) -> None:
    async def compressed(connection: Connection) -> None:
        await connection.request()
        await connection.response(gzip.compress(PAGE, mtime=0), "Content-Encoding: gzip")

    fake, server = await make_fake(5), await serve(compressed)
    fake.fail(Fault.slow(0.1) + Fault.business(10104, http_status=404))
    impatient = aiohttp.ClientTimeout(total=0.02)
    async with aiohttp.ClientSession(timeout=impatient, raise_for_status=True, auto_decompress=False) as http:
        async with JoggSession(fake.api_key, base_url=fake.url, http=http, retry=AT_ONCE) as jogg:
            with pytest.raises(NotFoundError):
                await jogg.page()
        async with JoggSession(KEY, base_url=server.url, http=http, retry=AT_ONCE) as jogg:
            assert len((await jogg.page()).tracks) == 2


async def test_callers_traces_see_the_requests_without_the_key(serve: Serve) -> None:
    seen: list[str] = []

    async def started(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(repr(params))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(started)
    server = await serve()
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        JoggSession(KEY, base_url=server.url, http=http) as jogg,
    ):
        await jogg.page()
    assert len(seen) == 1
    assert KEY not in seen[0]


async def test_instrumentation_of_every_aiohttp_session_traces_each_request_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[aiohttp.TraceRequestStartParams] = []
    make = aiohttp.ClientSession.__init__

    async def started(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(params)

    def instrumented(self: aiohttp.ClientSession, **options: Any) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(started)
        options["trace_configs"] = [*(options.get("trace_configs") or ()), trace]
        make(self, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", instrumented)
    server = await serve()
    async with JoggSession(KEY, base_url=server.url) as jogg:
        await jogg.page()
    async with aiohttp.ClientSession() as http, JoggSession(KEY, base_url=server.url, http=http) as jogg:
        await jogg.page()
    assert len(seen) == 2


async def test_callers_session_closed_before_the_first_request_raises_session_closed_error(serve: Serve) -> None:
    server, http = await serve(), aiohttp.ClientSession()
    await http.close()
    async with JoggSession(KEY, base_url=server.url, http=http) as jogg:
        with pytest.raises(SessionClosedError):
            await jogg.page()


async def test_callers_session_closed_after_the_first_request_raises_session_closed_error(serve: Serve) -> None:
    server, http = await serve(), aiohttp.ClientSession()
    async with JoggSession(KEY, base_url=server.url, http=http, retry=AT_ONCE) as jogg:
        await jogg.page()
        await http.close()
        with pytest.raises(SessionClosedError):
            await jogg.page()


def name_proxy(monkeypatch: pytest.MonkeyPatch, proxy: RawServer) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv(name.upper(), proxy.url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_requests_to_loopback_bypass_the_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    proxy, server = await serve(), await serve()
    name_proxy(monkeypatch, proxy)
    async with JoggSession(KEY, base_url=f"http://{host}:{server.port}") as jogg:
        assert await jogg.count() == 2
        assert len(await jogg.tracks().collect()) == 2
    assert proxy.accepted == 0


async def test_requests_to_loopback_bypass_the_proxy_of_a_session_with_trust_env(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = await serve(), await serve()
    name_proxy(monkeypatch, proxy)
    async with (
        aiohttp.ClientSession(trust_env=True) as http,
        JoggSession(KEY, base_url=server.url, http=http) as jogg,
    ):
        assert await jogg.count() == 2
    assert proxy.accepted == 0


async def test_closing_the_session_closes_its_connections(make_fake: MakeFake) -> None:
    fake = await make_fake(3000)
    jogg = JoggSession(fake.api_key, base_url=fake.url)
    assert len(await jogg.tracks().collect()) == 3000
    assert 1 <= fake.open_connections <= 8 + 3  # connections opened ahead may add to those of the requests
    await jogg.aclose()
    await until(lambda: fake.open_connections == 0, 2)


ALLOCATES: Final = """
import asyncio, ctypes, sys
from jogg_async import JoggSession

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def maps_memory():
    before = libc.mallinfo2().hblks
    block = libc.malloc(2**18 + 64)
    mapped = libc.mallinfo2().hblks - before
    libc.free(block)
    return mapped

async def main():
    async with JoggSession("the-key", base_url=sys.argv[1]) as jogg:
        await jogg.count()
        print(maps_memory())

asyncio.run(main())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc, 2.33 or newer"
)
async def test_receive_buffer_is_not_mapped_at_every_read(serve: Serve) -> None:
    server = await serve()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ALLOCATES, server.url, stdout=PIPE, stderr=PIPE
    )
    assert await process.communicate() == (b"0\n", b"")
