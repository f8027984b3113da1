"""Headless Chromium on the page, driven by playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncGenerator
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Names of the Chromium command in Linux distributions."""


def executable() -> str | None:
    """Return the path of an installed Chromium, or `None`."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """Start Chromium, and close it at the end."""
    arguments = ["--autoplay-policy=no-user-gesture-required", "--mute-audio"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # it refuses to run as root otherwise
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


async def opened(browser: Browser, url: str, **settings: Any) -> Page:
    """Open an address in a fresh profile, which may use the clipboard."""
    settings = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **settings}
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"], **settings)
    page = await context.new_page()
    await page.goto(url)
    return page
