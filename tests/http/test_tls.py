"""Faults of certificates and TLS handshakes."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import trustme

from jogg_async import JoggSession, TransportError

from .conftest import Serve
from .leaks import caught, leaks, leaks_in_log
from .raw import AT_ONCE, PAGE, Behaviour, Connection, RawServer

KEY: Final = "canary-5d1c07e9ab3f4286-key"
LONG_AGO: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def trusting(client_tls: ssl.SSLContext) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a caller's session that trusts the tests' authority."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls)) as http:
        yield http


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def failure(server: RawServer, http: aiohttp.ClientSession | None, host: str = "127.0.0.1") -> TransportError:
    base_url = f"https://{host}:{server.port}"
    async with JoggSession(KEY, base_url=base_url, http=http, retry=AT_ONCE, timeout=2) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is None
    assert leaks(error, KEY) == []
    return error


async def refuses_the_certificate(server: RawServer, http: aiohttp.ClientSession | None, why: str) -> None:
    error = await failure(server, http)
    assert isinstance(error.__cause__, aiohttp.ClientConnectorCertificateError)
    assert why in str(error)
    assert (error.attempts, error.page) == (1, 1)
    assert server.heads == []


async def test_trusted_certificate_is_accepted(
    serve: Serve, server_tls: ssl.SSLContext, trusting: aiohttp.ClientSession
) -> None:
    server = await serve(tls=server_tls)
    for host in ("127.0.0.1", "localhost"):
        async with JoggSession(KEY, base_url=f"https://{host}:{server.port}", http=trusting) as jogg:
            assert await jogg.count() == 2
            assert len(await jogg.tracks().collect()) == 2
    assert all(f"x-api-key: {KEY}".encode() in head for head in server.heads)


async def test_certificate_of_an_unknown_authority_is_rejected_without_retry(
    serve: Serve, server_tls: ssl.SSLContext, debug_log: pytest.LogCaptureFixture
) -> None:
    await refuses_the_certificate(await serve(tls=server_tls), None, "unable to get local issuer certificate")
    assert leaks_in_log(debug_log.records, KEY) == []


async def test_certificate_of_another_host_is_rejected_without_retry(
    serve: Serve, authority: trustme.CA, trusting: aiohttp.ClientSession
) -> None:
    server = await serve(tls=presenting(authority.issue_cert("music.test")))
    await refuses_the_certificate(server, trusting, "IP address mismatch")


async def test_expired_certificate_is_rejected_without_retry(
    serve: Serve, authority: trustme.CA, trusting: aiohttp.ClientSession
) -> None:
    old = authority.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO + dt.timedelta(days=1))
    await refuses_the_certificate(await serve(tls=presenting(old)), trusting, "certificate has expired")


async def test_certificate_not_signed_by_the_callers_authority_is_rejected_without_retry(
    serve: Serve, trusting: aiohttp.ClientSession
) -> None:
    stranger = trustme.CA().issue_cert("127.0.0.1")
    await refuses_the_certificate(await serve(tls=presenting(stranger)), trusting, "certificate verify failed")


async def test_mismatched_fingerprint_is_rejected_without_retry(serve: Serve, server_tls: ssl.SSLContext) -> None:
    server = await serve(tls=server_tls)
    pinned = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(b"0" * 32))
    async with aiohttp.ClientSession(connector=pinned) as http:
        error = await failure(server, http)
    assert isinstance(error.__cause__, aiohttp.ServerFingerprintMismatch)
    assert error.attempts == 1
    assert server.heads == []


async def test_crawl_does_not_retry_a_rejected_certificate(serve: Serve, server_tls: ssl.SSLContext) -> None:
    server = await serve(tls=server_tls)
    async with JoggSession(KEY, base_url=server.url, retry=AT_ONCE) as jogg:
        error = await caught(jogg.tracks().collect())
    assert isinstance(error, TransportError)
    assert error.attempts == 1
    assert leaks(error, KEY) == []


async def babble(connection: Connection) -> None:
    await connection.send(b"220 mail.example.org ESMTP ready\r\n")


async def answer_plainly(connection: Connection) -> None:
    await connection.reader.read(1)
    await connection.response(b"", status="400 Bad Request")


async def leave(connection: Connection) -> None:
    await connection.reader.read(1)


async def stay_silent(connection: Connection) -> None:
    await connection.stay_silent()


@pytest.mark.parametrize("behaviour", [babble, leave, answer_plainly])
async def test_failed_tls_handshake_is_retried(serve: Serve, behaviour: Behaviour) -> None:
    server = await serve(behaviour)
    error = await failure(server, None)
    assert isinstance(error.__cause__, aiohttp.ClientConnectorError)
    assert error.attempts == AT_ONCE.attempts


async def test_stalled_tls_handshake_times_out(serve: Serve) -> None:
    server = await serve(stay_silent)
    async with JoggSession(KEY, base_url=f"https://127.0.0.1:{server.port}", retry=AT_ONCE, timeout=0.05) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert isinstance(error.__cause__, TimeoutError)
    assert error.attempts == AT_ONCE.attempts


async def test_tls_connection_cut_in_the_body_is_retried(
    serve: Serve, server_tls: ssl.SSLContext, trusting: aiohttp.ClientSession
) -> None:
    async def cut_the_first(connection: Connection) -> None:
        if connection.number:
            await connection.respond_normally()
        await connection.request()
        await connection.response(length=10_000)

    server = await serve(cut_the_first, tls=server_tls)
    async with JoggSession(KEY, base_url=server.url, http=trusting, retry=AT_ONCE) as jogg:
        assert await jogg.count() == 2
    assert server.accepted == 2


CLIENT: Final = """
import asyncio, sys
from jogg_async import JoggSession

async def main():
    async with JoggSession("key", base_url=sys.argv[1], timeout=5) as jogg:
        print((await jogg.page()).tracks[0].name)

asyncio.run(main())
"""


async def ends_the_connection(connection: Connection) -> None:
    await connection.request()
    await connection.response(PAGE, "Connection: close")
    assert isinstance(connection.writer.transport, asyncio.Transport)
    connection.writer.transport.pause_reading()  # so that it never sends its close notification
    try:
        await asyncio.sleep(60)
    finally:
        connection.writer.transport.abort()


async def test_tls_connection_ended_by_the_service_is_closed(
    serve: Serve, server_tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """Runs in a process of its own, since aiohttp reads the trusted authorities when it is imported."""
    server = await serve(ends_the_connection, tls=server_tls)
    trusted = tmp_path / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    command = (sys.executable, "-X", "dev", "-W", "error", "-c", CLIENT, server.url)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=PIPE, env={**os.environ, "SSL_CERT_FILE": str(trusted)}
    )
    assert await process.communicate() == (b"One\n", b"")
