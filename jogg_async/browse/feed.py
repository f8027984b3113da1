"""`Feed`: the tracks of one query, loaded once for any number of pages. `Feeds` has one for each query in use."""

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
"""Seconds that an unfinished crawl goes on after the last page left, which may only be reloading."""

_MOST_FEEDS: Final = 8
"""Complete feeds kept for the next page with the same query."""

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
    """State of a feed, as the page shows it.

    Attributes:
        state: the state.
        total: tracks in all; `None` until known.
        seconds: whole seconds of a rate-limit pause still to wait.
        invalid: records skipped because they are no valid tracks.
        drifted: the catalogue changed meanwhile, so that tracks may be missing.
        reason: what failed.
        advice: what to do about it.
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
    """Tracks of one query, loaded in the background. Batches are only ever added at the end.

    Args:
        loading: the tracks while they are loaded; closed by the feed.
    """

    def __init__(self, loading: Loading) -> None:
        self.id: str = secrets.token_hex(8)
        """Name of this feed: a page that lost its connection names the feed whose batches it holds."""
        self.batches: list[bytes] = []
        """Lines of JSON with the tracks so far."""
        self.watchers = 0
        """Pages that show this feed."""
        self.closed: bool = False
        """True once no more batches come, though the feed may be incomplete."""
        self._loading = loading
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._state = State.LOADING
        self._error: SourceError | None = None
        self._task = asyncio.create_task(self._load())

    @property
    def complete(self) -> bool:
        """True once all tracks are there."""
        return self._state is State.COMPLETE

    @property
    def changed(self) -> asyncio.Event:
        """Event of the next change. Take it before reading batches and status, so that no change is missed."""
        return self._changed

    def status(self) -> Status:
        """Return the present status."""
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

        It searches all tracks: only audio that goes through this server needs it.
        """
        for batch in self.batches:
            for found, _, url, _ in _batch.decode(batch)["tracks"]:
                if found == str(track_id):
                    return url
        return None

    def retry(self) -> None:
        """Try again after a failure."""
        if self._state is State.FAILED:
            self._set(State.LOADING)
            self._retry.set()

    def close(self) -> None:
        """End the requests and the streams of this feed."""
        self.closed = True
        self._task.cancel()
        self._announce()

    async def aclose(self) -> None:
        """Close the feed, and wait for its requests to end."""
        self.close()
        await asyncio.wait((self._task,))
        await self._loading.aclose()  # not in the task: one that is cancelled before its first step runs no `finally`

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
            # Ids as texts: numbers in JavaScript have 53 bits.
            rows = [(str(track.id), track.name, track.music_url, track.duration) for track in tracks]
            self.batches.append(line({"tracks": rows}))
        self._announce()

    def _set(self, state: State, error: SourceError | None = None) -> None:
        self._state, self._error = state, error
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Feeds:
    """Feeds by query. One that no page shows is dropped, unless it is complete and among the last used.

    Args:
        source: where the tracks come from.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._feeds: dict[Query, Feed] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def watched(self, query: Query) -> Generator[Feed]:
        """Yield the feed of a query, which is loaded while somebody watches it."""
        feed = self._feeds.pop(query, None) or Feed(self._source.load(query))
        self._feeds[query] = feed  # at the end: the first ones were not used for longest
        feed.watchers += 1
        try:
            yield feed
        finally:
            feed.watchers -= 1
            asyncio.get_running_loop().call_later(_GRACE, self._drop_unfinished, query)
            self._drop_oldest()

    def retry(self, query: Query) -> None:
        """Continue a feed that failed. Drop one that is complete, so that its pages ask for a new one."""
        feed = self._feeds.get(query)
        if feed is not None and feed.complete:
            self._drop(query)
        elif feed is not None:
            feed.retry()

    def music_url(self, track_id: int) -> str | None:
        """Return the address of the audio file of a track that is in a feed; `None` if there is none."""
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
        for query in finished[:-_MOST_FEEDS]:
            self._drop(query)

    def _drop(self, query: Query) -> None:
        feed = self._feeds.pop(query)
        feed.close()
        closing = asyncio.create_task(feed.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
