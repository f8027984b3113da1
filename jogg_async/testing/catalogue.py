"""The catalogue that a fake serves: generated or given rows, and the edits made to it.

Rows are never all in memory. The catalogue is a short list of pieces, each a run of songs out of the song book or a few
given rows; an edit cuts a piece in two and puts another between. The list is replaced, never changed, so that a view
taken by the server's thread stays whole while a test edits the catalogue.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, overload

from .pieces import Given, Piece, Run
from .songs import SongBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Catalogue", "CatalogueView"]


# A client that sends ever new filters must not fill the memory.
_MAX_VIEWS: Final = 256


class CatalogueView:
    """The rows that pass a filter, as the catalogue stood when the view was made. Later edits do not show.

    It behaves as a sequence of dicts, made anew at each look.
    """

    def __init__(self, pieces: Iterable[Piece], base_url: str) -> None:
        self._pieces = tuple(piece for piece in pieces if len(piece))
        self._base_url = base_url
        self._starts: list[int] = []
        total = 0
        for piece in self._pieces:
            self._starts.append(total)
            total += len(piece)
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
        picked = range(self._total)[where]
        if isinstance(picked, int):
            return self._row(picked)
        if picked.step != 1:
            return [self._row(index) for index in picked]
        spans = self._spans(picked.start, picked.stop)
        return [row for piece, a, b in spans for row in piece.rows(a, b, self._base_url)]

    def texts(self, start: int, stop: int) -> list[str]:
        """Rows `start` to `stop` (excluded) as JSON texts; far cheaper than the dicts. Bounds past the end are cut."""
        spans = self._spans(start, min(stop, self._total))
        return [text for piece, a, b in spans for text in piece.texts(a, b, self._base_url)]

    def _row(self, index: int) -> dict[str, Any]:
        ((piece, a, b),) = self._spans(index, index + 1)
        return piece.rows(a, b, self._base_url)[0]

    def _spans(self, start: int, stop: int) -> Iterator[tuple[Piece, int, int]]:
        place = bisect_right(self._starts, start) - 1
        while start < stop:
            piece, offset = self._pieces[place], self._starts[place]
            end = min(stop, offset + len(piece))
            yield piece, start - offset, end - offset
            start, place = end, place + 1


class Catalogue:
    """The tracks that a `FakeJogg` serves, in catalogue order, open to edits from any thread at any time.

    Generated rows have the documented fields `id`, `name`, `music_url` and `duration`; given rows are sent as they are.
    It behaves as a sequence of dicts: `len(catalogue)`, `catalogue[0]`, `catalogue[-10:]`, `for row in catalogue`.

    Args:
        tracks: How many rows to generate (0 or more; a million costs nothing), or the rows themselves.
        seed: Picks names, genres, moods and durations of generated rows; the same seed gives the same rows.
        first_id: The id of the first generated row.
        id_step: From one generated id to the next, 1 or more; 1 makes them dense.
        show_filters: Whether generated rows also carry `genre` and `mood`. The service documents filters by them but no
            such fields, so they are hidden by default.

    Raises:
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
        self._book = SongBook(seed, first_id=first_id, id_step=id_step, show_filters=show_filters)
        self._next_number = 0
        self._lock = threading.RLock()
        self._base_url = ""
        self._views: dict[tuple[str | None, str | None], CatalogueView] = {}
        self._pieces: tuple[Piece, ...] = ()
        self._splice(0, 0, self._generated(tracks) if isinstance(tracks, int) else self._given(tracks))

    @property
    def base_url(self) -> str:
        """What stands before `/music/…` in the `music_url` of generated rows; the server sets it when it starts."""
        return self._base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        with self._lock:
            self._base_url = url
            self._views = {}

    def filtered(self, *, genre: str | None = None, mood: str | None = None) -> CatalogueView:
        """The rows of one genre, one mood, or both; `None` or an empty string lets everything pass.

        Upper and lower case do not count. The service documents neither this nor what an unknown value does; here it
        gives no rows.
        """
        key = (genre.casefold() if genre else None, mood.casefold() if mood else None)
        with self._lock:
            view = self._views.get(key)
            if view is None:
                if len(self._views) >= _MAX_VIEWS:
                    self._views.clear()
                pieces = self._pieces if key == (None, None) else [piece.filtered(*key) for piece in self._pieces]
                view = self._views[key] = CatalogueView(pieces, self._base_url)
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
        """Where the row with this id stands now, counted from 0.

        Raises:
            KeyError: No row has it.
        """
        offset = 0
        for piece in self._pieces:
            place = piece.find(track_id)
            if place is not None:
                return offset + place
            offset += len(piece)
        raise KeyError(track_id)

    def insert(self, index: int = 0, *, count: int = 1, track: Mapping[str, Any] | None = None) -> Sequence[int]:
        """Put new rows before row `index` (as `list.insert` counts it), and return their ids.

        Args:
            index: Where; 0 pushes every track one place on, which is what makes a crawl see some twice.
            count: How many rows to generate, with ids that no row ever had.
            track: A row to send as it is, instead of generated ones.

        Raises:
            ValueError: `count` is negative.
        """
        with self._lock:
            place = slice(index, None).indices(len(self))[0]
            first = self._next_number
            self._splice(place, place, self._generated(count) if track is None else self._given([track]))
            if track is None:
                return range(self._book.id_of(first), self._book.id_of(first + count), self._book.id_step)
            return [track["id"]] if isinstance(track.get("id"), int) else []

    def remove(self, where: int | slice = 0) -> None:
        """Take out the row at an index, or the rows of a slice.

        Removing one from the pages already read makes every later track slide one place back, so that a crawl by page
        number misses one.

        Raises:
            IndexError: There is no row at that index. A slice is cut to what is there.
        """
        with self._lock:
            picked = range(len(self))[where]
            if isinstance(picked, int):
                self._splice(picked, picked + 1, None)
            elif abs(picked.step) == 1 and picked:
                self._splice(min(picked), max(picked) + 1, None)
            else:
                for index in sorted(picked, reverse=True):
                    self._splice(index, index + 1, None)

    def remove_ids(self, *track_ids: int) -> None:
        """Take out the rows with these ids.

        Raises:
            KeyError: No row has one of them; those before it are gone already.
        """
        with self._lock:
            for track_id in track_ids:
                self.remove(self.index(track_id))

    def _generated(self, count: int) -> Run:
        if count < 0:
            raise ValueError(f"the number of tracks must be 0 or more, not {count}")
        first, self._next_number = self._next_number, self._next_number + count
        return Run(self._book, first, first + count)

    def _given(self, rows: Iterable[Mapping[str, Any]]) -> Given:
        piece = Given.of(rows)
        ids = [row["id"] for row, _ in piece.items if isinstance(row.get("id"), int)]
        self._next_number = max(self._next_number, self._book.number_after(max(ids)) if ids else 0)
        return piece

    def _splice(self, start: int, stop: int, new: Piece | None) -> None:
        before, after = self._cut(start)[0], self._cut(stop)[1]
        between: tuple[Piece, ...] = () if new is None else (new,)
        self._pieces = tuple(piece for piece in before + between + after if len(piece))
        self._views = {}

    def _cut(self, index: int) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        offset = 0
        for place, piece in enumerate(self._pieces):
            if index < offset + len(piece):
                left, right = piece.cut(index - offset)
                return (*self._pieces[:place], left), (right, *self._pieces[place + 1 :])
            offset += len(piece)
        return self._pieces, ()
