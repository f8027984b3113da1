"""A progress bar over a pager's pages, through rich (extra ``progress``)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from .models import Page

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
except ImportError as fault:
    raise ImportError("A progress bar needs rich: pip install 'jogg-async[progress]'.") from fault

if TYPE_CHECKING:
    from .pager import TrackPager


async def watched(pager: TrackPager) -> AsyncIterator[Page]:
    """The pages of a pager, with a bar that counts tracks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("tracks", total=None)
        async for page in pager.pages():
            state = pager.progress
            bar.update(task, completed=state.tracks, total=state.total_items)
            yield page
