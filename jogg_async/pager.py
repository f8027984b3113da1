"""`TrackPager`: every track of a url, through ``async for``."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import attrs

from .errors import JoggError
from .models import InvalidRecord, Page, Track

if TYPE_CHECKING:
    from typing import Self

    from ._paging.crawl import Crawl
    from .tracklist import TrackList

__all__ = ["PageIterator", "Progress", "TrackPager"]


@attrs.frozen
class Progress:
    """How far a crawl is: a snapshot.

    Attributes:
        pages_done: pages handed on, in this pass over the catalogue.
        total_pages: pages in all; `None` until the first page is in, and where the service does not tell.
        tracks: tracks yielded.
        total_items: tracks in the whole catalogue, under the filters; `None` as for `total_pages`.
        expected: tracks that this crawl will yield in all, by its bounds and its start; `None` until known. Records
            that are skipped and duplicates lower it while the crawl runs.
        requests: attempts sent, repetitions included.
        retries: the repetitions.
        duplicates: tracks left out because their id came twice in one pass.
        invalid: records passed over under ``on_invalid="skip"``.
        drifted: whether a change of the catalogue showed.
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
    """Every track of a url: an async iterator, for one pass, and an async context manager.

    Made by `JoggSession.tracks`. It fetches ahead of its consumer, within bounds, from the first step on. Several tasks
    may step it at once; each track goes to one of them. Leaving ``async for`` over a pager that nothing else holds ends
    its requests at once; a pager that is held ends them at `aclose`, at the end of its ``async with``, or with its
    session.
    """

    __slots__ = ("__weakref__", "_crawl", "_ready")

    def __init__(self, crawl: Crawl) -> None:
        self._crawl = crawl
        self._ready = crawl.ready

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Track:
        """The next track. Cancelling a step loses nothing: the next one goes on.

        Raises:
            StopAsyncIteration: every track was yielded.
            JoggError: the next page failed for good; ``error.page`` names it, and the next step tries it again. Or the
                pager was closed before its end.
            SessionClosedError: the session was closed before the end.
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

    def pages(self) -> PageIterator:
        """The rest of the crawl by pages, duplicates left out as for tracks: an async iterator of `Page`.

        It shares its place with the pager: what one yields the other does not.
        """
        return PageIterator(self, self._crawl)

    async def collect(self, progress: bool = False) -> TrackList:
        """All the tracks that are left. Cancelling it gives up those it had taken; the pager goes on behind them.

        Args:
            progress: show a progress bar on standard error, or in the notebook (extra ``progress``).

        Raises:
            JoggError: as for a step; what was collected before is ``error.tracks``.
            ImportError: `progress` without the extra.
        """
        crawl = self._crawl
        if not progress:
            rest = crawl.collect()
            del self  # as in a step
            return await rest
        from ._render.progress_bar import bar

        with bar() as show:
            rest = crawl.collect(show)
            del self
            return await rest

    async def aclose(self) -> None:
        """End the crawl, and wait until nothing of it is left. Closing twice is closing once."""
        await self._crawl.aclose(JoggError)

    def checkpoint(self) -> dict[str, Any]:
        """Where the consumer stands, as a dict that JSON can hold: ``tracks(resume=...)`` goes on with the next track.

        It holds the page, the place among its records, the page size, the filters, `end_page`, what is left of `limit`,
        and the totals seen: other totals on resumption count as drift. A change that leaves the totals as they were
        cannot be noticed. Unordered, it stands at the lowest page not wholly yielded, so that tracks of later pages may
        come again. It holds no ids: under ``on_drift="recrawl"``, what was yielded before the checkpoint or in an
        earlier pass may come again.
        """
        return self._crawl.position().as_dict()

    @property
    def total_items(self) -> int | None:
        """Tracks in all, by the newest response; `None` until the first page is in, and where no response tells."""
        return self._crawl.pages.total_items

    @property
    def total_pages(self) -> int | None:
        """Pages in all, by the newest response; `None` as for `total_items`."""
        return self._crawl.pages.total_pages

    @property
    def invalid_records(self) -> tuple[InvalidRecord, ...]:
        """The records passed over under ``on_invalid="skip"``: the first 1,000 of them."""
        return tuple(self._crawl.invalid_records)

    @property
    def progress(self) -> Progress:
        """How far the crawl is."""
        crawl = self._crawl
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


class PageIterator:
    """The pages of a crawl: what `TrackPager.pages` returns. It keeps its pager alive, and ends with it."""

    __slots__ = ("_crawl", "_pager")

    def __init__(self, pager: TrackPager, crawl: Crawl) -> None:
        self._pager = pager
        self._crawl = crawl

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        """The next page; raises as a step of the pager does."""
        step = self._crawl.next_page()
        del self
        return await step

    async def aclose(self) -> None:
        """Close the pager."""
        await self._pager.aclose()
