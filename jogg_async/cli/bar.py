"""The progress bar on standard error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from jogg_async._render.progress_bar import Show, bar
from jogg_async.pager import TrackPager

from .terminal import Screen

_INTERVAL: Final = 0.1
"""Seconds between two updates of the bar."""


@contextlib.asynccontextmanager
async def show_progress(pager: TrackPager, screen: Screen) -> AsyncGenerator[None]:
    """Show the pager's progress if standard error is a terminal; remove the bar at the end."""
    if not screen.shows_progress:
        yield
        return
    with bar(screen.err, transient=True) as show:
        updating = asyncio.create_task(_update_repeatedly(pager, show))
        try:
            yield
        finally:
            updating.cancel()
            _update(pager, show)


async def _update_repeatedly(pager: TrackPager, show: Show) -> None:
    while True:
        _update(pager, show)
        await asyncio.sleep(_INTERVAL)


def _update(pager: TrackPager, show: Show) -> None:
    progress = pager.progress
    show(progress.tracks, progress.expected, progress.paused)
