"""Raw servers, certificates, and an environment without proxies."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import trustme

from .raw import Behaviour, Connection, RawServer


class Serve(Protocol):
    """Start a `RawServer`."""

    async def __call__(self, behaviour: Behaviour = ..., *, tls: ssl.SSLContext | None = ...) -> RawServer: ...


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers and close them after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            behaviour: Behaviour = Connection.respond_normally, *, tls: ssl.SSLContext | None = None
        ) -> RawServer:
            server = RawServer(behaviour, tls)
            await server.start()
            stack.push_async_callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority that is not trusted by default."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a server for 127.0.0.1, localhost and music.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "music.test").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def debug_loop() -> AsyncIterator[None]:
    """Run the loop in debug mode, in which it logs every callback."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    yield
    loop.set_debug(before[0])
    loop.slow_callback_duration = before[1]
