"""`TrackPager`: the tracks of a crawl through ``async for``, its progress and its checkpoints."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import attrs

from .errors import JoggError
from .models import InvalidRecord, Page, Track

if TYPE_CHECKING:
    from typing import Self

    from ._paging.crawl import Crawl
    from .report import SaveReport
    from .tracklist import TrackList

__all__ = ["PageIterator", "Progress", "TrackPager"]

_USES: Final = (
    ("async for track in pager: ...", "yields the tracks as they arrive"),
    ("await pager.collect()", "returns all remaining tracks, which a notebook shows as a table"),
    ("await pager.save('tracks.csv')", "saves them to a file; or to Parquet, SQLite and others"),
    ("async for page in pager.pages(): ...", "yields pages"),
)
"""Ways to use a pager, which a notebook shows for it, because a pager by itself sends no request."""


@attrs.frozen
class Progress:
    """Snapshot of the progress of a crawl.

    Attributes:
        pages_done: pages yielded, in this pass over the catalogue.
        total_pages: pages in all; `None` until the first response, and if no response names a total.
        tracks: tracks yielded.
        total_items: tracks in the whole catalogue, under the filters; `None` as for `total_pages`.
        expected: tracks that this crawl will yield in all, by its bounds and its start; `None` until known. Records
            that are skipped and duplicates lower it while the crawl runs.
        requests: attempts sent, retries included.
        retries: attempts after the first one of each request.
        duplicates: tracks left out because their id came twice in one pass.
        invalid: records skipped under ``on_invalid="skip"``.
        drifted: true once a change of the catalogue was noticed.
        paused: seconds of a rate-limit pause still to wait; 0 for none.
    """

    pages_done: int
    total_pages: int | None
    tracks: int
    total_items: int | None
    expected: int | None
    requests: int
    retries: int
    duplicates: int
    invalid: int
    drifted: bool
    paused: float


class TrackPager:
    """Async iterator of the tracks of a crawl, and async context manager.

    Returned by `JoggSession.tracks`. It yields each track once: a second ``async for`` continues where the first
    stopped. It fetches a bounded number of pages ahead, from the first step on. Several tasks may iterate over it at
    once; each track goes to one of them.

    Leaving ``async for`` ends its requests at once if nothing else refers to the pager. Otherwise `aclose`, the end of
    its ``async with`` or the close of its session ends them.
    """

    __slots__ = ("__weakref__", "_crawl", "_ready")

    def __init__(self, crawl: Crawl) -> None:
        self._crawl = crawl
        self._ready = crawl.ready

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Track:
        """Return the next track. Cancelling a step loses no track: the next step returns it.

        Raises:
            StopAsyncIteration: every track was yielded.
            JoggError: the request of the next page failed; ``error.page`` names the page, and the next step requests it
                again. Or the pager was closed before its end.
            SessionClosedError: the session was closed before the end.
            ConfigurationError: the pager's first step was in another event loop.
            CatalogueChangedError: at the end, under ``on_drift="raise"``.
        """
        try:
            return self._ready.popleft()
        except IndexError:
            if self._crawl.load_ready():
                return self._ready.popleft()
        step = self._crawl.next_track()
        del self  # a traceback that holds this frame must not keep the pager, and so its requests, alive
        return await step

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        crawl = getattr(self, "_crawl", None)
        if crawl is not None:
            crawl.abandon()

    def __repr__(self) -> str:
        progress = self.progress
        total = "?" if progress.total_pages is None else progress.total_pages
        return f"<TrackPager: {progress.tracks} tracks, {progress.pages_done} of {total} pages>"

    def _repr_html_(self) -> str:
        from ._render.html import hint

        return hint(repr(self), _USES)

    def pages(self) -> PageIterator:
        """Return an async iterator of `Page` over the rest of the crawl, duplicates left out as for tracks.

        It shares its position with the pager: each track is yielded by one of them.
        """
        return PageIterator(self, self._crawl)

    async def collect(self, progress: bool = False) -> TrackList:
        """Return all remaining tracks. Cancelling it loses those collected so far; the pager continues after them.

        Args:
            progress: show a progress bar on standard error, or in the notebook (extra ``progress``).

        Raises:
            JoggError: as for a step; ``error.tracks`` holds the tracks collected before.
            ImportError: `progress` is true and the extra is not installed.
        """
        crawl = self._crawl
        shown = _bar(crawl, progress=progress)
        rest = crawl.collect()
        del self  # as in a step
        async with shown:
            return await rest

    async def save(
        self,
        dest: str | os.PathLike[str],
        *,
        format: str | None = None,  # noqa: A002 (the contract's name)
        resume: bool = False,
        progress: bool = False,
    ) -> SaveReport:
        """Save all remaining tracks to a file or an SQLite database. An interrupted save can be resumed.

        Tracks are collected in a journal beside the destination, ``DEST.partial``. At the end the destination is
        written under a temporary name and renamed, so that it is never incomplete, and the journal is deleted. An
        interrupted save, even by a kill, leaves the journal, and ``resume=True`` continues it.

        An SQLite database (``.db``) that exists is brought up to date in one transaction: see ``docs/crawls.md``.

        Args:
            dest: path of the destination, which is replaced if it exists; its folder must exist. Or an address that
                fsspec knows, such as ``s3://bucket/tracks.parquet`` (extra ``fsspec``; not for SQLite), whose journal
                lies in the current folder.
            format: ``"jsonl"`` or ``"csv"``, each also with ``".gz"`` or ``".zst"`` (before Python 3.14 extra
                ``zstd``), ``"parquet"`` (extra ``arrow``), ``"sqlite"`` or ``"db"``; `None` to follow the suffix.
            resume: continue an interrupted save of the same tracks to the same destination: give the same arguments to
                `JoggSession.tracks` as before. Policies, concurrency and order may differ. Starts anew if there is no
                journal. Needs a pager that has not been iterated over.
            progress: show a progress bar on standard error, or in the notebook (extra ``progress``).

        Raises:
            ValueError: the format is unknown; or the journal belongs to another query, other bounds, another format or
                another address.
            FileExistsError: there is a journal, and `resume` is false; or `dest` is no regular file, or an SQLite
                database of another program or of a newer version.
            BlockingIOError: another crawl into the same destination is running, and `resume` is true.
            OSError: the destination or the journal cannot be written, or the journal is damaged. The destination is
                unchanged.
            ImportError: an extra is missing.
            JoggError: as for a step. The journal is kept, as a note of the error says. After `CatalogueChangedError`,
                ``resume=True`` starts anew under ``on_drift="raise"``, and saves the tracks under any other policy.

        Errors other than `JoggError` are raised before the first request if possible. Cancelling the save keeps the
        journal.
        """
        from ._export.save import save

        crawl = self._crawl
        shown = _bar(crawl, progress=progress)
        rest = crawl.run(partial(save, crawl, dest, wanted=format, resume=resume))
        del self  # as in a step
        async with shown:
            return await rest

    async def aclose(self) -> None:
        """End the crawl, and wait for its tasks to end. Closing it again has no effect.

        Raises:
            ConfigurationError: the crawl runs in another event loop, where it goes on.
        """
        await self._crawl.aclose(JoggError)

    def checkpoint(self) -> dict[str, Any]:
        """Return the current position as a dict for JSON: ``tracks(resume=...)`` continues with the next track.

        It holds the page, the index among its records, the page size, the filters, `end_page`, what is left of `limit`,
        and the totals seen: other totals on resumption count as drift. A change that leaves the totals as they were
        cannot be noticed. If a change was noticed before, it holds ``"drifted": True``, and the resumed crawl reports
        it at its end, by its `on_drift`. With ``ordered=False`` it holds the lowest page not completely yielded, so
        that tracks of later pages may come again. It holds no ids: under ``on_drift="recrawl"``, tracks yielded before
        the checkpoint or in an earlier pass may come again.
        """
        return self._crawl.position().as_dict()

    @property
    def total_items(self) -> int | None:
        """Tracks in all, by the newest response; `None` until the first response, and if no response names a total."""
        return self._crawl.pages.total_items

    @property
    def total_pages(self) -> int | None:
        """Pages in all, by the newest response; `None` as for `total_items`."""
        return self._crawl.pages.total_pages

    @property
    def invalid_records(self) -> tuple[InvalidRecord, ...]:
        """Records skipped under ``on_invalid="skip"``, at most the first 1,000."""
        return tuple(self._crawl.invalid_records)

    @property
    def progress(self) -> Progress:
        """Progress of the crawl, as a snapshot."""
        return _progress(self._crawl)


def _progress(crawl: Crawl) -> Progress:
    return Progress(
        pages_done=crawl.pages_done,
        total_pages=crawl.pages.total_pages,
        tracks=crawl.accepted - len(crawl.ready),
        total_items=crawl.pages.total_items,
        expected=crawl.expected,
        requests=crawl.stats.requests,
        retries=crawl.stats.retries,
        duplicates=crawl.passes.duplicates,
        invalid=crawl.invalid,
        drifted=crawl.passes.drifted,
        paused=crawl.paused,
    )


def _bar(crawl: Crawl, *, progress: bool) -> AbstractAsyncContextManager[None]:
    """Return the context that shows a progress bar, if wanted.

    Raises:
        ImportError: it is wanted, and the extra is not installed.
    """
    if not progress:
        return nullcontext()
    from ._render.progress_bar import updated_bar

    return updated_bar(partial(_progress, crawl))


class PageIterator:
    """Async iterator of the pages of a crawl, returned by `TrackPager.pages`. It keeps its pager alive."""

    __slots__ = ("_crawl", "_pager")

    def __init__(self, pager: TrackPager, crawl: Crawl) -> None:
        self._pager = pager
        self._crawl = crawl

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        """Return the next page. Raises as `TrackPager.__anext__` does."""
        step = self._crawl.next_page()
        del self
        return await step

    async def aclose(self) -> None:
        """Close the pager."""
        await self._pager.aclose()
