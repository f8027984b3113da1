"""Sources of the page's tracks: their protocol, and the source that crawls the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from jogg_async.errors import (
    AuthenticationError,
    DecodeError,
    JoggError,
    NotFoundError,
    ParameterError,
    RateLimitError,
    ServerError,
    TransportError,
)
from jogg_async.models import Track
from jogg_async.pager import TrackPager
from jogg_async.session import JoggSession

# Used where the library's own advice names Python arguments.
_ADVICE: Final[tuple[tuple[type[JoggError], str], ...]] = (
    (AuthenticationError, "Check the key in JOGG_API_KEY, and start jogg-async browse again."),
    (NotFoundError, "Check --base-url or JOGG_BASE_URL, and start jogg-async browse again."),
    (ParameterError, "Choose another genre or mood."),
    (RateLimitError, "Wait a little, then try again."),
    (ServerError, "Try again later. If it persists, give the rid to the service's support."),
    (TransportError, "Check the network, then try again."),
    (DecodeError, "Look for a newer version of jogg-async."),
)

EXAMPLE_GENRES: Final = ("Ambient", "Corporate")
"""The genres that the service's reference names as examples. It lists no others, and takes any text."""

EXAMPLE_MOODS: Final = ("Calm", "Energetic")
"""The moods that the service's reference names as examples. It lists no others, and takes any text."""


class SourceError(Exception):
    """Raised if tracks cannot be loaded.

    Attributes:
        reason: reason of the failure.
        advice: advice on what to do about it.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(" ".join(filter(None, (reason, advice))))
        self.reason = reason
        self.advice = advice


@attrs.frozen
class Query:
    """Filters that the source applies.

    Attributes:
        genre: only this genre; `None` for all.
        mood: only this mood; `None` for all.
    """

    genre: str | None = None
    mood: str | None = None


@attrs.frozen
class Suggestions:
    """Filters that the page offers.

    Attributes:
        genres: genres to suggest.
        moods: moods to suggest.
        any_text: true if the source accepts other values as well.
    """

    genres: Sequence[str] = ()
    moods: Sequence[str] = ()
    any_text: bool = False


@attrs.frozen
class LoadProgress:
    """Snapshot of the loading of one query.

    Attributes:
        total: tracks in all; `None` until known.
        paused: rest of a rate-limit pause, in seconds; 0 for none.
        invalid: records skipped because they are no valid tracks.
        drifted: true if the catalogue changed during the crawl, so that tracks may be missing.
    """

    total: int | None = None
    paused: float = 0.0
    invalid: int = 0
    drifted: bool = False


class Loading(Protocol):
    """Tracks of one query while they are loaded."""

    @property
    def progress(self) -> LoadProgress:
        """Progress so far."""
        ...

    async def next_batch(self) -> Sequence[Track] | None:
        """Return the next tracks, or `None` after the last one.

        Raises:
            SourceError: the tracks cannot be loaded; the next call tries again.
        """
        ...

    async def aclose(self) -> None:
        """Cancel the requests in flight."""
        ...


class Source(Protocol):
    """Source of the page's tracks."""

    @property
    def name(self) -> str:
        """Text for the page's title bar."""
        ...

    @property
    def suggestions(self) -> Suggestions:
        """Filters that the page offers."""
        ...

    def load(self, query: Query) -> Loading:
        """Start to load the tracks of a query."""
        ...


@attrs.frozen
class ServiceSource:
    """Source that crawls the service.

    Attributes:
        session: session for the requests.
        name: text for the page's title bar.
        suggestions: filters that the page offers.
    """

    session: JoggSession
    name: str = "JoggAI"
    suggestions: Suggestions = Suggestions(EXAMPLE_GENRES, EXAMPLE_MOODS, any_text=True)

    def load(self, query: Query) -> Loading:
        """Return a crawl. No request is sent before its first `next_batch`."""
        pager = self.session.tracks(genre=query.genre, mood=query.mood, on_invalid="skip", on_drift="ignore")
        return _Crawl(pager)


class _Crawl:
    """Crawl of one query, page by page."""

    def __init__(self, pager: TrackPager) -> None:
        self._pager = pager
        self._pages = pager.pages()

    @property
    def progress(self) -> LoadProgress:
        progress = self._pager.progress
        return LoadProgress(progress.expected, progress.paused, progress.invalid, progress.drifted)

    async def next_batch(self) -> Sequence[Track] | None:
        try:
            return (await anext(self._pages)).tracks
        except StopAsyncIteration:
            return None
        except JoggError as error:
            raise SourceError(error.summary, _advice(error)) from error

    async def aclose(self) -> None:
        await self._pager.aclose()


def _advice(error: JoggError) -> str:
    return next((advice for kind, advice in _ADVICE if isinstance(error, kind)), error.advice)
