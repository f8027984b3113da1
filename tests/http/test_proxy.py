"""Requests through an HTTP proxy: what the proxy sees, and when it is bypassed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import traceback
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from jogg_async import ConfigurationError, JoggSession, TransportError
from tests.model import until

from .conftest import Serve
from .leaks import caught, leaks
from .raw import AT_ONCE, Behaviour, Connection, RawServer

KEY: Final = "canary-90ab6c3e17f24d58-key"


class LoopbackResolver(AbstractResolver):
    """Resolve every host name to 127.0.0.1."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        return [found]

    async def close(self) -> None:
        pass


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, copy: bytearray) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            copy += data
            sink.write(data)
            await sink.drain()
    sink.close()


class Tunnel:
    """Server behaviour of a CONNECT proxy; it keeps a copy of all bytes that pass."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.passed = bytearray()

    async def __call__(self, connection: Connection) -> None:
        self.passed += await connection.request()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(connection.reader, writer, self.passed))
            group.create_task(pump(reader, connection.writer, self.passed))


@pytest.fixture
async def http(client_tls: ssl.SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a caller's session that trusts the tests' authority and resolves music.test to 127.0.0.1."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=client_tls, resolver=LoopbackResolver())
    ) as session:
        yield session


@pytest.fixture
async def service(serve: Serve, server_tls: ssl.SSLContext) -> RawServer:
    return await serve(tls=server_tls)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_request_goes_through_a_tunnel_of_the_proxy(
    serve: Serve,
    service: RawServer,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    tunnel = Tunnel(service.port)
    proxy = await serve(tunnel)
    monkeypatch.setenv(variable, proxy.url)
    async with JoggSession(KEY, base_url="https://music.test", http=http) as jogg:
        assert await jogg.count() == 2
        assert len(await jogg.tracks(mood="Calm").collect()) == 2
    assert KEY.encode() in service.heads[0]
    assert tunnel.passed.startswith(b"CONNECT music.test:443 HTTP/1.1\r\n")
    assert b"Calm" not in tunnel.passed


async def test_proxy_without_a_scheme_is_reached_over_http(
    serve: Serve, service: RawServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnel = Tunnel(service.port)
    proxy = await serve(tunnel)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))
    async with JoggSession(KEY, base_url="https://music.test", http=http) as jogg:
        assert await jogg.count() == 2
    assert tunnel.passed.startswith(b"CONNECT music.test:443 HTTP/1.1\r\n")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "proxy",
    ["http://user:secret@host:abc", "http://user:secret@[::1", "http://host:99999", "http://", "host:port", ":3128"],
)
def test_malformed_proxy_variable_is_an_error_that_names_the_variable_and_no_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(ConfigurationError, match=f"^{variable} is no valid address of a proxy") as caught:
        JoggSession(KEY)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    JoggSession(KEY, base_url="http://localhost:8080")  # past any proxy


async def test_a_proxy_never_sees_the_key(
    serve: Serve, service: RawServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnel = Tunnel(service.port)
    proxy = await serve(tunnel)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with JoggSession(KEY, base_url="https://music.test", http=http) as jogg:
        await jogg.count()
    assert tunnel.passed
    assert KEY.encode() not in tunnel.passed


@pytest.mark.parametrize("exceptions", ["music.test", ".test", "example.org, music.test", "*"])
async def test_hosts_listed_in_the_no_proxy_variable_bypass_the_proxy(
    serve: Serve,
    service: RawServer,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    exceptions: str,
) -> None:
    proxy = await serve()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", exceptions)
    async with JoggSession(KEY, base_url=f"https://music.test:{service.port}", http=http) as jogg:
        assert await jogg.count() == 2
    assert (proxy.accepted, service.accepted) == (0, 1)


@pytest.mark.parametrize("exceptions", ["example.org", "notmusic.test", "127.0.0.1"])
async def test_hosts_not_listed_in_the_no_proxy_variable_use_the_proxy(
    serve: Serve,
    service: RawServer,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    exceptions: str,
) -> None:
    proxy = await serve(Tunnel(service.port))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", exceptions)
    async with JoggSession(KEY, base_url=f"https://music.test:{service.port}", http=http) as jogg:
        assert await jogg.count() == 2
    assert proxy.accepted == 1


async def test_https_on_loopback_bypasses_the_proxy(
    serve: Serve, service: RawServer, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await serve()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with JoggSession(KEY, base_url=service.url, http=http) as jogg:
        assert await jogg.count() == 2
    assert proxy.accepted == 0


def refusing(status: str) -> Behaviour:
    async def refuse(connection: Connection) -> None:
        await connection.request()
        await connection.response(b"<p>no</p>", "Proxy-Authenticate: Basic", status=status)

    return refuse


@pytest.mark.parametrize(
    ("status", "attempts"),
    [("407 Proxy Authentication Required", 1), ("403 Forbidden", 1), ("502 Bad Gateway", AT_ONCE.attempts)],
)
async def test_proxy_that_refuses_is_a_transport_error(
    serve: Serve, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, status: str, attempts: int
) -> None:
    proxy = await serve(refusing(status))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("JOGG_API_KEY", KEY)
    for callers in (None, http):
        before = proxy.accepted
        async with JoggSession(base_url="https://music.test", http=callers, retry=AT_ONCE) as jogg:
            error = await caught(jogg.page())
        assert isinstance(error, TransportError)
        assert isinstance(error.__cause__, aiohttp.ClientHttpProxyError)
        assert error.attempts == attempts == proxy.accepted - before
        assert status.split(" ", 1)[0] in str(error)
        assert leaks(error, KEY) == []


async def test_proxy_that_refuses_never_sees_the_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = await serve(refusing("403 Forbidden"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with JoggSession(KEY, base_url="https://music.test", retry=AT_ONCE) as jogg:
        await caught(jogg.page())
    assert proxy.heads
    assert not any(KEY.encode() in head for head in proxy.heads)


async def test_unreachable_proxy_is_a_transport_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = await serve()
    await proxy.close()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with JoggSession(KEY, base_url="https://music.test", retry=AT_ONCE) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert error.attempts == AT_ONCE.attempts
    assert leaks(error, KEY) == []


async def test_error_does_not_show_the_password_of_the_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = "Basic dXNlcjpwYXNzLXdvcmQ="

    async def refuse_and_repeat(connection: Connection) -> None:
        await connection.request()
        await connection.response(b"<p>no</p>", f"X-Seen: {credentials}", status="407 Proxy Authentication Required")

    proxy = await serve(refuse_and_repeat)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass-word@127.0.0.1:{proxy.port}")
    async with JoggSession(KEY, base_url="https://music.test", retry=AT_ONCE) as jogg:
        error = await caught(jogg.page())
    assert f"Proxy-Authorization: {credentials}".encode() in proxy.heads[0]
    cause = error.__cause__
    assert isinstance(cause, aiohttp.ClientHttpProxyError)
    shown = f"{error} {cause!r} {cause.args!r} {cause.headers!r}"
    assert "pass-word" not in shown
    assert credentials not in shown


async def test_no_connection_is_opened_ahead_through_a_proxy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stall(connection: Connection) -> None:
        await connection.request()
        await connection.stay_silent()

    proxy = await serve(stall)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    async with JoggSession(KEY, base_url="https://music.test", retry=AT_ONCE) as jogg:
        step = asyncio.ensure_future(anext(jogg.tracks()))
        await until(lambda: proxy.heads, 5)
        await asyncio.sleep(0.05)
        assert proxy.accepted == 1
        step.cancel()
        await asyncio.wait([step])
