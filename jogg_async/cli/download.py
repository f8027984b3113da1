"""`jogg-async download`: downloads the audio files of tracks into a folder."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from jogg_async import downloads
from jogg_async._render.download_bar import download_bar
from jogg_async.downloads import DownloadProgress, DownloadReport
from jogg_async.errors import ArgumentError
from jogg_async.models import Track
from jogg_async.retry import RetryPolicy

from . import log
from .bar import ProgressMode
from .connection import connected
from .failure import ExitCode, UsageError, with_options
from .mirror import mirror_tracks
from .options import WHOLE, Bounds, Connection, Filters, default_of
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen
from .tracks import make_pager

_JSON_INTERVAL: Final = 1.0
"""Seconds between two lines of progress as JSON."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Files:
    """Which files to fetch, and what to report.

    Attributes:
        from_: Take the tracks from an SQLite mirror made by "jogg-async crawl", and send no request to the service.
        max_bytes: Bytes that one file may have; a larger one fails.
        max_total_bytes: Bytes to receive in all; files beyond it fail.
        progress: What standard error shows: auto (a bar if it is a terminal), json (a line every second), or none.
        json: Print the report as one JSON object.
    """

    from_: Annotated[Path | None, Parameter(name="--from")] = None
    max_bytes: Annotated[int, WHOLE] = default_of(downloads.download, "max_bytes")
    max_total_bytes: Annotated[int | None, WHOLE] = None
    progress: ProgressMode = "auto"
    json: Annotated[bool, Parameter(show_default=False)] = False


def download(
    folder: str,
    *,
    files: Files = Files(),
    filters: Filters = Filters(),  # noqa: B008 (it is frozen)
    bounds: Bounds = Bounds(),  # noqa: B008
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Download the audio files of the tracks that are not in a folder yet. The exit code is 1 if some failed.

    Args:
        folder: The folder, or an address that fsspec knows, such as s3://bucket/music; it is made if its parent exists.
        files: which files to fetch.
        filters: which tracks to fetch.
        bounds: which pages to fetch, and how.
        connection: how to reach the service.
    """
    command = _Command(folder, files, filters, bounds, connection)
    try:
        code = run(command.run)
    except ImportError as error:  # the package that the address needs is missing
        Screen.of_process().fail(str(error))
        return ExitCode.OTHER
    return code or (ExitCode.OTHER if command.has_failures else ExitCode.OK)


@attrs.define
class _Command:
    _folder: str
    _files: Files
    _filters: Filters
    _bounds: Bounds
    _connection: Connection
    has_failures: bool = False

    async def run(self, ending: Ending) -> None:
        """Download the files, and print the report."""
        screen, outlet = Screen.of_process(), Outlet(ending)
        log.set_up(screen, verbose=self._connection.verbose)
        with outlet.watched():
            async with self._tracks() as tracks:
                with _progress(self._files.progress, screen) as show:
                    report = await self._download(tracks, show)
            self.has_failures = bool(report.failed)
            for track, reason in report.failed:
                screen.warn(f"track {track.id} ({track.name or 'without a title'}): {reason}")
            text = json.dumps(report.to_dict()) if self._files.json else _summary(report)
            await outlet.run_in_thread(lambda: outlet.write(f"{text}\n".encode()))

    @contextlib.asynccontextmanager
    async def _tracks(self) -> AsyncGenerator[Iterable[Track] | AsyncIterable[Track]]:
        """Open the tracks of a mirror, or start a crawl."""
        bounds = self._bounds
        if self._files.from_ is not None:
            self._check_mirror_options()
            with mirror_tracks(self._files.from_, bounds.limit) as tracks:
                yield tracks
            return
        async with (
            connected(self._connection, concurrency=bounds.concurrency) as jogg,
            make_pager(jogg, self._filters, bounds) as pager,
        ):
            yield pager

    def _check_mirror_options(self) -> None:
        bounds = self._bounds
        if bounds.limit is not None and bounds.limit < 0:
            raise UsageError(f"--limit must be 0 or more, not {bounds.limit}.")
        ignored = attrs.evolve(bounds, limit=None, concurrency=Bounds().concurrency)
        if self._filters != Filters() or ignored != Bounds() or self._connection.demo:
            raise UsageError("--from goes with --limit and --concurrency, but not with other options of a crawl.")

    async def _download(
        self, tracks: Iterable[Track] | AsyncIterable[Track], show: Callable[[DownloadProgress], object] | None
    ) -> DownloadReport:
        usual: RetryPolicy = default_of(downloads.download, "retry")
        try:
            return await downloads.download(
                tracks,
                self._folder,
                concurrency=self._bounds.concurrency,
                progress=show or False,
                max_bytes=self._files.max_bytes,
                max_total_bytes=self._files.max_total_bytes,
                timeout=self._connection.timeout,
                retry=attrs.evolve(usual, attempts=self._connection.attempts),
                base_url=self._connection.base_url,
            )
        except ArgumentError as error:
            raise UsageError(with_options(error)) from None


@contextlib.contextmanager
def _progress(style: ProgressMode, screen: Screen) -> Generator[Callable[[DownloadProgress], object] | None]:
    """Yield the function that shows the progress; `None` if no progress is shown."""
    if style == "json":
        lines = _JsonProgress(screen)
        yield lines
        lines.print_last()
    elif style == "auto" and screen.shows_progress:
        with download_bar(screen.err, transient=True) as show:
            yield lambda now: show(now.done, now.total, now.bytes)
    else:
        yield None


class _JsonProgress:
    """Prints the progress as JSON lines on standard error, once a second and at the end.

    Args:
        screen: where to print.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._due_at = time.monotonic()
        self._last: DownloadProgress | None = None

    def __call__(self, progress: DownloadProgress) -> None:
        """Print the progress if a line is due."""
        self._last = progress
        if time.monotonic() >= self._due_at:
            self.print_last()

    def print_last(self) -> None:
        """Print the last progress, unless it was printed already."""
        if self._last is not None:
            self._screen.line(json.dumps(attrs.asdict(self._last)))
            self._due_at, self._last = time.monotonic() + _JSON_INTERVAL, None


def _summary(report: DownloadReport) -> str:
    counts = f"{report.downloaded:,} downloaded, {report.skipped:,} skipped, {len(report.failed):,} failed"
    return f"{counts}, {report.bytes:,} bytes received"
