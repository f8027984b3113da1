from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from jogg_async import JoggSession, RetryPolicy
from jogg_async.browse.server import BrowseServer
from jogg_async.browse.sources import ServiceSource, Suggestions
from jogg_async.testing import GENRES, MOODS, FakeJogg

from .chromium import executable, launched, opened

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

SOON = 10_000
"""Milliseconds within which the page shows what it should."""


@attrs.frozen
class Browsing:
    """The page in a browser, with its server and the fake service behind it."""

    page: Page
    server: BrowseServer
    fake: FakeJogg
    session: JoggSession

    @property
    def rows(self) -> Locator:
        return self.page.locator(".row")

    async def titles(self) -> list[str]:
        """Return the titles of the rows in the document, from the top."""
        return await self.page.locator(".row .title").all_inner_texts()

    async def counts(self, text: str) -> None:
        """Wait until the page counts like this, such as "2,500 tracks"."""
        await self.page.locator("#count", has_text=re.compile(f"^{text}$")).wait_for(timeout=SOON)

    async def shows(self, text: str) -> None:
        """Wait until a text is to be seen."""
        await self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=SOON)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def audio(self, attribute: str) -> Any:
        """Return an attribute of the audio element."""
        return await self.page.evaluate(f"document.getElementById('audio').{attribute}")

    async def until(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true. The page forbids the eval of playwright's own wait."""
        async with asyncio.timeout(SOON / 1000):
            while not await self.page.evaluate(expression):  # noqa: ASYNC110 (the page tells nobody)
                await asyncio.sleep(0.02)

    async def plays(self, seconds: float = 0.1) -> None:
        """Wait until the position of the audio is beyond some seconds."""
        await self.until(f"document.getElementById('audio').currentTime > {seconds}")


Browse = Callable[..., Awaitable[Browsing]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if executable() is None:
        pytest.skip("NO CHROMIUM, NOTHING WAS SEEN: apt-get install chromium")
    async with launched() as browser:
        yield browser


@pytest.fixture
async def browse(browser: Browser) -> AsyncIterator[Browse]:
    """Open the page on a fake service; a script that fails in it, or is blocked, fails the test."""
    failures: list[str] = []

    def note(message: Any) -> None:
        if "Content Security Policy" in message.text:
            failures.append(message.text)

    async with AsyncExitStack() as stack:

        async def start(fake: FakeJogg | None = None, *, retry: RetryPolicy | None = None, **settings: Any) -> Browsing:
            fake = await stack.enter_async_context(FakeJogg(2500) if fake is None else fake)
            retry = retry or RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0)
            jogg = await stack.enter_async_context(JoggSession(fake.api_key, base_url=fake.url, retry=retry))
            source = ServiceSource(jogg, "Demo catalogue", Suggestions(GENRES, MOODS))
            server = await stack.enter_async_context(BrowseServer(source))
            page = await opened(browser, server.url, **settings)
            page.on("pageerror", lambda error: failures.append(str(error)))
            page.on("console", note)
            return Browsing(page, server, fake, jogg)

        yield start
    assert failures == []
