"""Addresses that downloads request, and headers that they send."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

import jogg_async
from jogg_async import JoggSession, RetryPolicy, Track
from jogg_async._download.transfer import Transfer
from jogg_async.testing import FakeJogg, Fault
from tests.conftest import AT_ONCE, PROXY_VARIABLES
from tests.http.raw import Connection, RawServer
from tests.model import LONG_RUN

from .conftest import Fetch, MakeServer, names
from .server import AudioFile, AudioServer
from .test_download import track

ONE_ATTEMPT = RetryPolicy(attempts=1)
REFUSED = "private, loopback and reserved addresses are refused"


def redirect(location: str, status: int = 302) -> Any:
    """Return a response that redirects."""

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return respond


# Headers


async def test_the_key_cookies_and_credentials_are_not_sent(
    fake: FakeJogg, jogg: JoggSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    tracks = await jogg.tracks(limit=3).collect()
    fake.clear()
    fake.fail(Fault.raw(b"", status=503, headers={"Set-Cookie": "a=b"}), path="/music/1.wav")
    await jogg_async.download(tracks, folder, concurrency=1)
    assert len(fake.requests) == 4
    for request in fake.requests:
        assert {name.lower() for name in request.headers} == {"host", "user-agent", "accept", "accept-encoding"}
        assert fake.api_key not in str(request.headers)


async def test_proxy_variables_are_not_used(
    server: AudioServer, fetch: Fetch, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await make_server()
    for name in PROXY_VARIABLES:
        monkeypatch.setenv(name, proxy.url)
    server.paths["/1.mp3"] = AudioFile()
    await fetch(track(server), Track(2, None, "http://music.invalid/2.mp3"), retry=ONE_ATTEMPT)
    assert proxy.requests == []


async def test_a_cookie_is_not_kept_over_a_redirect(server: AudioServer, fetch: Fetch) -> None:
    async def set_cookie(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/2.mp3", "Set-Cookie": "a=b"})

    server.paths |= {"/1.mp3": set_cookie, "/2.mp3": AudioFile()}
    assert (await fetch(track(server))).downloaded == 1
    assert "Cookie" not in server.requests[1][1]


async def test_a_certificate_that_nobody_trusts_is_refused_and_not_retried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Transfer] = []
    attempt = Transfer.attempt

    async def counted(transfer: Transfer) -> None:
        attempts.append(transfer)
        await attempt(transfer)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = RawServer(Connection.respond_normally, context)
    await server.start()
    monkeypatch.setattr(Transfer, "attempt", counted)
    report = await jogg_async.download([Track(1, None, server.url)], folder, base_url=server.url, retry=AT_ONCE)
    await server.close()
    ((_, reason),) = report.failed
    assert "certificate" in reason.lower()
    assert (len(attempts), server.heads) == (1, [])


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(server: AudioServer, fetch: Fetch, folder: Path, status: int) -> None:
    server.paths |= {"/1": redirect("/files/2.flac", status), "/files/2.flac": AudioFile()}
    assert (await fetch(track(server, path="/1"))).downloaded == 1
    assert names(folder) == ["1 One.flac"]


async def test_at_most_five_redirects_are_followed(server: AudioServer, fetch: Fetch) -> None:
    server.paths |= {f"/{number}.mp3": redirect(f"/{number + 1}.mp3") for number in range(1, 10)}
    server.paths["/7.mp3"] = AudioFile()
    assert [reason for _, reason in (await fetch(track(server, 1))).failed] == ["more than 5 redirects"]
    assert len(server.requests) == 6
    assert (await fetch(track(server, 2))).downloaded == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/", "http://user@host/", "http://["])
async def test_a_redirect_to_something_else_than_plain_http_is_refused(
    server: AudioServer, fetch: Fetch, location: str
) -> None:
    server.paths["/1.mp3"] = redirect(location)
    ((_, reason),) = (await fetch(track(server))).failed
    assert location in reason


async def test_a_redirect_without_a_location_is_a_failure(server: AudioServer, fetch: Fetch) -> None:
    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302)

    server.paths["/1.mp3"] = respond
    assert [reason for _, reason in (await fetch(track(server))).failed] == ["HTTP 302"]


# Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"])
async def test_another_port_of_this_machine_is_never_reached(
    server: AudioServer, fetch: Fetch, make_server: MakeServer, host: str
) -> None:
    other = await make_server()
    port = other.url.rpartition(":")[2]
    target = f"http://{host}:{port}/a.mp3"
    server.paths["/2.mp3"] = redirect(target)
    report = await fetch(Track(1, None, target), track(server, 2))
    assert len(report.failed) == 2
    assert all(REFUSED in reason or "not a canonical IPv4 address" in reason for _, reason in report.failed)
    assert other.requests == []
    assert len(server.requests) == 1


async def test_the_origin_of_a_session_is_reached_only_by_its_own_scheme_host_and_port(
    fake: FakeJogg, jogg: JoggSession, folder: Path
) -> None:
    port = fake.url.rpartition(":")[2]
    urls = [f"{fake.url}/music/1.wav", f"http://localhost:{port}/music/2.wav", f"https://127.0.0.1:{port}/music/3.wav"]
    tracks = [Track(number, None, url) for number, url in enumerate(urls)]
    report = await jogg_async.download(tracks, folder)
    assert (report.downloaded, len(report.failed)) == (1, 2)


async def test_the_environment_s_base_url_is_an_origin_too(
    server: AudioServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.paths["/1.mp3"] = AudioFile()
    assert len((await jogg_async.download([track(server)], folder)).failed) == 1
    monkeypatch.setenv("JOGG_BASE_URL", f"{server.url}/prefix")
    assert (await jogg_async.download([track(server)], folder)).downloaded == 1


class HostileNetwork:
    """Network in which a name resolves to another address each time, and every connection is refused.

    Attributes:
        connected: addresses to which a connection was attempted.
    """

    def __init__(self, draw: random.Random) -> None:
        self.connected: list[str] = []
        self._draw = draw

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        try:
            addresses = [socket.inet_ntoa(socket.inet_aton(host))]  # takes 127.1 and 0x7f000001 as well
        except (OSError, UnicodeEncodeError):
            addresses = self._draw.sample(ADDRESSES, self._draw.randint(1, 3))
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (families[ip.version], socket.SOCK_STREAM, 6, "", (str(ip), port, 0, 0)[: 2 if ip.version == 4 else 4])
            for ip in map(ipaddress.ip_address, addresses)
        ]

    async def sock_connect(self, _: socket.socket, address: tuple[Any, ...]) -> None:
        self.connected.append(str(address[0]))
        raise ConnectionRefusedError(111, "Connection refused")


ADDRESSES = [
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.3.4", "192.168.0.7", "169.254.169.254", "100.64.1.1", "0.0.0.0"),
    *(
        "224.0.0.251",
        "240.1.1.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fec0::1",
        "fc00::7",
        "ff02::1",
    ),
    *("::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::7f00:1", "64:ff9b::a01:203", "2002:7f00:1::", "::127.0.0.1"),
    *("8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::808:808", "1.1.1.1"),
]
PRIVATE = [
    ipaddress.ip_network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/96", "::ffff:7f00:0/104"),
        *("::ffff:a00:0/104", "64:ff9b::7f00:0/104", "64:ff9b::a00:0/104", "2002:7f00::/24", "fc00::/7", "fe80::/10"),
        *("fec0::/10", "ff00::/8"),
    )
]
HOSTS = [
    *("music.test", "localhost", "LOCALHOST.", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "1.1.1.1"),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "xn--80ak6aa92e.com", "a" * 64, "a" * 300, "ü.test", "-", "_", "%31%32%37.0.0.1"),
    *("user@127.0.0.1", "host@evil@127.0.0.1", "8.8.8.8#@127.0.0.1", "127.0.0.1%00.test", "\u202e1.0.0.721", ""),
]
SCHEMES = ["http://", "http://", "https://", "HTTP://", "http:", "http:/\\", "//", "", "ftp://", "file://", "\thttp://"]
ENDS = [
    "",
    ":80/a.mp3",
    ":0/",
    ":65536/",
    "/../../etc/passwd",
    "/a\r\nx: y",
    "?q=\x00",
    "/%2e%2e%2f",
    "/\ud800",
    ":\\@x/",
]
TITLE_PARTS = [
    *("..", "/", "\\", "C:", "\0", "\n", "\u202e", "\ud800", "CON", "x" * 300, "音" * 90, "e\u0301", ".part", " ", "~"),
    *("Song", "$(id)", "*", "\u2028", ".mp3"),
]


def hostile_url(draw: random.Random) -> str:
    """Return a URL that may lead to a private address, or be malformed."""
    address = draw.choice(ADDRESSES)
    host = draw.choice([f"[{address}]" if ":" in address else address, draw.choice(HOSTS)])
    url = draw.choice(SCHEMES) + host + draw.choice(ENDS)
    place = draw.randint(0, len(url))
    return url if draw.random() < 0.9 else url[:place] + chr(draw.randint(0, 0x2FFF)) + url[place:]


def hostile_title(draw: random.Random) -> str:
    """Return a title with parts that a file system or a terminal would interpret."""
    return "".join(draw.choices(TITLE_PARTS, k=draw.randint(0, 5)))


async def test_hostile_urls_never_reach_a_private_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(7)
    network, loop = HostileNetwork(draw), asyncio.get_running_loop()
    tracks = [Track(number, hostile_title(draw), hostile_url(draw)) for number in range(10_000 if LONG_RUN else 1000)]
    monkeypatch.setattr(loop, "getaddrinfo", network.getaddrinfo)
    monkeypatch.setattr(loop, "sock_connect", network.sock_connect)
    report = await jogg_async.download(tracks, folder, retry=ONE_ATTEMPT)
    assert len(report.failed) == len(tracks)
    assert sum(REFUSED in reason for _, reason in report.failed) > len(tracks) / 10
    assert names(folder) == []
    assert len(set(network.connected)) == 5
    for address in map(ipaddress.ip_address, network.connected):
        assert not [each for each in PRIVATE if address in each]


async def test_hostile_titles_never_leave_the_folder(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    draw = random.Random(7)
    tracks: list[Track] = []
    for number in range(10_000 if LONG_RUN else 300):
        path = f"/{number}/{draw.choice(['a.mp3', '..%2f..%2fa.wav', 'a.sh', ''])}"
        server.paths[path.replace("%2f", "/")] = AudioFile(b"audio")
        tracks.append(Track(number - 100, hostile_title(draw), f"{server.url}{path}"))
    report = await fetch(*tracks)
    assert (report.downloaded, report.failed) == (len(tracks), ())
    assert names(folder.parent) == ["music"]
    files = list(folder.rglob("*"))
    assert len(files) == len(tracks)
    assert {each.parent for each in files} == {folder}
    assert {each.suffix for each in files} == {".mp3", ".wav"}
    assert (await fetch(*tracks)).skipped == len(tracks)
