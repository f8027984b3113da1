"""`MirrorSource`: the tracks of an SQLite mirror that `jogg-async crawl catalogue.db` wrote. Opens it read-only."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from jogg_async.models import Track

from .sources import Loading, LoadProgress, Query, SourceError, Suggestions

_BATCH: Final = 1000
"""Tracks per SQL query. Each query opens a connection and closes it, so that the mirror can be updated meanwhile."""

_FIRST_ID: Final = -(2**63)

_FIELD: Final = "CASE WHEN json_valid(extra) THEN json_extract(extra, '$.{}') END"
"""SQL for a track's genre or mood. The service documents no such fields, but a mirror stores them if they are sent."""

_PRESENT: Final = "FROM tracks WHERE gone_at IS NULL"
_MATCHING: Final = (
    f"{_PRESENT} AND (:genre IS NULL OR {_FIELD.format('genre')} = :genre COLLATE NOCASE)"
    f" AND (:mood IS NULL OR {_FIELD.format('mood')} = :mood COLLATE NOCASE)"
)
_COUNT: Final = f"SELECT count(*) {_MATCHING}"
_SELECT: Final = f"SELECT id, name, music_url, duration {_MATCHING} AND id >= :first ORDER BY id LIMIT {_BATCH}"
_VALUES: Final = "SELECT DISTINCT {field} AS value {present} AND typeof(value) = 'text' ORDER BY value LIMIT 200"


@attrs.frozen
class MirrorSource:
    """Source that reads an SQLite mirror of the catalogue.

    Attributes:
        path: path of the mirror.
        suggestions: genres and moods in the mirror.
    """

    path: Path
    suggestions: Suggestions

    @classmethod
    def open(cls, path: Path) -> MirrorSource:
        """Check a mirror, and return the source that reads it.

        Raises:
            SourceError: the file is no mirror of the catalogue, or cannot be read.
        """
        if not path.is_file():
            raise SourceError(f"{path} does not exist.", "jogg-async crawl catalogue.db makes such a file.")
        _query(path, _COUNT, genre=None, mood=None)
        return cls(path, Suggestions(_values(path, "genre"), _values(path, "mood")))

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    def load(self, query: Query) -> Loading:
        """Start to read the tracks of a query. Upper and lower case do not matter in genre and mood."""
        return _Reading(self.path, query)


class _Reading:
    """Tracks of one query, in the order of their ids."""

    def __init__(self, path: Path, query: Query) -> None:
        self._path = path
        self._filters = attrs.asdict(query)
        self._first: int | None = _FIRST_ID
        self._total: int | None = None

    @property
    def progress(self) -> LoadProgress:
        return LoadProgress(self._total)

    async def next_batch(self) -> Sequence[Track] | None:
        if self._first is None:
            return None
        if self._total is None:
            ((self._total,),) = await asyncio.to_thread(_query, self._path, _COUNT, **self._filters)
        rows = await asyncio.to_thread(_query, self._path, _SELECT, first=self._first, **self._filters)
        self._first = rows[-1][0] + 1 if len(rows) == _BATCH else None
        return [Track(*row) for row in rows]

    async def aclose(self) -> None:
        pass  # no connection stays open


def _values(path: Path, field: str) -> tuple[str, ...]:
    rows = _query(path, _VALUES.format(field=_FIELD.format(field), present=_PRESENT))
    return tuple(value for (value,) in rows)


def _query(path: Path, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        advice = "Choose a file that jogg-async crawl has written, and that no other program locks."
        raise SourceError(f"{path} cannot be read as a mirror of the catalogue: {error}.", advice) from error
