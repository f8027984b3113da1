"""Audio through the page's own server, for media hosts that refuse pages of other origins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from jogg_async.browse.sources import ServiceSource
from jogg_async.testing import Fault

from .conftest import is_in_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jogg_async.testing import FakeJogg
    from tests.conftest import MakeFake, MakeSession

    from .conftest import Client, Serve


@pytest.fixture
async def loaded(client: Client) -> Client:
    await client.messages(is_in_state("complete"))
    return client


async def test_audio_file_is_proxied_unchanged(loaded: Client, fake: FakeJogg) -> None:
    through = await loaded.get(loaded.address("/audio/7"))
    direct = await loaded.get(f"{fake.url}/music/7.wav")
    assert (through.status, through.headers["Content-Type"]) == (200, "audio/wav")
    assert through.body == direct.body


async def test_range_request_is_proxied_so_that_the_player_can_seek(loaded: Client) -> None:
    response = await loaded.get(loaded.address("/audio/7"), Range="bytes=100-199")
    assert (response.status, len(response.body)) == (206, 100)
    assert response.headers["Content-Range"] == "bytes 100-199/24044"


async def test_audio_of_a_track_that_was_not_sent_to_the_browser_is_not_found(loaded: Client, fake: FakeJogg) -> None:
    assert (await loaded.get(loaded.address("/audio/251"))).status == 404
    assert not any(request.path.startswith("/music") for request in fake.requests)


@pytest.mark.parametrize("url", [None, "", "file:///etc/passwd", "javascript:alert(1)", "music.wav"])
async def test_only_web_addresses_are_fetched(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve, url: str | None
) -> None:
    client = await serve(ServiceSource(make_session(await make_fake([{"id": 1, "music_url": url}]))))
    await client.messages(is_in_state("complete"))
    response = await client.get(client.address("/audio/1"))
    assert (response.status, response.text) == (404, "The track has no audio file.")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (404, "The media host responded with HTTP 404."),
        (502, "The media host responded with HTTP 502."),
        (Fault.drop(), "The media host could not be reached (ServerDisconnectedError)."),
    ],
)
async def test_response_to_a_failure_of_the_media_host_has_the_reason(
    loaded: Client, fake: FakeJogg, fault: Fault | int, reason: str
) -> None:
    fake.fail(fault, path="/music/7.wav", times=None)
    response = await loaded.get(loaded.address("/audio/7"))
    assert (response.status, response.text) == (502, reason)


async def test_file_that_the_media_host_breaks_off_is_an_incomplete_response(loaded: Client, fake: FakeJogg) -> None:
    fake.fail(Fault.truncate(), path="/music/7.wav", times=None)
    with pytest.raises(aiohttp.ClientPayloadError):
        await loaded.get(loaded.address("/audio/7"))


async def test_a_malformed_address_is_a_failure_of_the_media_host(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve
) -> None:
    client = await serve(ServiceSource(make_session(await make_fake([{"id": 1, "music_url": "http://["}]))))
    await client.messages(is_in_state("complete"))
    assert (await client.get(client.address("/audio/1"))).status == 502


@pytest.fixture
async def page_host() -> AsyncIterator[str]:
    """A host that sends a page in place of audio, and asks for a cookie."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<p>Please log in</p>", content_type="text/html", headers={"Set-Cookie": "a=b"})

    runner = web.AppRunner(app := web.Application(), access_log=None)
    app.add_routes([web.get("/{path:.*}", page)])
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_html_page_in_place_of_audio_is_refused(
    make_fake: MakeFake, make_session: MakeSession, serve: Serve, page_host: str
) -> None:
    client = await serve(ServiceSource(make_session(await make_fake([{"id": 1, "music_url": page_host}]))))
    await client.messages(is_in_state("complete"))
    response = await client.get(client.address("/audio/1"))
    assert (response.status, response.text) == (502, "The media host sent text/html instead of audio.")
    assert "Set-Cookie" not in response.headers
