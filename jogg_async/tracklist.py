"""`TrackList`: tracks as a sequence, as a table in a notebook, and as Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, overload

from .models import Track

__all__ = ["TrackList"]


class TrackList:
    """Tracks in the order of the catalogue.

    `TrackPager.collect` returns one, and ``TrackList(page.tracks)`` makes one of a single page. A notebook shows it as
    a table with players; pandas, polars, pyarrow and DuckDB read it through Arrow's stream interface (extra ``arrow``).

    It behaves as a read-only sequence, but is not registered as `collections.abc.Sequence`: polars would then read it
    item by item instead of asking for Arrow.

    Args:
        tracks: tracks of any iterable, which is read once and kept in its order; none by default.
    """

    __slots__ = ("_tracks",)

    def __init__(self, tracks: Iterable[Track] = ()) -> None:
        self._tracks = tuple(tracks)

    def __len__(self) -> int:
        return len(self._tracks)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> TrackList: ...
    def __getitem__(self, index: int | slice) -> Track | TrackList:
        if isinstance(index, slice):
            return TrackList(self._tracks[index])
        return self._tracks[index]

    def __iter__(self) -> Iterator[Track]:
        return iter(self._tracks)

    def __reversed__(self) -> Iterator[Track]:
        return reversed(self._tracks)

    def __contains__(self, track: object) -> bool:
        return track in self._tracks

    def __eq__(self, other: object) -> bool:
        return self._tracks == other._tracks if isinstance(other, TrackList) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._tracks)

    def __repr__(self) -> str:
        return f"<TrackList of {len(self)} tracks>"

    def index(self, track: Track, start: int = 0, stop: int | None = None) -> int:
        """Return the index of the first track equal to `track` from `start` up to `stop`; else raise `ValueError`."""
        return self._tracks.index(track, start, len(self) if stop is None else stop)

    def count(self, track: Track) -> int:
        """Return the number of tracks equal to `track`."""
        return self._tracks.count(track)

    def __arrow_c_schema__(self) -> object:
        """Return the schema of `__arrow_c_stream__`, through Arrow's C data interface."""
        from ._render.arrow import schema

        return schema().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the tracks as Arrow's C stream (extra ``arrow``).

        Columns: ``id`` (int64), ``name``, ``music_url`` (string), ``duration`` (int64, seconds), ``extra`` (string: the
        undocumented fields as a JSON object; null if there are none).

        Args:
            requested_schema: a PyCapsule with the schema that the consumer would like.

        Raises:
            ImportError: pyarrow is not installed.
        """
        from ._render.arrow import table

        stream: Any = table(self._tracks)
        return stream.__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        from ._render.html import rendered

        return rendered(self._tracks)
