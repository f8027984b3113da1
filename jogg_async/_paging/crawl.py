"""Crawl behind a `TrackPager`: yield the tracks of the pages, each id once, up to the end, the limit or a close.

Neither the crawl nor its tasks refer to the pager, so that dropping the pager ends the crawl.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import attrs

from jogg_async._api.decoding import Decoded
from jogg_async._requests.events import log_drift
from jogg_async._requests.page_fetcher import PageFetcher, RequestStats
from jogg_async._requests.throttle import RequestQueue
from jogg_async.errors import CatalogueChangedWarning, ConfigurationError, JoggError
from jogg_async.models import InvalidRecord, Page, Track
from jogg_async.tracklist import TrackList

from .checkpoint import Checkpoint, Cursor
from .options import CrawlOptions
from .page_range import PageRange
from .passes import History, Passes
from .window import Window

_AHEAD: Final = 16
"""Pages ahead of the consumer for each request in flight. With fewer, a slow page stalls the others (scenario `tail` of
``nox -s bench``); more gain nothing."""

_MAX_INVALID_KEPT: Final = 1000
_MAX_TOTALS_KEPT: Final = 1000

_T = TypeVar("_T")


class State(enum.Enum):
    """State of a crawl."""

    RUNNING = enum.auto()
    ABANDONED = enum.auto()
    """The pager was dropped. The crawl closes after the current step."""
    CLOSED = enum.auto()
    """Closed before its end. Each step raises."""
    ENDED = enum.auto()


class Crawl:
    """Crawl of a range of pages.

    Args:
        options: options of the crawl.
        connect: returns the session's page fetcher. Called in the event loop of the first step.
    """

    def __init__(self, options: CrawlOptions, connect: Callable[[], PageFetcher]) -> None:
        self.ready: deque[Track] = deque()
        """Tracks of the current page that are not yielded yet."""
        self.stats: RequestStats = RequestStats()
        self.invalid_records: list[InvalidRecord] = []
        self.invalid: int = 0
        self.pages_done: int = 0
        self.accepted: int = 0
        """Number of tracks that were yielded or are in `ready`."""
        self._connect = connect
        self._fetcher: PageFetcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._window: Window[Decoded] | None = None
        self._lock = asyncio.Lock()
        self._current = Page(())
        self._steps = 0
        self._close_error: type[JoggError] = JoggError
        self._set_options(options)

    def _set_options(self, options: CrawlOptions) -> None:
        """Set the options, and the state with which a crawl with them starts."""
        start = options.start
        self.options: CrawlOptions = options
        self.pages: PageRange = PageRange(
            start.page_size,
            start.page,
            options.end_page,
            total_items=start.total_items,
            total_pages=start.total_pages,
        )
        if start.drifted:
            self.pages.change = "a change before the checkpoint"
        self.passes: Passes = Passes(self.pages, options.on_drift)
        self._cursor = Cursor(start.page, start.place)
        self._position_at_close: Checkpoint | None = None
        is_over = self._wanted() <= 0 or start.page > options.end_page
        self._state = State.ENDED if is_over and not start.drifted else State.RUNNING  # the drift must be reported

    @property
    def is_fresh(self) -> bool:
        """True until the first step."""
        return self._window is None

    def resume_at(self, start: Checkpoint, history: History) -> None:
        """Move this crawl, before its first step, to where an earlier crawl of the same pages was interrupted."""
        state = self._state
        self._set_options(attrs.evolve(self.options, start=start))
        if self._state is State.RUNNING:
            self._state = state  # it may be abandoned or closed
        self.passes.resume(history)
        if history.ordered:
            self.pages.resume(history.records, covers_all=history.covers_all)

    @property
    def expected(self) -> int | None:
        """Tracks that this crawl will yield in all; `None` until known."""
        if self._state is State.ENDED:
            return self.accepted
        left = self.pages.tracks_between(self.options.start.page, self.options.start.place)
        if left is None:
            return None
        valid = left - self.passes.duplicates - self.invalid
        return int(min(self.options.limit, max(valid, self.accepted)))

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait."""
        return self._fetcher.throttle.paused if self._fetcher is not None else 0.0

    def load_ready(self) -> bool:
        """Make the next page the current one if it is buffered; return whether tracks are ready."""
        window = self._window
        if window is None or self._state is not State.RUNNING or self._lock.locked():
            return False
        if self._loop is not asyncio.get_running_loop():
            return False  # the step that follows raises
        if (result := window.get_nowait()) is not None:
            self._accept(window, *result)
        return bool(self.ready)

    def next_track(self) -> Coroutine[Any, Any, Track]:
        """Return the next track. Cancelling a step loses no track.

        Raises:
            StopAsyncIteration: every track was yielded.
            JoggError: the next page failed, or the crawl was closed before its end.
        """
        self._steps += 1  # not in the coroutine: the pager may be dropped before it starts
        return self._step(self._next_track)

    def next_page(self) -> Coroutine[Any, Any, Page]:
        """Return the next page, or the rest of the current one. Otherwise like `next_track`."""
        self._steps += 1
        return self._step(self._next_page)

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> Coroutine[Any, Any, _T]:
        """Run work that takes many steps. If the pager is dropped meanwhile, the crawl closes after the work."""
        self._steps += 1
        return self._step(work)

    def collect(self) -> Coroutine[Any, Any, TrackList]:
        """Return all remaining tracks. If it fails, ``tracks`` of the error holds the tracks collected before."""
        return self.run(self._collect)

    async def _step(self, step: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        try:
            self._check_loop()
            return await step()
        finally:
            self._steps -= 1
            if self._state is State.ABANDONED:
                self.abandon()

    def _check_loop(self) -> None:
        """Raise if this crawl runs in another event loop. Only there can its tasks be awaited."""
        if self._loop not in (None, asyncio.get_running_loop()) and self._state in (State.RUNNING, State.ABANDONED):
            raise ConfigurationError(
                "This TrackPager belongs to another event loop. Use it there; in this loop, a session of its own "
                "goes on with tracks(resume=pager.checkpoint())."
            )

    async def _next_track(self) -> Track:
        async with self._lock:
            while not self.ready:
                await self._load()
            return self.ready.popleft()

    async def _next_page(self) -> Page:
        async with self._lock:
            while not self.ready:
                page = await self._load()
                if not page.tracks and not self.passes.recrawls:
                    return page
            rest = tuple(self.ready)
            self.ready.clear()
        return self._current if len(rest) == len(self._current.tracks) else attrs.evolve(self._current, tracks=rest)

    async def _collect(self) -> TrackList:
        tracks: list[Track] = []
        try:
            while True:
                tracks += (await self._next_page()).tracks
        except StopAsyncIteration:
            return TrackList(tracks)
        except (JoggError, CatalogueChangedWarning) as error:
            error.tracks = TrackList(tracks)
            raise

    def position(self) -> Checkpoint:
        """Return the position of the next track."""
        if self._position_at_close is not None:
            return self._position_at_close
        start = self.options.start
        lowest = self._window.lowest if self._window is not None else start.page
        page, place = self._cursor.position(lowest, len(self.ready))
        return attrs.evolve(
            start,
            page=page,
            place=place,
            limit=None if start.limit is None else start.limit - self.accepted + len(self.ready),
            total_items=self.pages.first_total_items,
            total_pages=self.pages.first_total_pages,
            drifted=self.passes.changed,
        )

    def close(self, error: type[JoggError]) -> None:
        """Close the crawl now. Unless it is complete, each waiting and each later step raises `error`."""
        if self._state in (State.RUNNING, State.ABANDONED):
            self._close_error, self._position_at_close = error, self.position()
            self._state = State.ENDED if self._is_complete() else State.CLOSED
        self.accepted -= len(self.ready)
        self.ready.clear()
        if self._window is not None:
            self._window.close()
        if self._fetcher is not None:
            self._fetcher.transport.stop_preconnects()

    async def aclose(self, error: type[JoggError]) -> None:
        """Close the crawl, and wait until none of its tasks is left.

        Raises:
            ConfigurationError: the crawl runs in another event loop. It goes on there.
        """
        if self._loop is not None and self._loop.is_closed():
            return  # the loop ended its tasks
        self._check_loop()
        self.close(error)
        await self._stop_tasks()

    def abandon(self) -> None:
        """Close after the current step. A finalizer calls this in any thread, perhaps after the loop is closed."""
        if self._state is State.RUNNING:
            self._state = State.ABANDONED
        if self._loop is None or self._loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._close_if_abandoned()
        else:
            self._loop.call_soon_threadsafe(self._close_if_abandoned)

    def _close_if_abandoned(self) -> None:
        if self._state is State.ABANDONED and not self._steps:
            self.close(JoggError)

    async def _stop_tasks(self) -> None:
        if self._window is not None:
            await self._window.aclose()
        if self._fetcher is not None and (preconnects := self._fetcher.transport.stop_preconnects()):
            await asyncio.wait(preconnects)

    async def _load(self) -> Page:
        """Wait for the next page and make it the current one. After the last one, recrawl or end the crawl."""
        while True:
            self._check_open()
            window = self._window or self._begin()
            result = await window.get()
            if self._is_closed:
                continue
            if result is not None:
                return self._accept(window, *result)
            if self._wanted() > 0:
                self.pages.finish_pass()
                if self.passes.wants_recrawl:
                    self._begin_recrawl(window)
                    continue
            await self._stop_tasks()
            if not self._is_closed:
                # Not before the wait above: if this step is cancelled there, the next step must report the drift.
                self._state = State.ENDED
                self.passes.report_drift()

    @property
    def _is_closed(self) -> bool:
        return self._state is State.CLOSED

    def _check_open(self) -> None:
        """Raise if the crawl is closed or ended. A crawl closed before its end must not look complete."""
        if self._is_closed:
            raise self._close_error(
                "The crawl was closed before its end: its pager or its session was closed. "
                "tracks(resume=pager.checkpoint()) continues it."
            )
        if self._state is State.ENDED:
            raise StopAsyncIteration

    def _is_complete(self) -> bool:
        """Return whether every track was yielded, even if no step has reached the end yet."""
        if self.ready or self._window is None:
            return False
        is_whole = self._window.is_drained and not self.passes.changed and not self.pages.lacks_records
        return self._wanted() <= 0 or is_whole

    def _begin(self) -> Window[Decoded]:
        options = self.options
        fetcher = self._fetcher = self._connect()
        self._loop = asyncio.get_running_loop()
        queue = RequestQueue(options.concurrency)
        skip_invalid = options.on_invalid == "skip"
        self._window = window = Window(
            lambda number: fetcher.page(
                options.url, number, queue, self.stats, skip_invalid=skip_invalid, policy=options.retry
            ),
            self._record_response,
            width=options.concurrency,
            replaceable=lambda: queue.replaceable,
            ahead=_AHEAD * options.concurrency + _AHEAD,
            ordered=options.ordered,
        )
        queue.on_backoff = window.fill
        self.pages.on_change = self._log_drift
        self.pages.expected_pages = fetcher.page_totals.get(options.url)
        window.start(options.start.page, self.pages.last)
        self._update_bounds(window)
        if self._wanted() <= 0:
            window.close()
        fetcher.transport.preconnect(int(min(options.concurrency, options.max_pages())) - 1)
        return window

    def _record_response(self, number: int, decoded: Decoded) -> None:
        """Update the range of pages from a response when it arrives."""
        known = self.pages.total_pages
        self.pages.record_response(number, decoded.page.pagination, decoded.records)
        if self.pages.total_pages != known:
            self._remember_total()
        if self._window is not None:
            self._update_bounds(self._window)

    def _log_drift(self, number: int, change: str) -> None:
        if self._fetcher is not None:
            request = self._fetcher.request_line(self.options.url, number)
            log_drift(request, number, self.passes.recrawls + 1, change)

    def _remember_total(self) -> None:
        """Save the number of pages, so that the session's next crawl of this URL knows it from the start."""
        if self._fetcher is not None and self.pages.total_pages is not None:
            totals = self._fetcher.page_totals
            if len(totals) >= _MAX_TOTALS_KEPT:
                totals.clear()
            totals[self.options.url] = self.pages.total_pages

    def _update_bounds(self, window: Window[Decoded]) -> None:
        window.max_outstanding = self._max_outstanding(window.lowest)
        window.set_last(self.pages.last, discard=self.pages.ended)

    def _max_outstanding(self, lowest: int) -> float:
        """Return the most pages to fetch or buffer: those that the limit needs, and few while the end is unknown."""
        start = self.options.start
        most = math.inf if self.pages.has_total else self.options.concurrency
        if self.options.limit == math.inf:
            return most
        skipped = start.place if lowest == start.page else 0
        return min(most, max(1, math.ceil((self._wanted() + skipped) / self.pages.named_page_size)))

    def _wanted(self) -> float:
        """Return the number of tracks that the limit still allows."""
        return self.options.limit - self.accepted

    def _accept(self, window: Window[Decoded], number: int, decoded: Decoded) -> Page:
        """Make a page the current one, without the tracks that were yielded before or are beyond the limit."""
        page, start = decoded.page, self.options.start
        places: Sequence[int] = decoded.places or range(len(page.tracks))
        new = self.passes.new_indexes(number, [track.id for track in page.tracks], decoded.records)
        kept: Sequence[int] = range(len(places)) if new is None else new
        if number == start.page and start.place and not self.passes.recrawls:
            self.passes.skipped = [
                track.id for track, place in zip(page.tracks, places, strict=True) if place < start.place
            ]
            kept = [index for index in kept if places[index] >= start.place]
        after = None
        if len(kept) > self._wanted():
            limit = int(self._wanted())
            after, kept = places[kept[limit]], kept[:limit]
        if len(kept) < len(page.tracks):
            page = attrs.evolve(page, tracks=tuple(page.tracks[index] for index in kept))
            places = [places[index] for index in kept]
        self._cursor.enter(number, places, after)
        self._count(page, decoded)
        self._adjust_window(window)
        return page

    def _count(self, page: Page, decoded: Decoded) -> None:
        self._current = page
        self.ready.extend(page.tracks)
        self.accepted += len(page.tracks)
        self.pages_done += 1
        if decoded.invalid and not self.passes.recrawls:
            self.invalid += len(decoded.invalid)
            self.invalid_records += decoded.invalid[: _MAX_INVALID_KEPT - len(self.invalid_records)]

    def _adjust_window(self, window: Window[Decoded]) -> None:
        """Close the window if the limit is reached; update and fill it now if the current page changes its bounds."""
        if self._wanted() <= 0:
            window.close()
        elif not self.pages.has_total or self.pages.ended or self.options.limit < math.inf:
            self._update_bounds(window)
            window.fill()

    def _begin_recrawl(self, window: Window[Decoded]) -> None:
        first = self.options.start.start_page
        self.passes.begin_recrawl(first)
        self.pages_done = 0
        self._cursor = Cursor(first, 0)
        window.start(first, self.pages.last)
