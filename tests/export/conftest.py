from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jogg_async import TrackPager
    from tests.conftest import MakeFake, MakeSession

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "parquet", "db")
"""Suffixes of all formats."""

NEEDS = {"zst": "backports.zstd", "parquet": "pyarrow"}

Row = tuple[int, str | None, str | None, int | None, str | None]


def skip_without_extra(suffix: str) -> None:
    """Skip a test of a format whose extra is not installed."""
    needed = NEEDS.get(suffix.rpartition(".")[2])
    if needed == "backports.zstd":
        import sys

        needed = "compression.zstd" if sys.version_info >= (3, 14) else needed
    if needed is not None:
        pytest.importorskip(needed)


@pytest.fixture(params=FORMATS)
def suffix(request: pytest.FixtureRequest) -> str:
    skip_without_extra(request.param)
    return str(request.param)


def decompressed(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        from jogg_async._export.text import _zstd

        return bytes(_zstd().decompress(data))
    return data


def rows_of(path: Path) -> list[Row]:
    """The columns id, name, music_url, duration and extra of a saved file, in its order."""
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT id, name, music_url, duration, extra FROM tracks ORDER BY id").fetchall()
    if path.suffix == ".parquet":
        parquet: Any = pytest.importorskip("pyarrow.parquet")
        return [tuple(row.values()) for row in parquet.read_table(path).to_pylist()]
    text = decompressed(path).decode()
    return _csv_rows(text) if ".csv" in path.name else [_row(json.loads(line)) for line in text.split("\n")[:-1]]


def _row(record: dict[str, Any]) -> Row:
    known = tuple(record.pop(name) for name in ("id", "name", "music_url", "duration"))
    return (*known, json.dumps(record, separators=(",", ":"), ensure_ascii=False) if record else None)


def _csv_rows(text: str) -> list[Row]:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["id", "name", "music_url", "duration", "extra"]
    return [
        (int(row[0]), row[1] or None, row[2] or None, int(row[3]) if row[3] else None, row[4] or None) for row in rows
    ]


def names(folder: Path) -> list[str]:
    """The names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def served_rows(catalogue: Any) -> list[Row]:
    """The rows that a fake serves."""
    return [_row({"name": None, "music_url": None, "duration": None} | dict(record)) for record in catalogue]


MakePager = Callable[..., "TrackPager"]


@pytest.fixture
def make_pager(make_session: MakeSession) -> MakePager:
    """Makes pagers, each over a session of its own."""

    def make(fake: Any, **options: Any) -> TrackPager:
        return make_session(fake).tracks(**options)

    return make


@pytest.fixture
async def odd_fake(make_fake: MakeFake) -> Any:
    """A fake whose records have missing and undocumented fields, and awkward text."""
    records: list[dict[str, Any]] = [
        {
            "id": number,
            "name": f"Track {number}",
            "music_url": f"https://music.example/{number}.mp3",
            "duration": number,
        }
        for number in range(1, 331)
    ]
    records[0] |= {"name": 'quote " comma , line\r\nbreak \u2028 \U0001f3b5', "bpm": 120, "tags": ["a", {"b": None}]}
    records[1] = {"id": -7}
    records[2] = {"id": 2**63 - 1, "name": "largest", "duration": -1}
    records[150] |= {"mood": "Calm"}
    return await make_fake(records)
