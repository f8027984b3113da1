"""The progress bar of a download: files, bytes and time left, drawn by rich (extra ``progress``)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, Protocol

try:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text
except ImportError as fault:
    raise ImportError("A progress bar needs rich: pip install 'jogg-async[progress]'.") from fault

from .progress_bar import text_line
from .standard_error import standard_error

_TEXT_INTERVAL: Final = 0.5
"""Seconds between two updates of the text that takes the bar's place in a notebook without ipywidgets."""


class ShowFiles(Protocol):
    """Function that updates the bar."""

    def __call__(self, files: int, total: int | None, received: int) -> None:
        """Show the files that are done, the number of all files if known, and the bytes received."""
        ...


@contextmanager
def download_bar(console: Console | None = None, *, transient: bool = False) -> Generator[ShowFiles]:
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
    columns = (TextColumn("Downloading"), BarColumn(), _Counts(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=transient, redirect_stdout=not transient) as progress:
        task = progress.add_task("", total=None, received=0)

        def show(files: int, total: int | None, received: int) -> None:
            progress.update(task, completed=files, total=total, received=received)

        try:
            yield show
        finally:
            progress.refresh()  # in a notebook rich does not draw the last state by itself


class _Counts(ProgressColumn):
    """Column of the bar, such as "12/250 files  34.5 MB"."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(_counts(int(task.completed), total, task.fields["received"]), style="progress.download")


def _counts(files: int, total: int | None, received: int) -> str:
    return f"{files:,}/{'?' if total is None else f'{total:,}'} files  {decimal(received)}"


@contextmanager
def _text() -> Generator[ShowFiles]:
    with text_line(_counts(0, None, 0), _TEXT_INTERVAL) as write:
        yield lambda files, total, received: write(_counts(files, total, received))
