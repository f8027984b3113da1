"""The web apps of docs/examples under their servers, with 200 clients at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Final

import aiohttp
import pytest

from jogg_async.testing import FakeJogg, Fault

from .conftest import Served

CLIENTS: Final = 200
RID: Final = "c" * 32


async def get(browser: aiohttp.ClientSession, url: str) -> tuple[int, Any, str | None]:
    """Return the status, the JSON and the header Retry-After of a response."""
    async with browser.get(url) as response:
        return response.status, await response.json(), response.headers.get("Retry-After")


async def body(browser: aiohttp.ClientSession, url: str) -> bytes:
    """Return the body of a successful response."""
    async with browser.get(url) as response:
        assert response.status == 200
        return await response.read()


async def lines(browser: aiohttp.ClientSession, url: str) -> list[int]:
    """Return the ids of the tracks that a stream of JSON lines brings."""
    async with browser.get(url) as response:
        assert (response.status, response.content_type) == (200, "application/x-ndjson")
        return [json.loads(line)["id"] async for line in response.content]


async def read_into(found: list[int], response: aiohttp.ClientResponse) -> None:
    """Append the ids of the tracks that a stream brings."""
    async for line in response.content:
        found += [json.loads(line)["id"]]


async def settled(fake: FakeJogg) -> int:
    """Wait until no request arrives any more, and return how many did."""
    async with asyncio.timeout(20):
        while True:
            known = len(fake.requests)
            await asyncio.sleep(0.3)
            if len(fake.requests) == known:
                return known


async def test_200_clients_at_once_get_their_page(shared: Served, browser: aiohttp.ClientSession) -> None:
    urls = [f"{shared.url}/music?page={number % 25 + 1}" for number in range(CLIENTS)]
    responses = await asyncio.gather(*(get(browser, url) for url in urls))
    assert Counter(status for status, _, _ in responses) == {200: CLIENTS}
    for number, (_, body, _) in enumerate(responses):
        first = number % 25 * 20
        assert body["tracks"] == list(shared.fake.catalogue[first : first + 20])
    assert len(shared.fake.requests) == CLIENTS
    assert shared.fake.max_in_flight <= 16
    assert shared.fake.open_connections <= 16


async def test_filter_reaches_the_service(shared: Served, browser: aiohttp.ClientSession) -> None:
    _, body, _ = await get(browser, f"{shared.url}/music?mood=Calm")
    assert body["tracks"] == list(shared.fake.catalogue.filtered(mood="Calm"))[:20]


async def test_bad_page_is_refused_before_any_request(shared: Served, browser: aiohttp.ClientSession) -> None:
    for page in ("abc", "0", "-1", "1.5", "", "1" + 30 * "0"):
        status, _, _ = await get(browser, f"{shared.url}/music?page={page}")
        assert status in (400, 422), page
    assert shared.fake.requests == []


async def test_200_clients_at_once_stream_every_track(shared: Served, browser: aiohttp.ClientSession) -> None:
    found = await asyncio.gather(*(lines(browser, f"{shared.url}/music.ndjson") for _ in range(CLIENTS)))
    assert found == [list(range(1, 501))] * CLIENTS
    assert Counter(shared.fake.pages) == dict.fromkeys(range(1, 6), CLIENTS)


@pytest.mark.fake_jogg(latency=0.02)
async def test_catalogue_is_crawled_once_for_200_clients_at_once(app: Served, browser: aiohttp.ClientSession) -> None:
    for _ in range(2):
        bodies = await asyncio.gather(*(body(browser, f"{app.url}/catalogue") for _ in range(CLIENTS)))
        assert len(bodies) == CLIENTS
        (same,) = set(bodies)
        assert json.loads(same) == list(app.fake.catalogue)
    assert sorted(page or 0 for page in app.fake.pages) == list(range(1, 26))


@pytest.mark.fake_jogg(latency=0.1)
async def test_client_that_leaves_does_not_stop_the_crawl_that_others_wait_for(
    app: Served, browser: aiohttp.ClientSession
) -> None:
    first = asyncio.ensure_future(get(browser, f"{app.url}/catalogue"))
    while not app.fake.requests:  # noqa: ASYNC110 (the fake tells nobody)
        await asyncio.sleep(0.01)
    second = asyncio.ensure_future(get(browser, f"{app.url}/catalogue"))
    await asyncio.sleep(0.05)
    first.cancel()
    status, body, _ = await second
    assert (status, len(body)) == (200, 2500)
    assert len(app.fake.requests) == 25


async def test_failed_crawl_is_not_cached(app: Served, browser: aiohttp.ClientSession) -> None:
    app.fake.fail(Fault.business(40000), page=1)
    assert (await get(browser, f"{app.url}/catalogue"))[0] == 400
    assert (await get(browser, f"{app.url}/catalogue"))[0] == 200


@pytest.mark.fake_jogg(tracks=100_000, latency=0.02)
async def test_client_that_leaves_midway_stops_its_crawl(app: Served, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{app.url}/music.ndjson") as response:
        assert json.loads(await response.content.readline())["id"] == 1
    left = len(app.fake.requests)
    # At most some requests more, sent before the server noticed: without an end there would be a thousand.
    assert await settled(app.fake) <= left + 20
    assert app.fake.in_flight == 0


@pytest.mark.parametrize("app", ["aiohttp"], indirect=True)
async def test_client_that_leaves_cancels_its_handler_and_the_request_to_the_service_under_aiohttp(
    app: Served, browser: aiohttp.ClientSession
) -> None:
    app.fake.fail(Fault.slow(60))
    waiting = asyncio.ensure_future(get(browser, f"{app.url}/music"))
    while not app.fake.requests:  # noqa: ASYNC110 (the fake tells nobody)
        await asyncio.sleep(0.01)
    waiting.cancel()
    async with asyncio.timeout(4):  # sooner than the handler's own timeout
        while app.fake.open_connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_stream_that_fails_midway_does_not_look_complete(shared: Served, browser: aiohttp.ClientSession) -> None:
    shared.fake.fail(Fault.business(40000), page=4)
    found: list[int] = []
    async with browser.get(f"{shared.url}/music.ndjson") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_into(found, response)
    assert found == list(range(1, len(found) + 1))
    assert len(found) <= 300


async def test_failure_before_the_first_line_has_a_status(shared: Served, browser: aiohttp.ClientSession) -> None:
    shared.fake.fail(Fault.business(10105, rid=RID))
    assert await get(browser, f"{shared.url}/music.ndjson") == (
        500,
        {"error": "Internal Server Error", "rid": RID},
        None,
    )


async def test_rate_limit_is_passed_on_with_its_wait(app: Served, browser: aiohttp.ClientSession) -> None:
    app.fake.fail(Fault.business(429, retry_after=40, rid=RID), times=None)
    status, body, retry_after = await get(browser, f"{app.url}/music")
    assert (status, body) == (503, {"error": "Service Unavailable", "rid": RID})
    assert retry_after == "40"
    for path in ("/music", "/music?page=2", "/music.ndjson"):
        status, body, retry_after = await get(browser, app.url + path)
        assert (status, body) == (503, {"error": "Service Unavailable", "rid": None})
        assert 30 <= int(retry_after or 0) <= 40
    assert len(app.fake.requests) == 1
    status, body, _ = await get(browser, f"{app.url}/health")
    assert (status, body["status"]) == (200, "paused")
    assert 30 < body["paused"] <= 40


async def test_health_is_ok_before_any_request(shared: Served, browser: aiohttp.ClientSession) -> None:
    assert (await get(browser, f"{shared.url}/health"))[:2] == (200, {"status": "ok", "paused": 0.0})
    assert shared.fake.requests == []


FAILURES: Final[tuple[tuple[Fault, int], ...]] = (
    (Fault.business(10105, "no such key", rid=RID), 500),
    (Fault.business(18025, rid=RID), 500),
    (Fault.business(18020, rid=RID), 500),
    (Fault.business(10104, rid=RID), 404),
    (Fault.business(40000, rid=RID), 400),
    (Fault.business(50000, rid=RID), 502),
    (Fault.html(502), 502),
    (Fault.reset(), 502),
    (Fault.raw(b"{"), 502),
    (Fault.redirect("http://127.0.0.1:9/"), 502),
    (Fault.stall(), 504),
)


async def test_each_failure_is_mapped_to_a_status_and_shows_only_a_generic_error_and_rid(
    shared: Served, browser: aiohttp.ClientSession
) -> None:
    for number, (fault, _) in enumerate(FAILURES, 1):
        shared.fake.fail(fault, page=number, times=None)
    urls = [f"{shared.url}/music?page={number}" for number in range(1, len(FAILURES) + 1)]
    responses = await asyncio.gather(*(get(browser, url) for url in [*urls, f"{shared.url}/music?page=999"]))
    assert [status for status, _, _ in responses] == [*(status for _, status in FAILURES), 404]
    for _, body, _ in responses:
        assert body.keys() == {"error", "rid"}
        assert body["error"] in {"Internal Server Error", "Not Found", "Bad Request", "Bad Gateway", "Gateway Timeout"}
        assert body["rid"] in (RID, None)
