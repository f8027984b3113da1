"""`Feed`: the tracks of one query, loaded once for all browser tabs that show them. `Feeds`: one feed per query."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import math
import secrets
from collections.abc import Generator, Sequence
from typing import Any, Final

import attrs
import msgspec

from jogg_async.models import Track

from .sources import Loading, Query, Source, SourceError

_logger = logging.getLogger(__name__)

_GRACE: Final = 5.0
"""Seconds until an unfinished feed is closed after its last browser tab left, which may only be reloading."""

_MAX_UNWATCHED: Final = 8
"""Complete feeds that are kept though no browser tab shows them, for the next request with the same query."""

_json = msgspec.json.Encoder()
_batch = msgspec.json.Decoder(dict[str, list[tuple[str, str | None, str | None, int | None]]])


class State(enum.StrEnum):
    """State of a feed."""

    LOADING = "loading"
    PAUSED = "paused"
    COMPLETE = "complete"
    FAILED = "failed"


@attrs.frozen
class Status:
    """Status of a feed, as the page shows it.

    Attributes:
        state: state of the feed.
        total: tracks in all; `None` until known.
        seconds: rest of a rate-limit pause, in whole seconds; 0 for none.
        invalid: records skipped because they are no valid tracks.
        drifted: true if the catalogue changed during the crawl, so that tracks may be missing.
        reason: reason of a failure.
        advice: advice on what to do about it.
    """

    state: State
    total: int | None = None
    seconds: int = 0
    invalid: int = 0
    drifted: bool = False
    reason: str = ""
    advice: str = ""

    def line(self) -> bytes:
        """Return the status as one line of JSON."""
        return line(attrs.asdict(self))


def line(message: dict[str, Any]) -> bytes:
    """Return a message as one line of JSON."""
    return _json.encode(message) + b"\n"


class Feed:
    """Tracks of one query, loaded in the background. Batches are appended, never changed or removed.

    Args:
        loading: loads the tracks; the feed closes it.
    """

    def __init__(self, loading: Loading) -> None:
        self.id: str = secrets.token_hex(8)
        """Random id. A page that reconnects sends it, to continue after the batches that it already has."""
        self.batches: list[bytes] = []
        """Lines of JSON with the tracks so far."""
        self.watchers = 0
        """Browser tabs that show this feed."""
        self.closed: bool = False
        """True after `close`: no more batches are added, even if the feed is incomplete."""
        self._loading = loading
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._state = State.LOADING
        self._error: SourceError | None = None
        self._task = asyncio.create_task(self._load())

    @property
    def complete(self) -> bool:
        """True once all tracks are loaded."""
        return self._state is State.COMPLETE

    @property
    def changed(self) -> asyncio.Event:
        """Event that is set at the next change. Get it before reading batches and status, to miss no change."""
        return self._changed

    def status(self) -> Status:
        """Return the current status."""
        progress = self._loading.progress
        paused = math.ceil(progress.paused) if self._state is State.LOADING else 0
        return Status(
            State.PAUSED if paused else self._state,
            progress.total,
            paused,
            progress.invalid,
            progress.drifted,
            reason=self._error.reason if self._error else "",
            advice=self._error.advice if self._error else "",
        )

    def music_url(self, track_id: int) -> str | None:
        """Return the address of a track's audio file; `None` if the feed has no such track, or the track no address.

        Searches all tracks, which is slow. Only audio files that this server proxies need it.
        """
        for batch in self.batches:
            for found, _, url, _ in _batch.decode(batch)["tracks"]:
                if found == str(track_id):
                    return url
        return None

    def retry(self) -> None:
        """Continue to load after a failure."""
        if self._state is State.FAILED:
            self._set(State.LOADING)
            self._retry.set()

    def close(self) -> None:
        """Stop loading, and end the responses that stream this feed."""
        self.closed = True
        self._task.cancel()
        self._notify()

    async def aclose(self) -> None:
        """Close the feed, and wait for its requests to end."""
        self.close()
        await asyncio.wait((self._task,))
        await self._loading.aclose()  # not in the task's `finally`, which a task cancelled before it starts never runs

    async def _load(self) -> None:
        try:
            while (batch := await self._next_batch()) is not None:
                self._add(batch)
            self._set(State.COMPLETE)
        except Exception as error:
            _logger.exception("loading tracks for the page failed")
            self._set(State.FAILED, SourceError(f"Unexpected error: {error!r}.", "Start jogg-async browse again."))

    async def _next_batch(self) -> Sequence[Track] | None:
        while True:
            try:
                return await self._loading.next_batch()
            except SourceError as error:
                self._retry.clear()
                self._set(State.FAILED, error)
            await self._retry.wait()

    def _add(self, tracks: Sequence[Track]) -> None:
        if tracks:
            # Ids as strings: integers above 2**53 are not exact in JavaScript.
            rows = [(str(track.id), track.name, track.music_url, track.duration) for track in tracks]
            self.batches.append(line({"tracks": rows}))
        self._notify()

    def _set(self, state: State, error: SourceError | None = None) -> None:
        self._state, self._error = state, error
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Feeds:
    """Feeds by query. A feed that no browser tab shows is closed, unless it is complete and was used recently.

    Args:
        source: source of the tracks.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._feeds: dict[Query, Feed] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def watched(self, query: Query) -> Generator[Feed]:
        """Yield the feed of a query, and keep it open until the block ends."""
        feed = self._feeds.pop(query, None) or Feed(self._source.load(query))
        self._feeds[query] = feed  # at the end: the feeds are in order of last use
        feed.watchers += 1
        try:
            yield feed
        finally:
            feed.watchers -= 1
            asyncio.get_running_loop().call_later(_GRACE, self._drop_unfinished, query)
            self._drop_oldest()

    def retry(self, query: Query) -> None:
        """Continue the feed of a query if it failed. Close it if it is complete: the page then requests a new one."""
        feed = self._feeds.get(query)
        if feed is not None and feed.complete:
            self._drop(query)
        elif feed is not None:
            feed.retry()

    def music_url(self, track_id: int) -> str | None:
        """Return the address of a track's audio file from any feed; `None` if no feed has one."""
        found = (feed.music_url(track_id) for feed in self._feeds.values())
        return next((url for url in found if url), None)

    async def aclose(self) -> None:
        """Close every feed."""
        for query in tuple(self._feeds):
            self._drop(query)
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop_unfinished(self, query: Query) -> None:
        feed = self._feeds.get(query)
        if feed is not None and not feed.watchers and not feed.complete:
            self._drop(query)

    def _drop_oldest(self) -> None:
        finished = [query for query, feed in self._feeds.items() if feed.complete and not feed.watchers]
        for query in finished[:-_MAX_UNWATCHED]:
            self._drop(query)

    def _drop(self, query: Query) -> None:
        feed = self._feeds.pop(query)
        feed.close()
        closing = asyncio.create_task(feed.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
