"""Crawls through mitmproxy: what it sees, and results of responses that it changes."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import attrs
import pytest
import trustme

from jogg_async import DecodeError, JoggError, JoggSession, RetryPolicy, ServerError, TransportError
from jogg_async.testing import FakeJogg, Fault
from tests.http.raw import Connection, RawServer

from .programs import free_port, serving

MITMDUMP: Final = shutil.which("mitmdump")
ADDON: Final = Path(__file__).with_name("tampering_proxy.py")
ADDRESS: Final = "https://music.test"
KEY: Final = "canary-71c3fa0e9b2d4865-key"
CREDENTIALS: Final = "porter:pass-word"
ENCODED: Final = base64.b64encode(CREDENTIALS.encode()).decode()
AT_ONCE: Final = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)

pytestmark = pytest.mark.skipif(MITMDUMP is None, reason="mitmproxy is not installed")


@attrs.frozen
class Proxy:
    """A running mitmproxy that handles every https address."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def authority(self) -> Path:
        """File of the certificate authority that signs its certificates."""
        return self.folder / "mitmproxy-ca-cert.pem"

    def received_before_tls(self) -> str:
        """Return what clients sent to it before TLS began."""
        received = self.folder / "received"
        return received.read_text() if received.exists() else ""


@contextlib.contextmanager
def proxying(folder: Path, to: int, *options: str, port: int = 0) -> Generator[Proxy]:
    proxy = Proxy(folder, port or free_port())
    settings = ("--set", f"confdir={folder}", "--set", "connection_strategy=lazy", "--scripts", str(ADDON))
    where = ("--listen-host", "127.0.0.1", "--listen-port", str(proxy.port))
    env = {"FAKE_PORT": str(to), "RECORD_FILE": str(folder / "received")}
    with serving(str(MITMDUMP), *where, *settings, *options, port=proxy.port, log=folder / "log", env=env):
        yield proxy


@pytest.fixture(scope="module")
def served() -> Iterator[FakeJogg]:
    with FakeJogg(250, api_key=KEY) as fake:
        yield fake


@pytest.fixture(scope="module")
def running(served: FakeJogg, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxying(tmp_path_factory.mktemp("mitmproxy"), port_of(served)) as proxy:
        yield proxy


@pytest.fixture
def fake(served: FakeJogg) -> FakeJogg:
    served.clear()
    return served


@pytest.fixture
def proxy(running: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """Set the environment's HTTPS proxy to the running proxy."""
    monkeypatch.setenv("HTTPS_PROXY", running.url)
    return running


@pytest.fixture
async def jogg(proxy: Proxy) -> AsyncIterator[JoggSession]:
    """Open a session that goes through the proxy and trusts its certificates."""
    async with trusting(proxy.authority) as http, session(http) as jogg:
        yield jogg


def port_of(fake: FakeJogg) -> int:
    return int(fake.url.rpartition(":")[2])


def trusting(authority: Path) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=str(authority))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))


def session(http: aiohttp.ClientSession | None = None) -> JoggSession:
    return JoggSession(KEY, base_url=ADDRESS, http=http, retry=AT_ONCE, timeout=1.0)


async def test_key_and_filters_are_not_sent_before_tls(fake: FakeJogg, jogg: JoggSession, proxy: Proxy) -> None:
    assert await jogg.count(mood="Calm") == len(fake.catalogue.filtered(mood="Calm"))
    assert "CONNECT music.test:443" in proxy.received_before_tls()
    assert not any(secret in proxy.received_before_tls() for secret in (KEY, "Calm", "x-api-key"))
    assert fake.requests[0].headers["x-api-key"] == KEY


async def test_untrusted_proxy_never_sees_the_key(fake: FakeJogg, proxy: Proxy) -> None:
    async with session() as jogg:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            await jogg.count()
    assert isinstance(caught.value.__cause__, aiohttp.ClientConnectorCertificateError)
    assert (caught.value.attempts, fake.requests) == (1, [])
    assert KEY not in proxy.received_before_tls()


def test_command_line_takes_proxy_and_certificate_authority_from_the_environment(fake: FakeJogg, proxy: Proxy) -> None:
    command = [sys.executable, "-m", "jogg_async", "tracks", "--format", "jsonl"]
    given = {"JOGG_API_KEY": KEY, "JOGG_BASE_URL": ADDRESS, "SSL_CERT_FILE": str(proxy.authority)}
    done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 250, "")


@pytest.mark.parametrize(
    "tamper", ["none", "stream", "late", "gzip", "deflate", "close", "chunked", "old", "without-length"]
)
async def test_harmless_changes_by_a_proxy_lose_no_track(fake: FakeJogg, jogg: JoggSession, tamper: str) -> None:
    tracks = await jogg.tracks(params={"tamper": tamper}).collect()
    assert [track.id for track in tracks] == [row["id"] for row in fake.catalogue]
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("tamper", "kind", "attempts", "text"),
    [
        ("br", DecodeError, 1, "a Content-Encoding that was not requested: 'br'"),
        ("zstd", DecodeError, 1, "a Content-Encoding that was not requested: 'zstd'"),
        ("mislabelled", DecodeError, 1, "compressed body is damaged"),
        ("cut", DecodeError, 1, "is not JSON"),
        ("noise", DecodeError, 1, "is not JSON"),
        ("page", ServerError, 3, "HTTP 503"),
        ("killed", TransportError, 3, "Server disconnected"),
        ("longer", TransportError, 3, "timed out after 1 s"),
    ],
)
async def test_harmful_changes_by_a_proxy_raise_the_matching_error(
    fake: FakeJogg, jogg: JoggSession, *, tamper: str, kind: type[JoggError], attempts: int, text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        await jogg.tracks(params={"tamper": tamper}).collect()
    assert (caught.value.page, caught.value.attempts, list(caught.value.tracks or ())) == (1, attempts, [])
    assert len(fake.requests) in (attempts, 2 * attempts)  # aiohttp resends if a connection is lost before a response


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("tamper", "kind"), [("stream", TransportError), ("none", ServerError)])
async def test_response_cut_behind_a_proxy_is_an_error_and_the_crawl_can_continue(
    fake: FakeJogg, jogg: JoggSession, chunked: bool, tamper: str, kind: type[JoggError]
) -> None:
    fake.fail(Fault.truncate(chunked=chunked), page=2, times=3)
    pager = jogg.tracks(params={"tamper": tamper})
    with pytest.raises(kind) as caught:
        await pager.collect()
    assert (caught.value.page, caught.value.attempts, len(caught.value.tracks or ())) == (2, 3, 100)
    assert [track.id async for track in pager] == list(range(101, 251))


@pytest.mark.parametrize("tamper", ["stream", "none"])
async def test_slow_response_behind_a_proxy_arrives_whole(fake: FakeJogg, jogg: JoggSession, tamper: str) -> None:
    fake.fail(Fault.drip(0.4), times=None)
    assert len(await jogg.tracks(params={"tamper": tamper}).collect()) == 250


async def test_session_works_again_after_its_proxy_restarts(
    fake: FakeJogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(tmp_path, port_of(fake)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        http = trusting(proxy.authority)
        jogg = session(http)
        assert (await jogg.page(1)).tracks
    with pytest.raises(TransportError, match=r"no connection to 127\.0\.0\.1") as caught:
        await jogg.page(2)
    assert caught.value.attempts == 3
    with proxying(tmp_path, port_of(fake), port=proxy.port):
        assert (await jogg.page(2)).tracks
    await jogg.aclose()
    await http.close()


@pytest.fixture(scope="module")
def guarded(served: FakeJogg, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Start a proxy that requires credentials."""
    options = ("--set", f"proxyauth={CREDENTIALS}")
    with proxying(tmp_path_factory.mktemp("guarded"), port_of(served), *options) as proxy:
        yield proxy


@pytest.mark.parametrize("credentials", ["", "porter:wrong-word@"])
async def test_proxy_that_rejects_the_credentials_is_a_transport_error(
    fake: FakeJogg, guarded: Proxy, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{credentials}127.0.0.1:{guarded.port}")
    async with trusting(guarded.authority) as http, session(http) as jogg:
        with pytest.raises(TransportError, match="407") as caught:
            await jogg.count()
    assert (caught.value.attempts, fake.requests) == (1, [])
    assert "wrong-word" not in f"{caught.value} {caught.value.__cause__!r}"
    assert KEY not in guarded.received_before_tls()


async def test_proxy_accepts_credentials_from_the_environment(
    fake: FakeJogg, guarded: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{CREDENTIALS}@127.0.0.1:{guarded.port}")
    async with trusting(guarded.authority) as http, session(http) as jogg:
        assert len(await jogg.tracks().collect()) == 250
    assert len(fake.requests) == 3


async def test_proxy_credentials_are_not_sent_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("music.test").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    service = RawServer(Connection.respond_normally, tls)
    await service.start()
    # With `--ignore-hosts` the proxy forwards the client's bytes unchanged.
    options = ("--set", f"proxyauth={CREDENTIALS}", "--ignore-hosts", "music.test")
    with proxying(tmp_path, service.port, *options) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{CREDENTIALS}@127.0.0.1:{proxy.port}")
        async with trusting(tmp_path / "authority.pem") as http, session(http) as jogg:
            assert await jogg.count() == 2
    await service.close()
    (head,) = service.heads
    assert f"x-api-key: {KEY}".encode() in head
    assert ENCODED.encode() not in head
    assert b"proxy" not in head.lower()
