"""Tracks of a SQLite mirror."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.browse.mirror import MirrorSource
from jogg_async.browse.sources import SourceError, Suggestions

from .conftest import is_in_state, tracks_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .conftest import Serve

SCHEMA = """
    CREATE TABLE tracks (
        id INTEGER PRIMARY KEY, name TEXT, music_url TEXT, duration INTEGER, extra TEXT,
        first_seen TEXT, last_seen TEXT, changed_at TEXT, gone_at TEXT
    )
"""
INSERT = "INSERT INTO tracks (id, name, music_url, duration, extra, gone_at) VALUES (?, ?, ?, ?, ?, ?)"
GONE = "2026-01-01T00:00:00+00:00"


def mirror(folder: Path, rows: Iterable[tuple[Any, ...]]) -> Path:
    path = folder / "catalogue #1?.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(SCHEMA)
        database.executemany(INSERT, rows)
    return path


def row(id: int, genre: str | None = None, gone: str | None = None, **fields: str) -> tuple[Any, ...]:
    extra = fields | ({"genre": genre} if genre else {})
    return (id, f"Track {id}", f"https://media.example/{id}.mp3", 90, json.dumps(extra) if extra else None, gone)


async def ids(serve: Serve, path: Path, **query: str) -> list[int]:
    client = await serve(MirrorSource.open(path))
    return [int(row[0]) for row in tracks_of(await client.messages(is_in_state("complete"), **query))]


async def test_every_track_that_is_not_gone_is_shown(serve: Serve, tmp_path: Path) -> None:
    path = mirror(tmp_path, [row(2), row(1), row(3, gone=GONE), row(-5)])
    client = await serve(MirrorSource.open(path))
    messages = await client.messages(is_in_state("complete"))
    assert tracks_of(messages) == [
        [str(number), f"Track {number}", f"https://media.example/{number}.mp3", 90] for number in (-5, 1, 2)
    ]
    assert messages[-1]["total"] == 3


@pytest.mark.parametrize("count", [0, 999, 1000, 1001, 2500])
async def test_mirrors_of_any_size_are_shown_whole(serve: Serve, tmp_path: Path, count: int) -> None:
    assert await ids(serve, mirror(tmp_path, map(row, range(count)))) == list(range(count))


async def test_the_highest_and_the_lowest_id_are_shown(serve: Serve, tmp_path: Path) -> None:
    extremes = [-(2**63), 2**63 - 1]
    assert await ids(serve, mirror(tmp_path, map(row, extremes))) == extremes


async def test_genre_and_mood_filter_the_undocumented_fields(serve: Serve, tmp_path: Path) -> None:
    rows = [row(1, "Jazz", mood="Calm"), row(2, "Rock"), row(3, "Jazz"), row(4)]
    path = mirror(tmp_path, rows)
    assert MirrorSource.open(path).suggestions == Suggestions(("Jazz", "Rock"), ("Calm",))
    assert await ids(serve, path, genre="jazz") == [1, 3]
    assert await ids(serve, path, genre="Jazz", mood="calm") == [1]


async def test_a_mirror_without_genres_offers_none(tmp_path: Path) -> None:
    rows = [row(1), (2, None, None, None, "no JSON", None), (3, None, None, None, '{"genre": 7}', None)]
    assert MirrorSource.open(mirror(tmp_path, rows)).suggestions == Suggestions()


def test_a_mirror_is_only_read(tmp_path: Path) -> None:
    path = mirror(tmp_path, [row(1)])
    before = path.read_bytes()
    path.chmod(0o400)
    MirrorSource.open(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        MirrorSource.open(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database at all, though long enough for one" * 50, b""])
def test_file_that_is_no_mirror_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot be read as a mirror of the catalogue: .* Choose a file that"):
        MirrorSource.open(path)


async def test_missing_mirror_is_a_failure_and_a_retry_succeeds_once_it_is_back(serve: Serve, tmp_path: Path) -> None:
    path = mirror(tmp_path, [row(1)])
    client = await serve(MirrorSource.open(path))
    path.rename(tmp_path / "away")
    (*_, failed) = await client.messages(is_in_state("failed"))
    assert "cannot be read" in failed["reason"]
    assert not path.exists()
    (tmp_path / "away").rename(path)
    await client.get(client.address("/retry"), method="POST")
    assert len(tracks_of(await client.messages(is_in_state("complete")))) == 1


def test_the_page_is_named_after_the_file(tmp_path: Path) -> None:
    assert MirrorSource.open(mirror(tmp_path, [])).name == "catalogue #1?.db"
