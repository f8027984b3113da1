"""A crawl: pages to tracks, each id once, over as many passes as it takes; what stands behind a `TrackPager`.

The crawl holds no reference to its pager, and its tasks hold the crawl alone: dropping the pager ends the crawl.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from ._call import Caller, Tally
from ._checkpoint import Checkpoint, Standing
from ._convert import Decoded
from ._extent import Extent
from ._gate import Lane
from ._ids import SeenIds
from ._plan import Plan
from ._prefetch import Prefetch
from .errors import CatalogueChangedError, CatalogueChangedWarning, JoggError
from .models import InvalidRecord, Page, Track
from .tracklist import TrackList

_RECRAWLS: Final = 5
"""How often `on_drift="recrawl"` goes over the pages again at the most."""

_AHEAD: Final = 16
"""Pages held ahead of the consumer, per request in flight: fewer, and one slow page stalls the rest (the scenario
`tail` of `nox -s bench`); more gains nothing."""

_INVALID_KEPT: Final = 1000

_CHANGED: Final = "the catalogue changed during the crawl (totals, an id met twice, or a page's number)"

_T = TypeVar("_T")

Show = Callable[[int, int | None], None]
"""Shows how far a crawl is: tracks so far, and the total where it is known."""


class Crawl:
    """The state of one crawl.

    Args:
        plan: what to crawl.
        caller: makes the session's caller, in the loop that runs at the first step.
    """

    def __init__(self, plan: Plan, caller: Callable[[], Caller]) -> None:
        self.plan = plan
        self.ready: deque[Track] = deque()
        """The tracks of the current page that are not yielded yet."""
        self.extent: Extent = Extent(plan.start.page_size, plan.start.page, plan.end_page)
        self.tally: Tally = Tally()
        self.invalid_records: list[InvalidRecord] = []
        self.invalid: int = 0
        self.duplicates: int = 0
        self.pages_done: int = 0
        self.admitted: int = 0
        self._drifted_before = self._met_twice = False
        self._make_caller = caller
        self._caller: Caller | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._window: Prefetch[Decoded] | None = None
        self._lock = asyncio.Lock()
        self._seen = self._seen_in_pass = SeenIds()
        self._passes = 0
        self._standing = Standing(plan.start)
        self._current = Page(())
        self._ended = not self._wanted() or plan.end_page < plan.start.page
        self._steps = 0
        self._abandoned = False
        self._closed: type[JoggError] | None = None
        self._closed_at: Checkpoint | None = None

    @property
    def drifted(self) -> bool:
        """Whether a change of the catalogue showed so far."""
        return self._drifted_before or self._changed

    @property
    def _changed(self) -> bool:
        """Whether one showed in this pass."""
        return self._met_twice or self.extent.drifted

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait."""
        return self._caller.gate.paused if self._caller is not None else 0.0

    def load_held(self) -> bool:
        """Take in the next page where that takes no waiting; whether tracks are ready then."""
        window = self._window
        if window is None or self._closed is not None or self._lock.locked():
            return False
        if (held := window.take_held()) is not None:
            self._admit(window, *held)
        return bool(self.ready)

    def next_track(self) -> Coroutine[Any, Any, Track]:
        """The next track. Cancelling a step loses nothing.

        Raises:
            StopAsyncIteration: all were yielded, or the pager was closed.
        """
        self._steps += 1  # here already: the pager may be dropped before the coroutine starts
        return self._step(self._next_track)

    def next_page(self) -> Coroutine[Any, Any, Page]:
        """The next page, or what is left of the current one; otherwise as `next_track`."""
        self._steps += 1
        return self._step(self._next_page)

    def rest(self, show: Show | None = None) -> Coroutine[Any, Any, TrackList]:
        """All the tracks that are left; on a `JoggError`, those before it are its ``tracks``.

        Args:
            show: called after each page with the number of tracks so far, and the total where it is known.
        """
        self._steps += 1
        return self._step(partial(self._rest, show))

    async def _step(self, step: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        try:
            return await step()
        finally:
            self._steps -= 1
            self._close_abandoned()

    async def _next_track(self) -> Track:
        was_open = self._closed is None
        async with self._lock:
            while not self.ready:
                await self._load(was_open)
            return self.ready.popleft()

    async def _next_page(self) -> Page:
        was_open = self._closed is None
        async with self._lock:
            while not self.ready:
                page = await self._load(was_open)
                if not page.tracks and self._passes == 0:
                    return page
            rest = tuple(self.ready)
            self.ready.clear()
        return self._current if len(rest) == len(self._current.tracks) else attrs.evolve(self._current, tracks=rest)

    async def _rest(self, show: Show | None) -> TrackList:
        tracks: list[Track] = []
        try:
            while True:
                tracks += (await self._next_page()).tracks
                if show is not None:
                    show(len(tracks), self.extent.total_items)
        except StopAsyncIteration:
            return TrackList(tracks)
        except JoggError as error:
            error.tracks = TrackList(tracks)
            raise

    def position(self) -> Checkpoint:
        """Where the consumer stands: the next track's page, and its place there."""
        if self._closed_at is not None:
            return self._closed_at
        lowest = self._window.lowest if self._window is not None else self.plan.start.page
        return self._standing.position(lowest, len(self.ready))

    def close(self, reason: type[JoggError]) -> None:
        """End the crawl at once: a step that waits raises `reason`."""
        if self._closed is None and not self._ended:
            self._closed, self._closed_at = reason, self.position()
        self.admitted -= len(self.ready)
        self.ready.clear()
        if self._window is not None:
            self._window.close()
        if self._caller is not None:
            self._caller.transport.stop_opening()

    async def aclose(self, reason: type[JoggError]) -> None:
        """`close`, and wait until no task of the crawl is left."""
        self.close(reason)
        await self._wind_down()

    def abandon(self) -> None:
        """Close once the step under way is over; from a finalizer, so in any thread, and perhaps after the loop."""
        self._abandoned = True
        if self._loop is None or self._loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._close_abandoned()
        else:
            self._loop.call_soon_threadsafe(self._close_abandoned)

    def _close_abandoned(self) -> None:
        if self._abandoned and not self._steps:
            self.close(JoggError)

    async def _wind_down(self) -> None:
        if self._window is not None:
            await self._window.aclose()
        if self._caller is not None and (opening := self._caller.transport.stop_opening()):
            await asyncio.wait(opening)

    async def _load(self, was_open: bool) -> Page:
        while True:
            self._check_open(was_open)
            window = self._window or self._begin()
            taken = await window.take()
            if self._closed is not None:
                continue
            if taken is not None:
                return self._admit(window, *taken)
            if self._wants_pass():
                self._begin_pass(window)
            else:
                await self._wind_down()
                self._ended = True  # only now: a step that is cancelled in its last wait reports nothing yet
                self._report_drift()

    def _check_open(self, was_open: bool) -> None:
        """Raise what a closed or ended crawl answers: a step that waited when it was closed must not look complete."""
        if self._closed is not None and (was_open or self._closed is not JoggError):
            raise self._closed("the crawl was cut short: its pager or its session was closed")
        if self._closed is not None or self._ended:
            raise StopAsyncIteration

    def _begin(self) -> Prefetch[Decoded]:
        plan = self.plan
        caller = self._caller = self._make_caller()
        self._loop = asyncio.get_running_loop()
        lane = Lane(plan.concurrency)
        skip_invalid = plan.on_invalid == "skip"
        self._window = window = Prefetch(
            lambda number: caller.page(
                plan.listing, number, lane, self.tally, skip_invalid=skip_invalid, policy=plan.retry
            ),
            self._arrived,
            lambda: lane.width,
            ahead=_AHEAD * plan.concurrency + _AHEAD,
            ordered=plan.ordered,
        )
        lane.on_parked = window.fill
        window.start(plan.start.page, self.extent.last)
        caller.transport.open_connections(int(min(plan.concurrency, plan.pages_wanted())) - 1)
        return window

    def _arrived(self, number: int, decoded: Decoded) -> None:
        self.extent.note(number, decoded.page.pagination, empty=decoded.records == 0)
        if self._window is not None:
            self._bound(self._window)

    def _bound(self, window: Prefetch[Decoded]) -> None:
        """Hand on to the window what is known of the end."""
        window.budget = self._pages_missing(window.lowest)
        window.move_last(self.extent.last, discard=self.extent.ended)

    def _pages_missing(self, lowest: int) -> float:
        """How many pages may be outstanding: those that the limit needs, and few where nothing tells the end."""
        start = self.plan.start
        most = math.inf if self.extent.known else self.plan.concurrency
        if self.plan.limit == math.inf:
            return most
        skipped = start.place if lowest == start.page else 0
        return min(most, max(1, math.ceil((self._wanted() + skipped) / self.extent.page_size)))

    def _wanted(self) -> float:
        """How many more tracks the limit leaves."""
        return self.plan.limit - self.admitted

    def _admit(self, window: Prefetch[Decoded], number: int, decoded: Decoded) -> Page:
        """Take a page in: leave out what was yielded before, and what the limit cuts off."""
        page = decoded.page
        places: Sequence[int] = decoded.places or range(len(page.tracks))
        ids = [track.id for track in page.tracks]
        new_in_pass = self._seen_in_pass.add_all(ids)
        fresh = self._fresh(ids, new_in_pass)
        if number == self.plan.start.page and self.plan.start.place and self._passes == 0:
            chosen = range(len(places)) if fresh is None else fresh
            fresh = [index for index in chosen if places[index] >= self.plan.start.place]
        if fresh is not None:
            page = attrs.evolve(page, tracks=tuple(page.tracks[index] for index in fresh))
            places = [places[index] for index in fresh]
        after = None
        if len(page.tracks) > self._wanted():
            cut = int(self._wanted())
            page, after, places = attrs.evolve(page, tracks=page.tracks[:cut]), places[cut], places[:cut]
        self._standing.enter(number, places, after)
        self._count(page, decoded)
        self._go_on(window, number, exhausted=decoded.records > 0 and new_in_pass == [])
        return page

    def _fresh(self, ids: list[int], new_in_pass: list[int] | None) -> list[int] | None:
        """The indexes of the ids not yielded yet; `None` for all of them."""
        if new_in_pass is not None:
            self.duplicates += len(ids) - len(new_in_pass)
            self._met_twice = True
        return new_in_pass if self._seen is self._seen_in_pass else self._seen.add_all(ids)

    def _count(self, page: Page, decoded: Decoded) -> None:
        self._current = page
        self.ready.extend(page.tracks)
        self.admitted += len(page.tracks)
        self.pages_done += 1
        if decoded.invalid and self._passes == 0:
            self.invalid += len(decoded.invalid)
            self.invalid_records += decoded.invalid[: _INVALID_KEPT - len(self.invalid_records)]

    def _go_on(self, window: Prefetch[Decoded], number: int, *, exhausted: bool) -> None:
        """Ask for more, or for no more."""
        self.extent.forget_below(window.lowest)
        if self._wanted() <= 0:
            window.close()
            return
        self.extent.note_taken(number, exhausted=exhausted)
        if self.extent.known and not self.extent.ended and self.plan.limit == math.inf:
            return  # nothing depends on what this page brought; the next step fills the window
        self._bound(window)
        window.fill()

    def _wants_pass(self) -> bool:
        self._drifted_before = self.drifted
        return self._changed and self.plan.on_drift == "recrawl" and self._passes < _RECRAWLS and self._wanted() > 0

    def _begin_pass(self, window: Prefetch[Decoded]) -> None:
        self._passes += 1
        self._met_twice = False
        self.pages_done = 0
        self._seen_in_pass = SeenIds()
        self.extent.begin_pass()
        window.start(self.plan.start.page, self.extent.last)
        self._bound(window)

    def _report_drift(self) -> None:
        policy = self.plan.on_drift
        if policy == "ignore" or not self._changed:
            return
        if policy == "raise":
            raise CatalogueChangedError(_CHANGED)
        text = f"{_CHANGED}: tracks may have slid past it"
        warnings.warn(text, CatalogueChangedWarning, stacklevel=_levels_up())


def _levels_up() -> int:
    """How many frames lie between the caller and the consumer's line, for a warning that points there."""
    frame, levels = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame, levels = frame.f_back, levels + 1
    return levels
