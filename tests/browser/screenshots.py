"""Take the pictures of the page for the documentation: ``nox -s screenshots``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jogg_async import JoggSession
from jogg_async.browse.server import BrowseServer
from jogg_async.browse.sources import ServiceSource, Suggestions
from jogg_async.testing import GENRES, MOODS, FakeJogg

from .chromium import executable, launched, opened

if TYPE_CHECKING:
    from playwright.async_api import Browser

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
SCHEMES: Final = ("light", "dark")


async def take(folder: Path) -> None:
    """Write one picture for each colour scheme, with a track that plays."""
    async with (
        FakeJogg(2500) as fake,
        JoggSession(fake.api_key, base_url=fake.url) as jogg,
        BrowseServer(ServiceSource(jogg, "Demo catalogue", Suggestions(GENRES, MOODS))) as server,
        launched() as browser,
    ):
        for scheme in SCHEMES:
            await take_one(browser, server.url, scheme, folder / f"browse-{scheme}.png")


async def take_one(browser: Browser, url: str, scheme: str, target: Path) -> None:
    page = await opened(browser, url, color_scheme=scheme, viewport={"width": 1120, "height": 700})
    await page.locator("#count:text-is('2,500 tracks')").wait_for()
    await page.locator(".row").nth(3).click()
    await page.keyboard.press("Space")
    await page.wait_for_timeout(500)
    await page.screenshot(path=target)


if __name__ == "__main__":
    if executable() is None:
        sys.exit("There is no Chromium: apt-get install chromium fonts-inter")
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
