"""`download`: the audio files of tracks into a folder."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any, Final, cast

import attrs

from ._api.arguments import checked_int, checked_retry, checked_timeout
from ._download.folder import Folder
from ._download.limits import MAX_BYTES, SizeLimits
from ._download.remote_folder import RemoteFolder
from ._download.transfer import CONCURRENCY, RETRY, TIMEOUT, Downloader
from ._export.filesystems import checked_address, local_path
from ._http.addresses import own_origins
from ._http.files import FileClient
from ._http.transfer_error import TransferError
from ._paging.seen_ids import SeenIds
from .errors import argument_error
from .models import Track
from .pager import TrackPager
from .retry import RetryPolicy
from .settings import base_url_from

__all__ = ["DownloadProgress", "DownloadReport", "download"]

_INTERVAL: Final = 0.1
"""Seconds between two reports of progress."""

_SYNC_STEPS: Final = 1000
"""Tracks of a sync iterable after which other tasks run, even if every file is there already."""


@attrs.frozen
class DownloadReport:
    """Result of `download`.

    Attributes:
        downloaded: number of files that were completed.
        skipped: number of tracks whose file was there before.
        failed: each track whose file could not be downloaded, with the reason, in the order of the failures.
        bytes: bytes of audio received, those of incomplete files included.
    """

    downloaded: int
    skipped: int
    failed: tuple[tuple[Track, str], ...]
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that `json.dumps` takes; ``failed`` has dicts of ``track`` (`Track.to_dict`) and ``reason``."""
        failed = [{"track": track.to_dict(), "reason": reason} for track, reason in self.failed]
        return {"downloaded": self.downloaded, "skipped": self.skipped, "failed": failed, "bytes": self.bytes}


@attrs.frozen
class DownloadProgress:
    """Snapshot of a running `download`.

    Attributes:
        downloaded: files completed.
        skipped: tracks whose file was there before.
        failed: files that could not be downloaded.
        bytes: bytes of audio received, those of incomplete files included.
        total: tracks in all; `None` until known.
    """

    downloaded: int
    skipped: int
    failed: int
    bytes: int
    total: int | None

    @property
    def done(self) -> int:
        """Number of tracks that are downloaded, skipped or failed."""
        return self.downloaded + self.skipped + self.failed


_Show = Callable[[DownloadProgress], object]


async def download(
    tracks: Iterable[Track] | AsyncIterable[Track],
    folder: str | os.PathLike[str],
    *,
    concurrency: int = CONCURRENCY,
    progress: bool | Callable[[DownloadProgress], object] = False,
    max_bytes: int | None = MAX_BYTES,
    max_total_bytes: int | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109 (of each wait for the network, not of the whole)
    retry: RetryPolicy = RETRY,
    base_url: str | None = None,
) -> DownloadReport:
    """Download the audio files of tracks into a folder, and report how many were downloaded, skipped or failed.

    A file is named after its track, ``<id> <title>.<extension>``, with everything in the title that a file system or
    the network could misuse left out. It is written as ``<id>.part`` and renamed once it is complete. A track whose
    file is there already is skipped, by its id. A partial file is resumed where the server allows it and the file has
    not changed since; so after an interruption, the same call fetches only what is missing. Files are not synced to
    the disk one by one: after a crash of the system, the last ones may be damaged.

    The folder may be an address that fsspec knows (extra ``fsspec``), such as ``s3://bucket/music``. A file is then
    received into a temporary folder of this machine and uploaded once it is complete; partial files are not kept.

    The API key is never sent, nor cookies; proxy variables and ``.netrc`` are not used. At most five redirects are
    followed. Private, loopback, link-local, multicast and reserved addresses are refused, also if a host name resolves
    to them. The origin (scheme, host and port) of `base_url`, and of the base URL of each `JoggSession` made in this
    process, is exempt.

    Cancelling it keeps the complete and the partial files.

    Args:
        tracks: tracks of any iterable or async iterable, such as a list, a `TrackList`, or the pager of
            `JoggSession.tracks`. A second track with the same id is ignored.
        folder: the folder, or its address; it is made if its parent exists. A file that another download is writing
            there at the moment fails; on Windows this is not noticed.
        concurrency: files downloaded at once, 1 or more.
        progress: show a progress bar on standard error, or in the notebook (extra ``progress``); or a function that is
            called with a `DownloadProgress` ten times a second, and at the end.
        max_bytes: bytes that one file may have, 1 or more; a larger one fails. `None` for no limit.
        max_total_bytes: bytes to receive in all, 1 or more; files beyond it fail. `None` for no limit.
        timeout: seconds without any data after which an attempt fails, above 0. There is no limit for a whole file.
        retry: policy for transient failures of one file: broken connections, HTTP 408, 425, 429 and 5xx. Its
            `timeout` limits the waits alone, since a large file may take longer.
        base_url: base URL of the service whose origin may have a private address; `None` for the environment variable
            ``JOGG_BASE_URL``, else none beside those of sessions. It is not requested by itself.

    Raises:
        ValueError: an argument is out of its range, `tracks` holds something else than tracks, `folder` is empty, or
            `base_url` is malformed.
        OSError: the folder cannot be made or written, for instance because the disk is full. A file that cannot be
            downloaded is no exception: the report names it.
        JoggError: `tracks` is a pager, and its crawl failed. Files downloaded before are kept.
        ImportError: an extra that `progress` or the address needs is not installed.
    """
    files = _Files(tracks, checked_int("concurrency", concurrency, 1))
    limits = SizeLimits(max_bytes, max_total_bytes)
    policy, origins = checked_retry(retry), own_origins([base_url_from(base_url)])
    async with FileClient(origins, checked_timeout(timeout)) as client, _folder_at(folder) as target:
        listing = await target.run(target.open)
        downloader = Downloader(client, target, listing, limits, policy)
        with _shown(progress) as show:
            await _download_all(files, downloader, show)
        return files.report(downloader)


async def _download_all(files: _Files, downloader: Downloader, show: _Show | None) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            reporting = tasks.create_task(_report_repeatedly(files, downloader, show)) if show else None
            await files.download(downloader)
            if reporting is not None:
                reporting.cancel()
    except BaseExceptionGroup as failures:
        first = _first_of(failures)
        raise first from first.__cause__  # without the group as its context
    finally:
        if show:
            show(files.progress(downloader))


def _first_of(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = cast("BaseExceptionGroup[BaseException]", failure).exceptions[0]
    return failure


def _folder_at(folder: str | os.PathLike[str]) -> Folder:
    address = checked_address("folder", folder)
    path = local_path(address)
    return RemoteFolder(address) if path is None else Folder(path)


class _Files:
    """Tracks of one call, and the number of those downloaded, skipped and failed."""

    def __init__(self, tracks: Iterable[Track] | AsyncIterable[Track], concurrency: int) -> None:
        if not isinstance(tracks, Iterable | AsyncIterable):
            raise argument_error("tracks", f"must be an iterable or async iterable, not {type(tracks).__name__}.")
        self._tracks = tracks
        self._length = operator.length_hint(tracks, -1)  # of an iterator, it would shrink
        self._slots = asyncio.Semaphore(concurrency)
        self._requested = SeenIds()
        self._downloaded = self._skipped = 0
        self._failed: list[tuple[Track, str]] = []

    async def download(self, downloader: Downloader) -> None:
        """Download the files that are missing, at most `concurrency` at once."""
        async with asyncio.TaskGroup() as tasks, contextlib.aclosing(_async_iterator(self._tracks)) as tracks:
            async for track in tracks:
                if self._is_missing(track, downloader):
                    await self._slots.acquire()
                    tasks.create_task(self._download(track, downloader))

    def _is_missing(self, track: Track, downloader: Downloader) -> bool:
        if not isinstance(track, Track):
            raise argument_error("tracks", f"must hold Track objects, not {type(track).__name__}.")
        if self._requested.add_all((track.id,)) is not None:
            return False
        is_new = downloader.listing.complete.add_all((track.id,)) is None
        self._skipped += not is_new
        return is_new

    async def _download(self, track: Track, downloader: Downloader) -> None:
        try:
            await downloader.download(track)
            self._downloaded += 1
        except TransferError as fault:
            self._failed.append((track, str(fault)))
        finally:
            self._slots.release()

    def progress(self, downloader: Downloader) -> DownloadProgress:
        """Return a snapshot."""
        total = self._length if self._length >= 0 else None
        if isinstance(self._tracks, TrackPager):
            total = self._tracks.progress.expected
        return DownloadProgress(self._downloaded, self._skipped, len(self._failed), downloader.received, total)

    def report(self, downloader: Downloader) -> DownloadReport:
        """Return the result."""
        return DownloadReport(self._downloaded, self._skipped, tuple(self._failed), downloader.received)


async def _async_iterator(tracks: Iterable[Track] | AsyncIterable[Track]) -> AsyncGenerator[Track]:
    if isinstance(tracks, AsyncIterable):
        async for track in tracks:
            yield track
        return
    for number, track in enumerate(tracks):
        if number % _SYNC_STEPS == 0:
            await asyncio.sleep(0)
        yield track


async def _report_repeatedly(files: _Files, downloader: Downloader, show: _Show) -> None:
    while True:
        show(files.progress(downloader))
        await asyncio.sleep(_INTERVAL)


@contextlib.contextmanager
def _shown(progress: bool | _Show) -> Generator[_Show | None]:
    """Yield the function that shows the progress; `None` for none."""
    if progress is not True:
        yield progress or None
        return
    from ._render.download_bar import download_bar

    with download_bar() as show:
        yield lambda snapshot: show(snapshot.done, snapshot.total, snapshot.bytes)
