"""The progress bar of `TrackPager.collect` and of the command line, drawn by rich (extra ``progress``)."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, Protocol

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text
except ImportError as fault:
    raise ImportError("A progress bar needs rich: pip install 'jogg-async[progress]'.") from fault

_TEXT_INTERVAL: Final = 0.2
"""Seconds between two updates of the text that takes the bar's place in a notebook without ipywidgets."""


class Show(Protocol):
    """Updates the bar."""

    def __call__(self, tracks: int, total: int | None, paused: float = 0.0) -> None:
        """Show the tracks so far, the total if known, and the seconds of a rate-limit pause still to wait."""
        ...


@contextmanager
def bar(console: Console | None = None, *, transient: bool = False) -> Generator[Show]:
    """Show a progress bar, and yield the function that updates it.

    Args:
        console: where to draw; `None` for standard error, or the notebook's cell.
        transient: remove the bar at the end, and leave standard output alone: the caller writes it without Python.
    """
    console = console or Console(stderr=True)
    if console.is_jupyter and find_spec("ipywidgets") is None:
        with _text() as show:
            yield show
        return
    columns = (TextColumn("Fetching"), BarColumn(), _Counts(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=transient, redirect_stdout=not transient) as progress:
        task = progress.add_task("", total=None, paused=0.0)

        def show(tracks: int, total: int | None, paused: float = 0.0) -> None:
            progress.update(task, completed=tracks, total=total, paused=paused)

        try:
            yield show
        finally:
            progress.refresh()  # in a notebook rich does not draw the last state by itself


class _Counts(ProgressColumn):
    """Column such as "290/1,000 tracks  paused 3 s"."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        counts = Text(_counts(int(task.completed), total), style="progress.download")
        paused: float = task.fields["paused"]
        if paused > 0:
            counts.append(f"  paused {math.ceil(paused)} s", "bold yellow")
        return counts


def _counts(tracks: int, total: int | None) -> str:
    return f"{tracks:,}/{'?' if total is None else f'{total:,}'} tracks"


@contextmanager
def _text() -> Generator[Show]:
    """Show counts as text on standard error, on one line that is overwritten."""
    sys.stderr.write("For a progress bar in the notebook: pip install 'jogg-async[notebook]'\n")
    counts, written_at = _counts(0, None), -math.inf

    def show(tracks: int, total: int | None, paused: float = 0.0) -> None:  # noqa: ARG001 (as the bar's)
        nonlocal counts, written_at
        counts, now = _counts(tracks, total), time.monotonic()
        if now - written_at >= _TEXT_INTERVAL:
            sys.stderr.write(f"\r{counts}")
            written_at = now

    try:
        yield show
    finally:
        sys.stderr.write(f"\r{counts}\n")
