"""Searching, filtering, sorting, playing and copying, with the mouse and with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from jogg_async.testing import FakeJogg
from jogg_async.testing._audio import wav_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .conftest import Browse


FOCUSED = "document.activeElement.id || document.activeElement.textContent.trim()"


def names(fake: FakeJogg, **filters: str) -> list[str]:
    return [row["name"] for row in fake.catalogue.filtered(**filters)]


async def test_the_catalogue_is_shown_in_its_order(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    shown = await browsing.titles()
    assert len(shown) >= 10
    assert shown == names(browsing.fake)[: len(shown)]


async def test_search_finds_words_of_titles_regardless_of_accents_and_case(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.page.fill("#search", "CAFE gold")
    expected = [name for name in names(browsing.fake) if "Café" in name and "Gold" in name]
    await browsing.counts(f"{len(expected)} of 2,500 tracks")
    assert await browsing.titles() == expected


async def test_search_finds_a_track_by_its_id(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.page.fill("#search", "1234")
    await browsing.counts("1 of 2,500 tracks")
    assert await browsing.titles() == [browsing.fake.catalogue[1233]["name"]]


async def test_genre_and_mood_are_filtered_by_the_service(browse: Browse) -> None:
    browsing = await browse()
    await browsing.page.fill("#genre", "Jazz")
    await browsing.page.fill("#mood", "Calm")
    expected = names(browsing.fake, genre="Jazz", mood="Calm")
    await browsing.counts(f"{len(expected)} tracks")
    shown = await browsing.titles()
    assert shown == expected[: len(shown)]
    assert dict(browsing.fake.requests[-1].query)["genre"] == "Jazz"
    await browsing.page.get_by_role("button", name="Clear").first.click()
    await browsing.counts("2,500 tracks")


async def test_a_filter_changed_while_tracks_load_shows_only_the_new_ones(browse: Browse) -> None:
    browsing = await browse(FakeJogg(2500, latency=0.1))
    await browsing.page.fill("#genre", "Jazz")
    await browsing.page.fill("#genre", "Rock")
    expected = names(browsing.fake, genre="Rock")
    await browsing.counts(f"{len(expected)} tracks")
    await browsing.press("Escape", "End")
    assert await browsing.page.locator(".row.chosen .title").inner_text() == expected[-1]


async def test_duration_is_filtered_in_the_browser_without_a_request(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    before = len(browsing.fake.requests)
    await browsing.page.select_option("#length", label="1 to 2 min")
    count = sum(60 <= row["duration"] < 120 for row in browsing.fake.catalogue)
    await browsing.counts(f"{count:,} of 2,500 tracks")
    assert len(browsing.fake.requests) == before


@pytest.mark.parametrize(("header", "field"), [("Title", "name"), ("ID", "id"), ("Length", "duration")])
async def test_column_header_sorts_ascending_then_descending_then_restores_the_order(
    browse: Browse, header: str, field: str
) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    rows = list(browsing.fake.catalogue)
    column = browsing.page.get_by_role("columnheader", name=header)
    for direction, expected in [
        ("ascending", sorted(rows, key=lambda row: row[field])),
        ("descending", sorted(rows, key=lambda row: row[field], reverse=True)),
        (None, rows),
    ]:
        await column.get_by_role("button").click()
        shown = await browsing.titles()
        assert await column.get_attribute("aria-sort") == direction
        assert shown == [row["name"] for row in expected][: len(shown)]


async def test_a_track_plays_directly_from_its_host_and_its_position_moves(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.page.locator(".row .tile").nth(2).click()
    await browsing.plays(0.3)
    assert await browsing.audio("src") == browsing.fake.catalogue[2]["music_url"]
    assert int(await browsing.page.input_value("#position")) > 100
    assert await browsing.page.inner_text("#now-title") == browsing.fake.catalogue[2]["name"]
    assert await browsing.page.locator(".row.playing .title").inner_text() == browsing.fake.catalogue[2]["name"]


async def test_the_player_pauses_seeks_mutes_and_goes_on_to_the_next(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    page = browsing.page
    await page.locator(".row .tile").first.click()
    await browsing.plays()
    await page.get_by_role("button", name="Pause", exact=True).click()
    assert await browsing.audio("paused")
    await page.get_by_role("slider", name="Position").fill("500")
    assert await browsing.audio("currentTime") == pytest.approx(0.75, abs=0.02)
    await page.get_by_role("button", name="Mute").click()
    assert await browsing.audio("muted")
    await page.get_by_role("slider", name="Volume").fill("30")
    assert await browsing.audio("volume") == pytest.approx(0.3)
    assert not await browsing.audio("muted")
    await page.get_by_role("button", name="Next track").click()
    await browsing.plays()
    assert await page.inner_text("#now-title") == browsing.fake.catalogue[1]["name"]


async def test_the_volume_is_kept_for_the_next_time(browse: Browse) -> None:
    browsing = await browse()
    await browsing.page.get_by_role("slider", name="Volume").fill("30")
    await browsing.page.reload()
    await browsing.counts("2,500 tracks")
    assert await browsing.audio("volume") == pytest.approx(0.3)


async def test_the_id_is_copied_by_the_button_of_a_row(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.page.locator(".row").nth(4).hover()
    await browsing.page.get_by_role("button", name=f"Copy the id of {browsing.fake.catalogue[4]['name']}").click()
    await browsing.shows("Copied id 5")
    assert await browsing.page.evaluate("navigator.clipboard.readText()") == "5"


async def test_ids_beyond_53_bits_are_copied_exactly(browse: Browse) -> None:
    browsing = await browse(FakeJogg([{"id": 2**63 - 1, "name": "Last"}, {"id": 2**53 + 1, "name": "Odd"}]))
    await browsing.counts("2 tracks")
    await browsing.press("ArrowDown", "c")
    await browsing.shows(f"Copied id {2**53 + 1}")
    assert await browsing.page.evaluate("navigator.clipboard.readText()") == str(2**53 + 1)


async def test_keyboard_chooses_a_track(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    rows = list(browsing.fake.catalogue)
    chosen = browsing.page.locator(".row.chosen .title")
    await browsing.press("ArrowDown", "ArrowDown", "ArrowUp")
    assert await chosen.inner_text() == rows[1]["name"]
    await browsing.press("End")
    assert await chosen.inner_text() == rows[-1]["name"]
    await browsing.press("Home", "PageDown")
    assert await chosen.inner_text() in [row["name"] for row in rows[3:12]]
    await browsing.press("PageUp")
    assert await chosen.inner_text() == rows[0]["name"]


async def test_keyboard_plays_pauses_mutes_and_goes_to_another_track(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.press("ArrowDown", "Space")
    await browsing.plays(0.05)
    await browsing.press("Space")
    assert await browsing.audio("paused")
    await browsing.press("n")
    await browsing.until("!document.getElementById('audio').paused")
    assert await browsing.page.inner_text("#now-title") == browsing.fake.catalogue[2]["name"]
    await browsing.press("p", "m")
    assert await browsing.page.inner_text("#now-title") == browsing.fake.catalogue[1]["name"]
    assert await browsing.audio("muted")


async def test_keyboard_searches_copies_an_id_and_opens_the_list_of_shortcuts(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.press("ArrowDown", "Enter")
    await browsing.shows("Copied id 2")
    await browsing.press("/")
    await browsing.page.keyboard.type("golden c?")
    await browsing.press("Backspace", "Enter", "c")
    found = [name for name in names(browsing.fake) if "golden" in name.lower() and "c" in name.lower()]
    await browsing.shows(f"Copied id {names(browsing.fake).index(found[0]) + 1}")
    await browsing.press("/", "Escape")
    await browsing.counts("2,500 tracks")
    await browsing.press("Escape", "?")
    assert await browsing.page.get_by_role("dialog").is_visible()
    await browsing.press("Escape")
    assert not await browsing.page.get_by_role("dialog").is_visible()


async def test_tab_reaches_every_control_in_order(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    reached = []
    for _ in range(16):
        await browsing.press("Tab")
        reached.append(
            await browsing.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
    expected = ["help-button", "search", "genre", "mood", "length", "grid", "Title", "ID", "Length"]
    assert reached[:9] == expected
    assert {"previous", "play", "next", "mute", "volume"} <= set(reached)


async def test_arrows_seek_five_seconds_and_stay_within_the_track(browse: Browse) -> None:
    browsing = await browse()
    await browsing.counts("2,500 tracks")
    await browsing.press("ArrowDown", "Space")
    await browsing.plays(0.2)
    await browsing.press("ArrowLeft", "Space")
    assert await browsing.audio("currentTime") < 0.2
    await browsing.press("ArrowRight")
    assert await browsing.audio("currentTime") == pytest.approx(1.5, abs=0.05)


async def test_titles_are_text_and_never_markup(browse: Browse) -> None:
    name = "<img src=x onerror=alert(1)><b>bold</b>"
    browsing = await browse(FakeJogg([{"id": 1, "name": name, "music_url": "javascript:alert(1)"}]))
    await browsing.counts("1 track")
    assert await browsing.titles() == [name]
    assert await browsing.page.locator(".row img, .row b").count() == 0
    assert await browsing.page.locator(".row a[href]").count() == 0
    await browsing.press("ArrowDown", "Space", "o")
    await browsing.shows("This track has no audio file")


async def test_a_failed_track_says_why_and_the_next_one_plays(browse: Browse) -> None:
    browsing = await browse()
    browsing.fake.fail(404, path="/music/1.wav", times=None)
    await browsing.counts("2,500 tracks")
    await browsing.press("Home", "Space")
    await browsing.shows("The media host responded with HTTP 404.")
    await browsing.shows("Cannot be played")
    await browsing.press("n")
    await browsing.plays()
    browsing.fake.clear()
    await browsing.press("p")
    await browsing.plays()
    assert await browsing.page.locator(".failed:visible").count() == 0


@pytest.fixture
async def strict_host() -> AsyncIterator[str]:
    """A media host that lets no page of another origin play its files."""

    async def send(_: web.Request) -> web.Response:
        headers = {"Cross-Origin-Resource-Policy": "same-origin"}
        return web.Response(body=wav_file(1), content_type="audio/wav", headers=headers)

    runner = web.AppRunner(app := web.Application(), access_log=None)
    app.add_routes([web.get("/{path:.*}", send)])
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_audio_of_a_host_that_refuses_other_origins_goes_through_the_server(
    browse: Browse, strict_host: str
) -> None:
    browsing = await browse(FakeJogg([{"id": 7, "name": "Strict", "music_url": f"{strict_host}/7.wav"}]))
    await browsing.counts("1 track")
    await browsing.press("Home", "Space")
    await browsing.plays()
    assert (await browsing.audio("src")).startswith(browsing.server.url.partition("?")[0] + "audio/7?")


async def test_no_request_goes_to_another_host(browse: Browse) -> None:
    browsing = await browse()
    asked: list[str] = []
    browsing.page.on("request", lambda request: asked.append(request.url))
    await browsing.page.reload()
    await browsing.counts("2,500 tracks")
    await browsing.press("Home", "Space")
    await browsing.plays()
    own = (browsing.server.url.partition("?")[0], f"{browsing.fake.url}/music/")
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith(own)] == []
    assert browsing.fake.api_key not in await browsing.page.content()
