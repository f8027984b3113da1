"""Loading, empty, paused, failed and lost: each is shown as what it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jogg_async import RetryPolicy
from jogg_async.browse.server import BrowseServer
from jogg_async.browse.sources import ServiceSource
from jogg_async.testing import FakeJogg, Fault

if TYPE_CHECKING:
    from .conftest import Browse

PATIENT = RetryPolicy(wait_initial=0.0, wait_jitter=0.0)


async def test_tracks_are_shown_while_others_are_still_loading(browse: Browse) -> None:
    fake = FakeJogg(1000)
    fake.fail(Fault.stall(2.0), page=3, times=2)
    browsing = await browse(fake, retry=PATIENT)
    await browsing.counts("Loading 200 of 1,000 tracks")
    assert await browsing.page.get_by_role("progressbar").get_attribute("aria-valuenow") == "20"
    await browsing.press("End", "c")
    await browsing.shows("Copied id 200")
    await browsing.counts("1,000 tracks")
    assert not await browsing.page.get_by_role("progressbar").is_visible()


async def test_an_empty_result_names_the_filters_and_clears_them(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.page.fill("#search", "no such title")
    await browsing.shows("No tracks match")
    await browsing.shows("Filters: title with “no such title”")
    await browsing.page.get_by_role("button", name="Clear all filters").click()
    await browsing.counts("2,500 tracks")
    assert not await browsing.page.locator("#empty").is_visible()


async def test_an_empty_catalogue_is_not_blamed_on_filters(browse: Browse) -> None:
    browsing = await browse(FakeJogg(0))
    await browsing.shows("The catalogue is empty")
    assert not await browsing.page.get_by_role("button", name="Clear all filters").is_visible()


async def test_a_rate_limit_counts_down_and_loading_continues(browse: Browse) -> None:
    fake = FakeJogg(300)
    fake.fail(Fault.business(429, retry_after=3), page=2)
    browsing = await browse(fake, retry=PATIENT)
    await browsing.shows("Rate limit reached: loading continues in 2 s.")
    await browsing.counts("300 tracks")
    assert not await browsing.page.get_by_text("Rate limit reached").is_visible()


async def test_failure_is_shown_with_advice_and_a_successful_retry_removes_it(browse: Browse) -> None:
    fake = FakeJogg(300)
    fake.fail(Fault.business(10105, rid="e" * 32), times=None)
    browsing = await browse(fake)
    await browsing.shows("The tracks could not be loaded.")
    await browsing.shows("Check the key in JOGG_API_KEY, and start jogg-async browse again.")
    assert f"rid {'e' * 32}" in await browsing.page.inner_text("#notices")
    assert fake.api_key not in await browsing.page.content()
    fake.clear()
    await browsing.page.get_by_role("button", name="Try again").click()
    await browsing.counts("300 tracks")
    assert await browsing.page.inner_text("#notices") == ""


async def test_a_broken_connection_is_opened_again_without_loading_twice(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    asked: list[str] = []
    browsing.page.on("request", lambda request: asked.append(request.url))
    server = browsing.server._runner.server
    assert server is not None
    for connection in server.connections:
        connection.force_close()
        if connection.transport is not None:
            connection.transport.abort()
    async with asyncio.timeout(5):
        while not asked:  # noqa: ASYNC110 (the page tells nobody)
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    assert "after=25&" in asked[0]
    assert await browsing.page.inner_text("#count") == "2,500 tracks"
    assert not await browsing.page.get_by_text("Connection to jogg-async lost").is_visible()


async def test_a_lost_server_is_shown_and_loaded_tracks_still_play(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.server.__aexit__(None, None, None)
    await browsing.shows("Connection to jogg-async lost. Is it still running?")
    await browsing.press("Home", "Space")
    await browsing.plays()
    await browsing.page.fill("#search", "cafe")
    assert "Café" in (await browsing.titles())[0]


async def test_page_of_an_earlier_run_shows_that_it_is_outdated(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    port = int(browsing.server.url.split(":")[2].partition("/")[0])
    await browsing.server.__aexit__(None, None, None)
    async with BrowseServer(ServiceSource(browsing.session), port=port):
        await browsing.shows("This page belongs to an earlier run of jogg-async browse.")
        await browsing.shows("Open the address that the last run printed.")


async def test_changed_catalogue_is_reported_and_can_be_loaded_again(browse: Browse) -> None:
    fake = FakeJogg(300)
    fake.mutate_after(1, lambda catalogue: catalogue.remove(0))
    browsing = await browse(fake)
    await browsing.shows("The catalogue changed while it was loaded: some tracks may be missing.")
    await browsing.page.get_by_role("button", name="Load again").click()
    await browsing.page.get_by_text("some tracks may be missing").wait_for(state="hidden")
    await browsing.counts("299 tracks")
    await browsing.press("Home", "c")
    await browsing.shows("Copied id 2")


async def test_invalid_records_are_counted(browse: Browse) -> None:
    browsing = await browse(FakeJogg([{"id": 1}, {"id": "two"}]))
    await browsing.shows("Invalid records left out: 1.")


async def test_a_screen_reader_is_told_of_matches_copies_and_failures(browse: Browse) -> None:
    browsing = await browse()
    browsing.fake.fail(404, path="/music/1.wav", times=None)
    await browsing.counts("2,500 tracks")
    said = browsing.page.locator("[role=status]")
    await browsing.page.fill("#search", "no such title")
    await said.get_by_text("0 of 2,500 tracks").wait_for(state="attached")
    await browsing.press("Escape", "Escape", "Home", "c")
    await said.get_by_text("Copied id 1").wait_for()
    await browsing.press("Space")
    title = browsing.fake.catalogue[0]["name"]
    await said.get_by_text(f"{title} cannot be played.").wait_for(state="attached")
