"""The mirror: an SQLite database of tracks that each crawl brings up to date, in one transaction."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import msgspec
from pyroaring import BitMap64

from jogg_async._render import records
from jogg_async.models import Track

from .journal import JournalState, Plan, timestamp
from .sqlite_errors import sqlite_errors

APPLICATION_ID: Final = 0x4A6F674D
"""``JogM``, in the header of the file."""

VERSION: Final = 1
"""Version of the schema."""

# No STRICT tables: SQLite before 3.37, such as Debian 11's, could not open them.
_SCHEMA: Final = f"""
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,
    name TEXT,
    music_url TEXT,
    duration INTEGER,
    extra TEXT,
    first_seen TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    changed_at TEXT,
    gone_at TEXT
);
CREATE TABLE crawls (
    id TEXT PRIMARY KEY,
    query TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    tracks INTEGER NOT NULL,
    new INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    drifted INTEGER NOT NULL
);
CREATE TABLE queries (query TEXT PRIMARY KEY, ids BLOB NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_UPSERT: Final = """
INSERT INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    music_url = excluded.music_url,
    duration = excluded.duration,
    extra = excluded.extra,
    last_seen = excluded.last_seen,
    changed_at = CASE
        WHEN gone_at IS NOT NULL
        OR (name, music_url, duration, extra)
            IS NOT (excluded.name, excluded.music_url, excluded.duration, excluded.extra)
        THEN excluded.last_seen
        ELSE changed_at
    END,
    gone_at = NULL
"""

_UNFILTERED: Final = "{}"
_BUSY_TIMEOUT: Final = 60.0
"""Seconds to wait while another program writes to the mirror."""

_UNSIGNED: Final = 2**64 - 1

_Row = tuple[int, str | None, str | None, int | None, str | None]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[_Row]).decode


@attrs.frozen
class Changes:
    """Numbers of tracks that a crawl added to a mirror, changed, and marked as gone. `None` if the target is a file."""

    new: int | None = None
    changed: int | None = None
    gone: int | None = None


@attrs.frozen
class FinishedCrawl:
    """Content of the journal of a finished crawl, to be written to the destination.

    Attributes:
        plan: settings of the crawl.
        state: its last state.
        complete: true if it received every track of its query. Other tracks of the query are then marked as gone.
        batches: its tracks, encoded in batches.
        ids: the ids of its tracks, in the same batches.
    """

    plan: Plan
    state: JournalState
    complete: bool
    batches: Iterable[bytes]
    ids: Iterable[Sequence[int]]


def encode(tracks: Sequence[Track]) -> bytes:
    """Return a batch of tracks as rows of a mirror, encoded for the journal."""
    return _pack([records.row(track) for track in tracks])


def check(path: Path) -> None:
    """Check that a file is a mirror of this package, of a version that can be written.

    Raises:
        FileExistsError: the file is no such mirror.
        PermissionError: the file is read-only.
    """
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only.")
    other = f"{path} exists and is no mirror of jogg-async: choose another destination, or move it away"
    with _opened(path, other) as database:
        if _pragma(database, "application_id") != APPLICATION_ID:
            raise FileExistsError(f"{other}.")
        if _pragma(database, "user_version") > VERSION:
            raise FileExistsError(f"{path} was written by a newer version of jogg-async; install that version.")


def build(path: Path, crawl: FinishedCrawl) -> Changes:
    """Create a mirror at a temporary path. It has no readers yet, so SQLite's journal and fsync are off."""
    with _opened(path, f"{path} is damaged") as database:
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        with _transaction(database):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                database.execute(statement)
            changes = _apply(database, crawl)
        # In this mode, readers and the next crawl's sync do not block each other.
        database.execute("PRAGMA journal_mode = WAL")
    return changes


def sync(path: Path, crawl: FinishedCrawl) -> Changes:
    """Update a mirror from a crawl, in one transaction. A second call with the same crawl has no effect.

    Raises:
        BlockingIOError: another program has locked the mirror for a minute.
        OSError: the mirror is damaged, or cannot be written.
    """
    with _opened(path, f"{path} is damaged: restore it, or delete it to start anew") as database:
        database.execute("PRAGMA journal_mode = WAL")
        with _transaction(database):
            query = "SELECT new, changed, gone FROM crawls WHERE id = ?"
            written = database.execute(query, (crawl.plan.crawl_id,)).fetchone()
            return Changes(*written) if written else _apply(database, crawl)


def _apply(database: sqlite3.Connection, crawl: FinishedCrawl) -> Changes:
    now = _unique_time(database)
    for batch in crawl.batches:
        database.executemany(_UPSERT, ((*row, now, now) for row in _unpack(batch)))
    new = _count(database, "first_seen", now)
    changed = _count(database, "changed_at", now)
    gone = _mark_gone(database, crawl, now)
    changes = Changes(new, changed, gone)
    _record(database, crawl, changes, now)
    return changes


def _unique_time(database: sqlite3.Connection) -> str:
    """Return the current time, or a later one if an earlier sync has the same or a later time.

    The tracks that this sync adds or changes are found by this time.
    """
    (latest,) = database.execute("SELECT max(finished_at) FROM crawls").fetchone()
    now = timestamp()
    if latest is None or latest < now:
        return now
    return timestamp(datetime.fromisoformat(latest) + timedelta(milliseconds=1))


def _count(database: sqlite3.Connection, column: str, time: str) -> int:
    # One statement for each column: a column's name cannot be a parameter.
    statements = {
        "first_seen": "SELECT count(*) FROM tracks WHERE first_seen = ?",
        "changed_at": "SELECT count(*) FROM tracks WHERE changed_at = ?",
    }
    count: int = database.execute(statements[column], (time,)).fetchone()[0]
    return count


def _mark_gone(database: sqlite3.Connection, crawl: FinishedCrawl, now: str) -> int:
    """Mark the tracks that a complete crawl did not find as gone; return how many. Store the ids that the crawl found.

    A crawl with filters marks only tracks that the same filters found before, and that no other filters found.
    """
    query, seen, earlier = _query(crawl.plan), _bitmap(crawl.ids), _ids_by_query(database)
    before = earlier.pop(query, BitMap64())
    gone = 0
    if crawl.complete and query == _UNFILTERED:
        mark = "UPDATE tracks SET gone_at = ? WHERE gone_at IS NULL AND last_seen <> ?"
        gone = database.execute(mark, (now, now)).rowcount
    elif crawl.complete:
        missing = before - seen
        for others in earlier.values():
            missing -= others
        mark = "UPDATE tracks SET gone_at = ? WHERE gone_at IS NULL AND id = ?"
        gone = database.executemany(mark, ((now, _signed(id)) for id in missing)).rowcount if missing else 0
    ids = seen if crawl.complete else before | seen
    database.execute("INSERT OR REPLACE INTO queries VALUES (?, ?)", (query, ids.serialize()))
    return gone


def _query(plan: Plan) -> str:
    return json.dumps(plan.start["filters"], sort_keys=True)


def _ids_by_query(database: sqlite3.Connection) -> dict[str, BitMap64]:
    """Return, for each query, the ids that its last complete crawl and its incomplete crawls since then found."""
    return {query: BitMap64.deserialize(ids) for query, ids in database.execute("SELECT query, ids FROM queries")}


def _bitmap(batches: Iterable[Sequence[int]]) -> BitMap64:
    found = BitMap64()
    for ids in batches:
        found.update(id & _UNSIGNED for id in ids) if min(ids, default=0) < 0 else found.update(ids)
    return found


def _signed(id: int) -> int:
    return id - 2**64 if id >= 2**63 else id


def _record(database: sqlite3.Connection, crawl: FinishedCrawl, changes: Changes, now: str) -> None:
    plan, state = crawl.plan, crawl.state
    row = (plan.crawl_id, _query(plan), plan.started_at, now, state.tracks)
    counts = (changes.new, changes.changed, changes.gone, crawl.complete, state.drifted)
    database.execute("INSERT INTO crawls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *counts))


@contextmanager
def _opened(path: Path, damaged: str) -> Generator[sqlite3.Connection]:
    busy = f"{path} is being written by another program; try again once that has ended."
    with sqlite_errors(path, damaged, busy), closing(_connect(path)) as database:
        yield database


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Generator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _pragma(database: sqlite3.Connection, name: str) -> int:
    value: int = database.execute(f"PRAGMA {name}").fetchone()[0]
    return value
