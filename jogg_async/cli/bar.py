"""The progress bar on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator
from typing import Final

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from jogg_async.pager import TrackPager

from .terminal import Screen

_TICK: Final = 0.1
"""Seconds between two looks at the crawl."""


class _Counts(ProgressColumn):
    """How many tracks of how many, and the pause that the service asked for."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else f"{task.total:,.0f}"
        counts = Text(f"{task.completed:,.0f}/{total} tracks", style="progress.download")
        paused: float = task.fields["paused"]
        if paused > 0:
            counts.append(f"  paused {math.ceil(paused)} s", "bold yellow")
        return counts


@contextlib.asynccontextmanager
async def progress_shown(pager: TrackPager, screen: Screen, *, skipped: int, most: float) -> AsyncGenerator[None]:
    """Show how far the pager is, where standard error is a terminal; the bar goes away at the end.

    Args:
        pager: what to watch.
        screen: where to show it.
        skipped: tracks before the first one asked for.
        most: the most tracks asked for; infinity for all.
    """
    if not screen.shows_progress:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Counts(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=screen.err, transient=True, redirect_stdout=False) as bar:
        watching = asyncio.create_task(_watch(pager, bar, skipped, most))
        try:
            yield
        finally:
            watching.cancel()


async def _watch(pager: TrackPager, bar: Progress, skipped: int, most: float) -> None:
    task = bar.add_task("Fetching", total=None, paused=0.0)
    while True:
        state = pager.progress
        total = None if state.total_items is None else min(max(state.total_items - skipped, 0), most)
        bar.update(task, completed=state.tracks, total=total, paused=state.paused)
        await asyncio.sleep(_TICK)
