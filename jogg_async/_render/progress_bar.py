"""The progress bar of `TrackPager.collect`, of `TrackPager.save` and of the command line (extra ``progress``).

It is drawn by rich.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from typing import Final, Protocol

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text
except ImportError as fault:
    raise ImportError("A progress bar needs rich: pip install 'jogg-async[progress]'.") from fault

from .standard_error import standard_error

_INTERVAL: Final = 0.1
"""Seconds between two updates of the bar."""

_TEXT_INTERVAL: Final = 0.2
"""Seconds between two updates of the text that takes the bar's place in a notebook without ipywidgets."""


class Snapshot(Protocol):
    """Progress of a crawl, such as a `jogg_async.Progress`."""

    @property
    def tracks(self) -> int: ...
    @property
    def expected(self) -> int | None: ...
    @property
    def pages_done(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def paused(self) -> float: ...


Show = Callable[[Snapshot], None]
"""Function that updates the bar."""


@asynccontextmanager
async def updated_bar(
    snapshot: Callable[[], Snapshot], console: Console | None = None, *, transient: bool = False
) -> AsyncGenerator[None]:
    """Show a progress bar, and update it ten times a second.

    Args:
        snapshot: returns the current progress.
        console: as for `bar`.
        transient: as for `bar`.
    """
    with bar(console, transient=transient) as show:
        async with repeated(lambda: show(snapshot()), _INTERVAL):
            yield


@asynccontextmanager
async def repeated(update: Callable[[], None], interval: float) -> AsyncGenerator[None]:
    """Call a function every `interval` seconds, and once more at the end."""

    async def repeat() -> None:
        while True:
            update()
            await asyncio.sleep(interval)

    repeating = asyncio.create_task(repeat())
    try:
        yield
    finally:
        repeating.cancel()
        update()
        await asyncio.wait([repeating])


@contextmanager
def bar(console: Console | None = None, *, transient: bool = False) -> Generator[Show]:
    """Show a progress bar, and yield the function that updates it.

    Args:
        console: where to draw; `None` for standard error, or the notebook's cell.
        transient: remove the bar at the end, and do not redirect standard output through rich.
    """
    console = console or Console(file=standard_error())
    if console.is_jupyter and find_spec("ipywidgets") is None:
        with _text() as show:
            yield show
        return
    columns = (TextColumn("Fetching"), BarColumn(bar_width=None), _Details(), TimeRemainingColumn(compact=True))
    with Progress(
        *columns, console=console, transient=transient, redirect_stdout=not transient, expand=True
    ) as progress:
        task = progress.add_task("", total=None, snapshot=None)

        def show(snapshot: Snapshot, /) -> None:
            progress.update(task, completed=snapshot.tracks, total=snapshot.expected, snapshot=snapshot)

        try:
            yield show
        finally:
            progress.refresh()  # in a notebook rich does not draw the last state by itself


class _Details(ProgressColumn):
    """Column of the bar, such as "290/1,000 tracks  3 pages  950/s  2 retries"."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        counts = Text(_counts(int(task.completed), total), style="progress.download")
        snapshot: Snapshot | None = task.fields["snapshot"]
        if snapshot is not None:
            for part in _parts(snapshot, task.finished_speed or task.speed):
                counts.append(f"  {part}")
            if snapshot.paused > 0:
                counts.append(f"  paused by the server, {math.ceil(snapshot.paused)} s", "bold yellow")
        return counts


def _parts(snapshot: Snapshot, speed: float | None) -> Iterator[str]:
    if snapshot.paused > 0:  # the line is too short for both
        return
    yield f"{snapshot.pages_done:,} pages"
    if speed:
        yield f"{speed:,.0f}/s"
    if snapshot.retries:
        yield f"{snapshot.retries:,} {'retry' if snapshot.retries == 1 else 'retries'}"


def _counts(tracks: int, total: int | None) -> str:
    return f"{tracks:,}/{'?' if total is None else f'{total:,}'} tracks"


@contextmanager
def _text() -> Generator[Show]:
    standard_error().write("For a progress bar in the notebook: pip install 'jogg-async[notebook]'\n")
    with text_line(_counts(0, None), _TEXT_INTERVAL) as write:
        yield lambda snapshot: write(_counts(snapshot.tracks, snapshot.expected))


@contextmanager
def text_line(text: str, interval: float) -> Generator[Callable[[str], None]]:
    """Show a text on standard error, on one line that is overwritten, and yield the function that changes it.

    Args:
        text: text to show at the end if it was never changed.
        interval: least seconds between two changes on the screen. The last text is always shown.
    """
    stream, written_at = standard_error(), -math.inf

    def write(changed: str) -> None:
        nonlocal text, written_at
        text, now = changed, time.monotonic()
        if now - written_at >= interval:
            stream.write(f"\r{text}")
            written_at = now

    try:
        yield write
    finally:
        stream.write(f"\r{text}\n")
