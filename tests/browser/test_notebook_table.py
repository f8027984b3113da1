"""The table of tracks that a notebook shows: its colours, layout and players."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe

from jogg_async import JoggSession
from jogg_async.testing import FakeJogg

from .chromium import opened

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

JUPYTERLAB = """
<style>
.jp-RenderedHTMLCommon table { table-layout: fixed; font-size: 12px; border-collapse: collapse }
.jp-RenderedHTMLCommon :is(td, th) { text-align: right; padding: 0.5em }
.jp-RenderedHTMLCommon tbody tr:nth-child(even) { background: red }
</style>
"""
"""CSS rules of JupyterLab for tables in outputs that could override the package's own."""

Scheme = Literal["light", "dark"]


async def table(browser: Browser, fake: FakeJogg, scheme: Scheme = "light", attributes: str = "") -> Page:
    """Open a page with a table of three tracks, below an element with these attributes."""
    async with JoggSession(fake.api_key, base_url=fake.url) as jogg:
        tracks = await jogg.tracks(limit=3).collect()
    page = await opened(browser, fake.url, color_scheme=scheme)  # Chromium plays loopback files on loopback pages only
    title = "<!doctype html><html lang=en><title>Notebook</title>"
    await page.set_content(f"{title}{JUPYTERLAB}<main {attributes}><h1>Tracks</h1>{tracks._repr_html_()}</main>")
    return page


async def style(page: Page, selector: str, name: str) -> Any:
    return await page.locator(selector).first.evaluate(f"each => getComputedStyle(each)[{name!r}]")


@pytest.mark.parametrize(
    ("scheme", "attributes", "dark"),
    [
        ("light", "", False),
        ("dark", "", True),
        ("dark", "data-jp-theme-light=true", False),
        ("light", "data-jp-theme-light=false", True),
        ("dark", "class=vscode-light", False),
        ("light", "class=vscode-dark", True),
        ("light", "theme=dark", True),
        ("dark", "data-theme=light", False),
        ("dark", "data-theme=auto", True),
    ],
)
async def test_colours_follow_the_theme_of_the_page_or_of_the_system(
    browser: Browser, fake: FakeJogg, scheme: Scheme, attributes: str, dark: bool
) -> None:
    page = await table(browser, fake, scheme, attributes)
    assert await style(page, ".jogg-tracks", "backgroundColor") == ("rgb(24, 24, 27)" if dark else "rgb(255, 255, 255)")
    assert await style(page, ".jogg-tracks td", "color") == ("rgb(154, 154, 164)" if dark else "rgb(101, 109, 118)")
    assert await style(page, ".jogg-tracks audio", "colorScheme") == await style(page, ".jogg-tracks", "colorScheme")


async def test_layout_is_kept_under_the_rules_of_jupyterlab(browser: Browser, fake: FakeJogg) -> None:
    page = await table(browser, fake, attributes="class=jp-RenderedHTMLCommon")
    assert await style(page, ".jogg-tracks table", "tableLayout") == "auto"
    assert await style(page, ".jogg-tracks table", "fontSize") == "14px"
    assert await style(page, ".jogg-tracks td:nth-child(2)", "textAlign") == "left"
    assert await style(page, ".jogg-tracks td:nth-child(3)", "textAlign") == "right"
    assert await style(page, ".jogg-tracks tbody tr:nth-child(2)", "backgroundColor") == "rgba(0, 0, 0, 0)"


async def test_player_loads_its_file_when_it_is_started_and_plays_it(browser: Browser, fake: FakeJogg) -> None:
    page = await table(browser, fake)
    player = page.locator("audio").nth(1)
    assert await player.evaluate("each => each.networkState === each.NETWORK_IDLE && !each.readyState")
    await player.evaluate("each => each.play()")
    await page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 0.1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_violations_in_the_table(browser: Browser, fake: FakeJogg, scheme: Scheme) -> None:
    page = await table(browser, fake, scheme)
    results = await Axe().run(page, context=".jogg-tracks")
    assert [each["id"] for each in results.response["violations"]] == []
