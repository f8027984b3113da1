"""A progress bar, through rich (extra ``progress``)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

try:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
except ImportError as fault:
    raise ImportError("A progress bar needs rich: pip install 'jogg-async[progress]'.") from fault


@contextmanager
def bar() -> Generator[Callable[[int, int | None], None], None, None]:
    """A bar on standard error, or in the notebook; yields what moves it: tracks so far, and the total if known."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("tracks", total=None)
        yield lambda tracks, total: progress.update(task, completed=tracks, total=total)
