"""Journal of a save: an SQLite file beside the destination with the tracks received so far and the crawl's position.

A batch of tracks and the position after it are one row, so that neither can be written without the other. The process
that writes the journal keeps it locked.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from .sqlite_errors import sqlite_errors

APPLICATION_ID: Final = 0x4A6F674A
"""``JogJ``, in the header of the file."""

VERSION: Final = 1
"""Version of the schema."""

_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batches (position INTEGER PRIMARY KEY, ids BLOB NOT NULL, data BLOB NOT NULL, state TEXT NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

_SETTINGS: Final = """
PRAGMA page_size = 65536;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
"""
"""A batch takes some megabytes: with large pages it is written in half the time."""


def timestamp(time: datetime | None = None) -> str:
    """Return a time in UTC, by default now, as ISO 8601 with milliseconds."""
    return (time or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@attrs.frozen
class Plan:
    """Settings of the crawl that a journal belongs to.

    Attributes:
        format: format of the destination, as text.
        start: first position, filters and bounds of the crawl, as a checkpoint's dict.
        address: address of the destination; `None` for a local file. Journals of addresses lie in the current folder,
            so that those of two destinations may have the same path.
        crawl_id: random id. A mirror stores it, so that the same crawl is not written to it twice.
        started_at: time of the first request, ISO 8601 in UTC.
    """

    format: str
    start: dict[str, Any]
    address: str | None = None
    crawl_id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    started_at: str = attrs.field(factory=timestamp)


@attrs.frozen
class JournalState:
    """State of the crawl after a batch.

    A pass is one read of the catalogue; ``on_drift="recrawl"`` begins further passes.

    Attributes:
        checkpoint: where to continue, as a checkpoint's dict.
        tracks: tracks so far.
        pages: pages so far.
        invalid: records skipped so far.
        drifted: true if any pass noticed a change of the catalogue.
        changed: true if the current pass did.
        recrawls: further passes begun.
        records: records of the current pass so far, invalid ones included.
        ordered: true if all pages were read in the order of the catalogue.
        complete: true once the crawl has ended.
    """

    checkpoint: dict[str, Any]
    tracks: int = 0
    pages: int = 0
    invalid: int = 0
    drifted: bool = False
    changed: bool = False
    recrawls: int = 0
    records: int = 0
    ordered: bool = True
    complete: bool = False


class Journal:
    """Open journal. Use it in one thread.

    Attributes:
        plan: settings of the crawl.
        state: state after the last batch.
    """

    def __init__(self, path: Path, plan: Plan, *, resume: bool) -> None:
        """Open the journal at `path`, or create it for `plan`.

        Raises:
            FileExistsError: the journal exists, and `resume` is false. The text says if it is in use.
            BlockingIOError: another crawl has locked the journal, and `resume` is true.
            OSError: the journal is damaged, or cannot be read or written.
        """
        self.path = path
        found = _exists_or_create(path, resume=resume)
        with self._errors():
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with self._errors():
                self.plan, self.state = self._load(plan, found=found)
        except BaseException:
            self._database.close()
            if not found:
                path.unlink(missing_ok=True)
            raise

    def _load(self, plan: Plan, *, found: bool) -> tuple[Plan, JournalState]:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # from the next statement until it is closed
        is_new = not found or self._is_empty()
        if not is_new:
            self._check_kind()
        self._database.executescript(_SETTINGS)
        return self._create(plan) if is_new else self._read()

    def _check_kind(self) -> None:
        if self._pragma("application_id") != APPLICATION_ID:
            raise OSError(f"{self.path} is no journal of this package; choose another destination, or move it away.")
        if self._pragma("user_version") > VERSION:
            raise OSError(f"{self.path} was written by a newer version of jogg-async; continue it with that version.")

    def _create(self, plan: Plan) -> tuple[Plan, JournalState]:
        self._database.executescript(_SCHEMA)
        values = [(name, json.dumps(value)) for name, value in attrs.asdict(plan).items()]
        self._database.executemany("INSERT INTO meta VALUES (?, ?)", values)
        self._database.execute("COMMIT")
        return plan, JournalState(plan.start)

    def _read(self) -> tuple[Plan, JournalState]:
        try:
            meta = {name: json.loads(value) for name, value in self._database.execute("SELECT name, value FROM meta")}
            plan = Plan(**meta)
            last = self._database.execute("SELECT state FROM batches ORDER BY position DESC LIMIT 1").fetchone()
            return plan, JournalState(plan.start) if last is None else JournalState(**json.loads(last[0]))
        except (TypeError, ValueError) as error:
            raise OSError(f"{_damaged(self.path)} ({error})") from error

    def append(self, ids: Sequence[int], data: bytes, state: JournalState) -> None:
        """Write a batch and the state after it, in one transaction."""
        row = (array("q", ids).tobytes(), data, json.dumps(attrs.asdict(state)))
        with self._errors():
            self._database.execute("INSERT INTO batches (ids, data, state) VALUES (?, ?, ?)", row)
        self.state = state

    def batches(self) -> Iterator[bytes]:
        """Yield the encoded tracks of each batch, in the order of `append`."""
        with self._errors():
            for (data,) in self._database.execute("SELECT data FROM batches ORDER BY position"):
                yield data

    def ids(self) -> Iterator[list[int]]:
        """Yield the ids of each batch, in the order of `append`."""
        with self._errors():
            for (data,) in self._database.execute("SELECT ids FROM batches ORDER BY position"):
                yield array("q", data).tolist()

    def close(self) -> None:
        """Close the journal and keep it."""
        with self._errors():
            self._database.close()

    def remove(self) -> None:
        """Close the journal and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}-wal").unlink(missing_ok=True)  # SQLite leaves it if the disk is full

    def _is_empty(self) -> bool:
        """Return whether the file has no tables: a process was killed before it created them."""
        return not self._database.execute("SELECT EXISTS (SELECT * FROM sqlite_schema)").fetchone()[0]

    def _pragma(self, name: str) -> int:
        value: int = self._database.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def _errors(self) -> AbstractContextManager[None]:
        return sqlite_errors(self.path, _damaged(self.path), _in_use(self.path))


def _exists_or_create(path: Path, *, resume: bool) -> bool:
    """Create an empty file for the journal if there is none. Return whether there was one.

    Raises:
        FileExistsError: there was one, and `resume` is false.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        if resume:
            return True
        raise FileExistsError(_why_refused(path)) from None
    return False


def _why_refused(path: Path) -> str:
    """Return why a new crawl cannot use this path: the journal there is in use, or that of an interrupted crawl."""
    query, into = "SELECT value FROM meta WHERE name = 'address' AND value <> 'null'", ""
    try:
        with sqlite_errors(path, "", _in_use(path)), closing(sqlite3.connect(path, timeout=0)) as database:
            for (address,) in database.execute(query):
                into = f" into {json.loads(address)}"
    except BlockingIOError as error:
        return str(error)
    except (OSError, ValueError):  # damaged, or no journal: for the user to decide
        pass
    return f"{path} is the journal of an interrupted crawl{into}: continue it with resume=True, or delete it."


def _in_use(path: Path) -> str:
    return f"{path} is in use by another crawl; wait until that has ended."


def _damaged(path: Path) -> str:
    return f"{path} is damaged or no journal: delete it to start anew"
