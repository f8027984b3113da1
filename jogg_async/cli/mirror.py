"""Tracks of an SQLite mirror that `jogg-async crawl` wrote."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from jogg_async.models import Track

from .failure import UsageError

_PRESENT: Final = "FROM tracks WHERE gone_at IS NULL"


class MirrorTracks:
    """Tracks of a mirror, except those marked as gone. They are read during the iteration.

    Args:
        database: the mirror.
        limit: number of tracks at most; `None` for all.
    """

    def __init__(self, database: sqlite3.Connection, limit: int | None) -> None:
        self._database = database
        (count,) = database.execute(f"SELECT count(*) {_PRESENT}").fetchone()
        self._count: int = count if limit is None else min(count, limit)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Track]:
        query = f"SELECT id, name, music_url, duration {_PRESENT} ORDER BY id LIMIT ?"
        return (Track(*row) for row in self._database.execute(query, (self._count,)))


@contextlib.contextmanager
def mirror_tracks(path: Path, limit: int | None) -> Generator[MirrorTracks]:
    """Open a mirror for reading, and yield its tracks.

    Args:
        path: the file.
        limit: number of tracks at most; `None` for all.

    Raises:
        UsageError: the file is no mirror, or cannot be read.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield MirrorTracks(database, limit)
    except sqlite3.Error as error:
        raise UsageError(f"--from: {path} is no mirror made by jogg-async crawl, or cannot be read: {error}.") from None
