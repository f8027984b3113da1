"""No other site and no other user reaches the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jogg_async.browse.access import Access

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg

    from .conftest import Client

OWN = "127.0.0.1:8000"
FOLLOWED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Host": OWN}, True),
        ({"Host": "LOCALHOST:8000"}, True),
        ({}, False),
        ({"Host": "127.0.0.1"}, False),
        ({"Host": "127.0.0.1:8001"}, False),
        ({"Host": "attacker.example:8000"}, False),
        ({"Host": "127.0.0.1:8000.attacker.example"}, False),
        ({"Host": OWN, "Origin": f"http://{OWN}"}, True),
        ({"Host": OWN, "Origin": "http://localhost:8000"}, False),
        ({"Host": OWN, "Origin": "https://attacker.example"}, False),
        ({"Host": OWN, "Origin": "null"}, False),
        ({"Host": OWN, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Host": OWN, "Sec-Fetch-Site": "none"}, True),
        ({"Host": OWN, "Sec-Fetch-Site": "same-site"}, False),
        ({"Host": OWN, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Host": OWN, "Sec-Fetch-Site": "cross-site", **FOLLOWED}, True),
        ({"Host": OWN, "Sec-Fetch-Site": "cross-site", **FOLLOWED, "Sec-Fetch-Dest": "iframe"}, False),
    ],
)
def test_only_requests_from_the_pages_own_origin_are_allowed(headers: dict[str, str], allowed: bool) -> None:
    assert (Access(8000).refusal(headers) is None) is allowed


def test_host_header_without_a_port_is_accepted_on_port_80() -> None:
    assert Access(80).refusal({"Host": "localhost"}) is None


def test_each_run_has_a_token_of_its_own() -> None:
    one, other = Access(8000), Access(8000)
    assert one.allows(one.token)
    assert not one.allows(other.token)
    assert not one.allows("")
    assert not one.allows("é")


def test_the_address_for_the_browser_works_once() -> None:
    access = Access(8000)
    given = access.new_one_time_token()
    assert not access.allows(given)
    assert [access.use_one_time_token(given), access.use_one_time_token(given)] == [True, False]


PROTECTED = ["/", "/settings", "/tracks", "/audio/1"]


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?pass=wrong"])
async def test_without_the_token_nothing_of_the_catalogue_is_sent(client: Client, path: str, query: str) -> None:
    response = await client.get(f"{client.origin}{path}{query}")
    assert response.status == 403
    assert b"Fountain" not in response.body


async def test_a_retry_needs_the_token(client: Client) -> None:
    assert (await client.get(f"{client.origin}/retry", method="POST")).status == 403


@pytest.mark.parametrize("path", [*PROTECTED, "/app.js"])
@pytest.mark.parametrize(
    "headers", [{"Host": "attacker.example"}, {"Origin": "https://attacker.example"}, {"Sec_Fetch_Site": "cross-site"}]
)
async def test_requests_of_another_site_are_refused_even_with_the_token(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    response = await client.get(client.address(path), **headers)
    assert response.status == 403
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_preflight_of_another_site_is_refused(client: Client) -> None:
    response = await client.get(client.address("/tracks"), method="OPTIONS", Origin="https://attacker.example")
    assert response.status == 403


@pytest.mark.parametrize("path", ["/", "/app.js", "/settings", "/no-such-file", "/audio/9"])
async def test_every_response_has_headers_that_restrict_the_page_to_its_own_server(client: Client, path: str) -> None:
    headers = (await client.get(client.address(path))).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


async def test_the_server_listens_on_loopback_only(client: Client) -> None:
    assert [host for host, _ in client.server._runner.addresses] == ["127.0.0.1"]


async def test_the_page_has_no_inline_code_and_no_outside_address(client: Client) -> None:
    for name in ("/", "/app.js", "/style.css", "/player.js"):
        text = (await client.get(client.address(name))).text
        assert "style=" not in text
        assert "<script>" not in text
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


async def test_one_time_address_redirects_to_the_page_once_and_is_then_refused(client: Client) -> None:
    address = client.server.url_for_browser()
    assert client.token not in address
    first, second = await client.get(address), await client.get(address)
    assert (first.status, first.headers["Location"]) == (303, f"/?token={client.token}")
    assert second.status == 403
    assert client.token not in second.text


@pytest.mark.parametrize("path", [*PROTECTED, "/app.js"])
async def test_head_request_is_refused_and_starts_no_crawl(client: Client, fake: FakeJogg, path: str) -> None:
    response = await client.get(client.address(path), method="HEAD")
    assert (response.status, response.body, fake.requests) == (405, b"", [])


async def test_head_request_does_not_use_up_the_one_time_address(client: Client) -> None:
    address = client.server.url_for_browser()
    assert [(await client.get(address, method=method)).status for method in ("HEAD", "GET")] == [405, 303]


async def test_address_with_the_token_returns_the_html_page(client: Client) -> None:
    response = await client.get(client.server.url)
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert '<script type="module" src="app.js">' in response.text


@pytest.mark.parametrize("path", ["/index.html", "/__init__.py", "/..%2Fserver.py", "/page/app.js", "/audio/x"])
async def test_only_the_files_of_the_page_are_served(client: Client, path: str) -> None:
    assert (await client.get(client.address(path))).status == 404
