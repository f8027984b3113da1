"""Catalogue that a fake serves: generated or given rows, and the edits made to them.

Generated rows are not kept in memory. A catalogue is a short tuple of segments, each a range of generated tracks or a
few given rows; an edit splits a segment in two and puts another between them. The tuple is replaced, never changed, so
that a view used by the server's thread does not change while a test edits the catalogue.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast, overload

from ._arguments import checked_int
from ._tracks import FixedSegment, GeneratedSegment, TrackGenerator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._tracks import Segment

__all__ = ["Catalogue", "CatalogueView"]


# Limits the memory if a client keeps sending new filters.
_MAX_VIEWS: Final = 256


class CatalogueView:
    """Rows that match a filter, at the time when the view was made. Later edits of the catalogue do not change it.

    It behaves as a sequence of dicts. Each access returns new dicts.
    """

    def __init__(self, segments: Iterable[Segment], base_url: str) -> None:
        self._segments = tuple(segment for segment in segments if len(segment))
        self._base_url = base_url
        self._starts: list[int] = []
        total = 0
        for segment in self._segments:
            self._starts.append(total)
            total += len(segment)
        self._total = total

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, self._total, 100):
            yield from self[start : start + 100]

    @overload
    def __getitem__(self, where: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, where: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, where: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        indexes = range(self._total)[where]
        if isinstance(indexes, int):
            return self._row(indexes)
        if indexes.step != 1:
            return [self._row(index) for index in indexes]
        parts = self._parts(indexes.start, indexes.stop)
        return [row for segment, a, b in parts for row in segment.records(a, b, self._base_url)]

    def texts(self, start: int, stop: int) -> list[str]:
        """Return rows `start` to `stop` (excluded) as JSON texts, far cheaper than dicts.

        Args:
            start: Index of the first row, 0 or more.
            stop: Index after the last row; cut to the number of rows.
        """
        parts = self._parts(start, min(stop, self._total))
        return [text for segment, a, b in parts for text in segment.json_texts(a, b, self._base_url)]

    def _row(self, index: int) -> dict[str, Any]:
        ((segment, a, b),) = self._parts(index, index + 1)
        return segment.records(a, b, self._base_url)[0]

    def _parts(self, start: int, stop: int) -> Iterator[tuple[Segment, int, int]]:
        place = bisect_right(self._starts, start) - 1
        while start < stop:
            segment, offset = self._segments[place], self._starts[place]
            end = min(stop, offset + len(segment))
            yield segment, start - offset, end - offset
            start, place = end, place + 1


class Catalogue:
    """Tracks that a `FakeJogg` serves, in catalogue order; edit them at any time, from any thread.

    Generated rows have the documented fields `id`, `name`, `music_url` and `duration`; given rows are sent as they are.
    It behaves as a sequence of dicts: `len(catalogue)`, `catalogue[0]`, `catalogue[-10:]`, `for row in catalogue`.

    Args:
        tracks: Number of rows to generate (0 or more; a million costs nothing), or the rows themselves.
        seed: Picks names, genres, moods and durations of generated rows; the same seed gives the same rows.
        first_id: Id of the first generated row.
        id_step: Difference between one generated id and the next, 1 or more; 1 makes them dense.
        show_filters: Add `genre` and `mood` to generated rows. The service documents filters by them but no such
            fields, so they are hidden by default.

    Raises:
        TypeError: `tracks` is neither a number nor rows, a row is no mapping, or an argument is of the wrong type.
        ValueError: `tracks` is negative or `id_step` below 1.
    """

    def __init__(
        self,
        tracks: int | Iterable[Mapping[str, Any]] = 2500,
        *,
        seed: int = 0,
        first_id: int = 1,
        id_step: int = 1,
        show_filters: bool = False,
    ) -> None:
        self._generator = TrackGenerator(seed, first_id=first_id, id_step=id_step, show_filters=show_filters)
        # Guards all attributes below; `_segments` may also be read without it, since it is only ever replaced.
        self._lock = threading.RLock()
        self._next_number = 0
        self._base_url = ""
        self._views: dict[tuple[str | None, str | None], CatalogueView] = {}
        self._segments: tuple[Segment, ...] = ()
        self._splice(0, 0, self._segment_of(tracks))

    def _segment_of(self, tracks: object) -> Segment:
        if isinstance(tracks, int) and not isinstance(tracks, bool):
            return self._generated(tracks)
        if isinstance(tracks, Iterable) and not isinstance(tracks, str | bytes):
            return self._fixed(cast("Iterable[Mapping[str, Any]]", tracks))
        raise TypeError(f"tracks must be a number of tracks or an iterable of rows, not {tracks!r:.80}")

    @property
    def base_url(self) -> str:
        """Address before `/music/…` in the `music_url` of generated rows; the server sets it when it starts."""
        return self._base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        with self._lock:
            self._base_url = url
            self._views = {}

    def filtered(self, *, genre: str | None = None, mood: str | None = None) -> CatalogueView:
        """Return the rows of one genre, one mood, or both.

        The service documents neither whether case counts nor what an unknown value gives. Here case does not count,
        and an unknown value gives no rows.

        Args:
            genre: Genre to keep; `None` or an empty string keeps all.
            mood: Mood to keep; `None` or an empty string keeps all.
        """
        key = (genre.casefold() if genre else None, mood.casefold() if mood else None)
        with self._lock:
            view = self._views.get(key)
            if view is None:
                if len(self._views) >= _MAX_VIEWS:
                    self._views.clear()
                unfiltered = key == (None, None)
                segments = self._segments if unfiltered else [segment.filtered(*key) for segment in self._segments]
                view = self._views[key] = CatalogueView(segments, self._base_url)
            return view

    def __len__(self) -> int:
        return len(self.filtered())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.filtered())

    @overload
    def __getitem__(self, where: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, where: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, where: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self.filtered()[where]

    def index(self, track_id: int) -> int:
        """Return the index of the row with this id, counted from 0.

        Raises:
            KeyError: No row has it.
        """
        offset = 0
        for segment in self._segments:
            place = segment.find(track_id)
            if place is not None:
                return offset + place
            offset += len(segment)
        raise KeyError(track_id)

    def insert(self, index: int = 0, *, count: int = 1, track: Mapping[str, Any] | None = None) -> Sequence[int]:
        """Insert rows before row `index`, and return their ids.

        Args:
            index: Index as for `list.insert`. Later tracks move back, so that a crawl by page number may receive some
                of them twice.
            count: Number of rows to generate, 0 or more, with ids that no row ever had.
            track: Row to send as it is, instead of generated ones.

        Raises:
            TypeError: `count` is no integer, or `track` no mapping.
            ValueError: `count` is negative.
        """
        with self._lock:
            place = slice(index, None).indices(len(self))[0]
            first = self._next_number
            self._splice(place, place, self._generated(count) if track is None else self._fixed([track]))
            if track is None:
                id_of, step = self._generator.id_of, self._generator.id_step
                return range(id_of(first), id_of(first + count), step)
            return [track["id"]] if isinstance(track.get("id"), int) else []

    def remove(self, where: int | slice = 0) -> None:
        """Remove the row at an index, or the rows of a slice.

        After a row of a page that was already read is removed, every later track moves one place forward, so that a
        crawl by page number misses one.

        Raises:
            IndexError: There is no row at that index. A slice is cut to the rows that exist.
        """
        with self._lock:
            indexes = range(len(self))[where]
            if isinstance(indexes, int):
                self._splice(indexes, indexes + 1, None)
            elif abs(indexes.step) == 1 and indexes:
                self._splice(min(indexes), max(indexes) + 1, None)
            else:
                for index in sorted(indexes, reverse=True):
                    self._splice(index, index + 1, None)

    def remove_ids(self, *track_ids: int) -> None:
        """Remove the rows with these ids.

        Raises:
            KeyError: No row has one of them; those before it are already removed.
        """
        with self._lock:
            for track_id in track_ids:
                self.remove(self.index(track_id))

    def _generated(self, count: int) -> GeneratedSegment:
        checked_int("the number of tracks", count, 0, sys.maxsize)
        first, self._next_number = self._next_number, self._next_number + count
        return GeneratedSegment(self._generator, first, first + count)

    def _fixed(self, rows: Iterable[Mapping[str, Any]]) -> FixedSegment:
        segment = FixedSegment.of(rows)
        ids = [row["id"] for row, _ in segment.rows if isinstance(row.get("id"), int)]
        self._next_number = max(self._next_number, self._generator.first_number_above(max(ids)) if ids else 0)
        return segment

    def _splice(self, start: int, stop: int, new: Segment | None) -> None:
        before, after = self._split(start)[0], self._split(stop)[1]
        between: tuple[Segment, ...] = () if new is None else (new,)
        self._segments = tuple(segment for segment in before + between + after if len(segment))
        self._views = {}

    def _split(self, index: int) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        offset = 0
        for place, segment in enumerate(self._segments):
            if index < offset + len(segment):
                left, right = segment.split(index - offset)
                return (*self._segments[:place], left), (right, *self._segments[place + 1 :])
            offset += len(segment)
        return self._segments, ()
