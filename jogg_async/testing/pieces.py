"""The two kinds of pieces that a catalogue is put together from: runs of the song book, and given rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from .songs import SongBook, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Given", "Piece", "Run"]


@attrs.frozen
class Run:
    """Songs `first` to `stop` (excluded) of the book, as far as they pass the filters."""

    book: SongBook
    first: int
    stop: int
    genre: str | None = None
    mood: str | None = None

    def __len__(self) -> int:
        return self._rank(self.stop) - self._rank(self.first)

    def _rank(self, number: int) -> int:
        return self.book.rank(number, self.genre, self.mood)

    def _numbers(self, start: int, stop: int) -> Sequence[int]:
        offset = self._rank(self.first)
        return self.book.numbers(offset + start, offset + stop, self.genre, self.mood)

    def cut(self, place: int) -> tuple[Run, Run]:
        """The rows before row `place`, and the others; only where there is no filter."""
        middle = self.first + place
        return attrs.evolve(self, stop=middle), attrs.evolve(self, first=middle)

    def filtered(self, genre: str | None, mood: str | None) -> Run:
        """The rows that pass the filters."""
        return attrs.evolve(self, genre=genre, mood=mood)

    def rows(self, start: int, stop: int, base_url: str) -> list[dict[str, Any]]:
        """Rows `start` to `stop` (excluded) as dicts."""
        return [self.book.row(number, base_url) for number in self._numbers(start, stop)]

    def texts(self, start: int, stop: int, base_url: str) -> list[str]:
        """The same rows as JSON texts."""
        return self.book.texts(self._numbers(start, stop), base_url)

    def find(self, track_id: int) -> int | None:
        """Where the row with this id stands, from 0; `None` if there is none."""
        number = self.book.number_of(track_id)
        return None if number is None or not self.first <= number < self.stop else number - self.first


@attrs.frozen
class Given:
    """Rows that a test wrote itself, sent exactly as they are; their JSON text is made once."""

    items: tuple[tuple[Mapping[str, Any], str], ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Given:
        """A piece of these rows, copied."""
        return cls(tuple((dict(row), json.dumps(dict(row), ensure_ascii=False)) for row in rows))

    def __len__(self) -> int:
        return len(self.items)

    def cut(self, place: int) -> tuple[Given, Given]:
        """The rows before row `place`, and the others; only where there is no filter."""
        return Given(self.items[:place]), Given(self.items[place:])

    def filtered(self, genre: str | None, mood: str | None) -> Given:
        """The rows that pass the filters."""
        return Given(tuple(item for item in self.items if matches(item[0], genre, mood)))

    def rows(self, start: int, stop: int, base_url: str) -> list[dict[str, Any]]:  # noqa: ARG002 (as for a run)
        """Rows `start` to `stop` (excluded) as dicts."""
        return [dict(row) for row, _ in self.items[start:stop]]

    def texts(self, start: int, stop: int, base_url: str) -> list[str]:  # noqa: ARG002 (as for a run)
        """The same rows as JSON texts."""
        return [text for _, text in self.items[start:stop]]

    def find(self, track_id: int) -> int | None:
        """Where the row with this id stands, from 0; `None` if there is none."""
        return next((place for place, (row, _) in enumerate(self.items) if row.get("id") == track_id), None)


Piece = Run | Given
