from __future__ import annotations

import pytest
from yarl import URL

from jogg_async._http.addresses import is_public, origin_of, own_origins, parse_url
from jogg_async._http.transfer_error import TransferError

REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.2.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
    240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
    64:ff9b::127.0.0.1 64:ff9b::a00:1 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::
    2002:c0a8:101::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
""".split()  # noqa: SIM905 (shorter than a list of literals)

PUBLIC = """
    8.8.8.8 1.1.1.1 93.184.215.14 172.32.0.1 192.167.255.255 100.63.255.255 223.255.255.255
    2606:4700:4700::1111 2a00:1450:4001:82a::200e 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:808:808::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", REFUSED)
def test_private_and_reserved_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_global_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "1.1.1", "[::1]", "8.8.8.8:80", "08.8.8.8"])
def test_text_that_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.mp3", "/a.mp3", "//host/a.mp3", "http:///a.mp3", "http://", "https://:80/", "http://host:0/"),
        *(
            "file:///etc/passwd",
            "ftp://host/a",
            "data:audio/wav;base64,AA==",
            "javascript:alert(1)",
            "blob:http://host/",
        ),
        *(
            "http://host:99999/",
            "http://host:a/",
            "http://[::1",
            "http://a\\@b/",
            "http://user@host/",
            "http://:p@host/",
        ),
        *("http://user:p@host/a.mp3", "http:host/a", "http+unix://%2Ftmp%2Fsocket/", "x" * 10_000),
    ],
)
def test_a_url_that_is_not_plain_http_is_refused(text: str) -> None:
    with pytest.raises(TransferError) as refused:
        parse_url(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://host/a%2fb.mp3?sig=%2F+%3d#t=1", "https://host/a%2fb.mp3?sig=%2F+%3d"),
        ("http://host/ä b.mp3", "http://host/%C3%A4%20b.mp3"),
        ("http://host/a\r\nx-api-key: b", "http://host/ax-api-key:%20b"),
        ("HTTPS://Host:8443/", "https://Host:8443/"),
    ],
)
def test_a_url_keeps_its_escapes_but_no_fragment_or_line_break(text: str, url: str) -> None:
    assert str(parse_url(text)) == url


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b.mp3", "https://host/b.mp3"),
        ("b.mp3", "https://host/dir/b.mp3"),
        ("//other/b.mp3", "https://other/b.mp3"),
        ("http://other/b.mp3", "http://other/b.mp3"),
    ],
)
def test_a_redirect_may_be_relative(location: str, url: str) -> None:
    assert str(parse_url(location, URL("https://host/dir/a.mp3"))) == url


def test_an_origin_is_scheme_host_and_port() -> None:
    own = own_origins([URL("https://Music.test/prefix")])
    assert origin_of(URL("https://music.test:443/other")) in own
    for other in ("http://music.test/", "https://music.test:8443/", "https://a.music.test/"):
        assert origin_of(URL(other)) not in own
