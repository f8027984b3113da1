"""Raw servers, certificates, and an environment without proxies."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import trustme

from .raw import Behaviour, RawServer, Visit


class Serve(Protocol):
    """Starts a `RawServer`."""

    async def __call__(self, behaviour: Behaviour = ..., *, tls: ssl.SSLContext | None = ...) -> RawServer: ...


@pytest.fixture(autouse=True)
def no_proxy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers, and stops them at the end of the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(behaviour: Behaviour = Visit.behave_well, *, tls: ssl.SSLContext | None = None) -> RawServer:
            server = RawServer(behaviour, tls)
            await server.start()
            stack.push_async_callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts by default."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's side of TLS, for 127.0.0.1, localhost and music.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "music.test").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A client's side of TLS that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def noisy_loop() -> AsyncIterator[None]:
    """The loop runs in debug mode, and logs every single callback."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    yield
    loop.set_debug(before[0])
    loop.slow_callback_duration = before[1]
