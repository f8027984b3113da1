"""The mirror: what each crawl changes in it, and what readers see meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async import PermissionDeniedError
from jogg_async._export import mirror
from jogg_async._export.journal import timestamp
from jogg_async.testing import FakeJogg, Fault

from .conftest import MakePager, names

if TYPE_CHECKING:
    from tests.conftest import MakeFake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.db"


def query(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def gone(path: Path) -> list[int]:
    return [row[0] for row in query(path, "SELECT id FROM tracks WHERE gone_at IS NOT NULL ORDER BY id")]


def times(path: Path, track_id: int) -> dict[str, str | None]:
    columns = ("first_seen", "last_seen", "changed_at", "gone_at")
    (row,) = query(path, f"SELECT {', '.join(columns)} FROM tracks WHERE id = {track_id}")
    return dict(zip(columns, row, strict=True))


def counts(report: Any) -> tuple[int, int, int]:
    return report.new, report.changed, report.gone


def rename(fake: FakeJogg, index: int, **fields: Any) -> None:
    record = fake.catalogue[index]
    fake.catalogue.remove(index)
    fake.catalogue.insert(index, track=record | fields)


def test_timestamps_have_milliseconds_in_utc() -> None:
    assert timestamp(datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)) == "2026-01-02T03:04:05.678Z"
    assert timestamp(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000Z"


async def test_readers_can_read_a_mirror_while_it_is_updated_whatever_its_journal_mode_was(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    assert query(path, "PRAGMA journal_mode = DELETE") == [("delete",)]
    await make_pager(fake).save(path)
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


async def test_the_first_crawl_creates_the_documented_schema(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    began = datetime.now(UTC)
    assert counts(await make_pager(fake).save(path)) == (250, 0, 0)
    columns = {(row[1], row[2]): row[5] for row in query(path, "PRAGMA table_info(tracks)")}
    assert columns == {
        ("id", "INTEGER"): 1,
        ("name", "TEXT"): 0,
        ("music_url", "TEXT"): 0,
        ("duration", "INTEGER"): 0,
        ("extra", "TEXT"): 0,
        ("first_seen", "TEXT"): 0,
        ("last_seen", "TEXT"): 0,
        ("changed_at", "TEXT"): 0,
        ("gone_at", "TEXT"): 0,
    }
    assert query(path, "PRAGMA user_version") == [(1,)]
    seen = times(path, 1)
    assert seen["first_seen"] == seen["last_seen"]
    assert (seen["changed_at"], seen["gone_at"]) == (None, None)
    assert timedelta(0) <= datetime.fromisoformat(str(seen["first_seen"])) - began + timedelta(seconds=0.001)
    assert str(seen["first_seen"]).endswith("Z")


async def test_a_second_crawl_counts_what_is_new_changed_and_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    before = times(path, 2)
    fake.catalogue.remove_ids(1)
    rename(fake, 0, name="renamed")
    fake.catalogue.insert(len(fake.catalogue), track={"id": 9000, "bpm": 90})
    assert counts(await make_pager(fake).save(path)) == (1, 1, 1)
    after = times(path, 2)
    assert after["first_seen"] == before["first_seen"]
    assert after["changed_at"] == after["last_seen"]
    assert str(after["last_seen"]) > str(before["last_seen"])
    assert query(path, "SELECT name FROM tracks WHERE id = 2") == [("renamed",)]
    assert query(path, "SELECT extra FROM tracks WHERE id = 9000") == [('{"bpm":90}',)]
    assert gone(path) == [1]
    assert times(path, 3)["changed_at"] is None
    assert counts(await make_pager(fake).save(path)) == (0, 0, 0)


async def test_a_field_that_becomes_null_is_a_change(make_fake: MakeFake, make_pager: MakePager, path: Path) -> None:
    fake = await make_fake([{"id": 1, "name": "one", "duration": 5}, {"id": 2, "extra_field": 1}])
    await make_pager(fake).save(path)
    rename(fake, 0, duration=None)
    rename(fake, 1, extra_field=2)
    assert counts(await make_pager(fake).save(path)) == (0, 2, 0)


async def test_a_gone_track_that_returns_counts_as_changed(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    await make_pager(fake).save(path)
    record = fake.catalogue[0]
    fake.catalogue.remove(0)
    await make_pager(fake).save(path)
    assert gone(path) == [1]
    fake.catalogue.insert(0, track=record)
    assert counts(await make_pager(fake).save(path)) == (0, 1, 0)
    assert gone(path) == []


@pytest.mark.parametrize("bounds", [{"limit": 200}, {"start_page": 2}, {"end_page": 2}])
async def test_a_bounded_crawl_marks_nothing_as_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path, bounds: dict[str, int]
) -> None:
    await make_pager(fake).save(path)
    fake.catalogue.remove_ids(1, 250)
    assert counts(await make_pager(fake, **bounds).save(path))[2] == 0
    assert gone(path) == []


async def test_saving_the_rest_of_a_started_pager_marks_nothing_as_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    pager = make_pager(fake)
    await anext(pager)
    assert counts(await pager.save(path)) == (0, 0, 0)


@pytest.mark.parametrize("policy", ["ignore", "recrawl"])
async def test_a_crawl_that_drifted_marks_nothing_as_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path, policy: str
) -> None:
    await make_pager(fake).save(path)
    fake.catalogue.remove_ids(250)
    fake.mutate_after(2, lambda catalogue: catalogue.insert())
    report = await make_pager(fake, on_drift=policy, concurrency=1).save(path)
    assert (report.drifted, report.gone) == (True, 0)
    assert gone(path) == []


async def test_a_crawl_that_skipped_records_marks_nothing_as_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    fake.fail(Fault.wrong_types(), page=2)
    report = await make_pager(fake, on_invalid="skip").save(path)
    assert (report.invalid, report.gone) == (1, 0)
    assert gone(path) == []


def calm_ids(fake: FakeJogg) -> list[int]:
    return [record["id"] for record in fake.catalogue.filtered(mood="Calm")]


async def test_a_filtered_crawl_marks_only_tracks_of_its_query_as_gone(
    make_fake: MakeFake, make_pager: MakePager, path: Path
) -> None:
    fake = await make_fake(500)
    await make_pager(fake, mood="Calm").save(path)
    await make_pager(fake, mood="Energetic").save(path)
    calm, others = calm_ids(fake), [record["id"] for record in fake.catalogue.filtered(mood="Energetic")]
    fake.catalogue.remove_ids(calm[0], others[0])
    report = await make_pager(fake, mood="Calm").save(path)
    assert (counts(report), gone(path)) == ((0, 0, 1), [calm[0]])


async def test_a_track_that_another_query_still_has_is_not_gone(
    make_fake: MakeFake, make_pager: MakePager, path: Path
) -> None:
    fake = await make_fake(500)
    both = next(iter(fake.catalogue.filtered(genre="Ambient", mood="Calm")))["id"]
    await make_pager(fake, mood="Calm").save(path)
    await make_pager(fake, genre="Ambient").save(path)
    fake.catalogue.remove_ids(both)
    assert counts(await make_pager(fake, mood="Calm").save(path)) == (0, 0, 0)
    assert counts(await make_pager(fake, genre="Ambient").save(path)) == (0, 0, 1)
    assert gone(path) == [both]


async def test_an_unfiltered_crawl_marks_every_track_that_it_did_not_see(
    make_fake: MakeFake, make_pager: MakePager, path: Path
) -> None:
    fake = await make_fake(500)
    await make_pager(fake, mood="Calm").save(path)
    removed = calm_ids(fake)[0]
    fake.catalogue.remove_ids(removed)
    assert counts(await make_pager(fake).save(path))[2] == 1
    assert gone(path) == [removed]
    assert counts(await make_pager(fake, mood="Calm").save(path)) == (0, 0, 0)


async def test_tracks_of_an_incomplete_crawl_are_gone_after_the_next_complete_one(
    make_fake: MakeFake, make_pager: MakePager, path: Path
) -> None:
    fake = await make_fake(500)
    await make_pager(fake, mood="Calm", limit=5).save(path)
    removed = calm_ids(fake)[0]
    fake.catalogue.remove_ids(removed)
    assert counts(await make_pager(fake, mood="Calm").save(path))[2] == 1
    assert gone(path) == [removed]


@pytest.mark.parametrize("mood", [None, "Calm"])
async def test_negative_and_large_ids_are_marked_as_gone(
    make_fake: MakeFake, make_pager: MakePager, path: Path, mood: str | None
) -> None:
    ids = [-(2**63), -5, 0, 2**63 - 1]
    fake = await make_fake([{"id": number, "mood": "Calm"} for number in ids] + [{"id": 7, "mood": "Calm"}])
    await make_pager(fake, mood=mood).save(path)
    for _ in ids:
        fake.catalogue.remove(0)
    assert counts(await make_pager(fake, mood=mood).save(path)) == (0, 0, 4)
    assert gone(path) == ids


async def test_an_interrupted_crawl_that_was_resumed_marks_tracks_as_gone(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    fake.catalogue.remove_ids(5)
    fake.fail(Fault.business(18025), page=3, times=None)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake).save(path)
    fake.clear()
    assert counts(await make_pager(fake).save(path, resume=True)) == (0, 0, 1)


async def test_each_crawl_is_recorded(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    await make_pager(fake).save(path)
    await make_pager(fake, mood="Calm", limit=3).save(path)
    statement = "SELECT query, tracks, new, changed, gone, complete, drifted FROM crawls ORDER BY finished_at"
    assert query(path, statement) == [("{}", 250, 250, 0, 0, 1, 0), ('{"mood": "Calm"}', 3, 0, 0, 0, 0, 0)]
    ((started, finished),) = query(path, "SELECT started_at, finished_at FROM crawls LIMIT 1")
    assert started <= finished


async def test_recorded_times_increase_even_if_the_clock_is_set_back(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_pager(fake).save(path)
    before = str(times(path, 2)["last_seen"])
    monkeypatch.setattr(mirror, "timestamp", lambda time=None: timestamp(time) if time else "2001-01-01T00:00:00.000Z")
    fake.catalogue.remove_ids(1)
    rename(fake, 0, name="renamed")
    assert counts(await make_pager(fake).save(path)) == (0, 1, 1)
    assert str(times(path, 2)["last_seen"]) > before


async def test_writing_the_same_crawl_twice_changes_nothing_and_gives_the_same_report(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_pager(fake).save(path)
    fake.catalogue.remove_ids(1)
    rename(fake, 0, name="renamed")
    with monkeypatch.context() as patch:
        patch.setattr("jogg_async._export.journal.Journal.remove", fail)  # as if it was killed before
        with pytest.raises(InterruptedError):
            await make_pager(fake).save(path)
    written = query(path, "SELECT * FROM tracks"), query(path, "SELECT * FROM crawls")
    assert counts(await make_pager(fake).save(path, resume=True)) == (0, 1, 1)
    assert (query(path, "SELECT * FROM tracks"), query(path, "SELECT * FROM crawls")) == written
    assert names(path.parent) == [path.name]


def fail(_: object) -> None:
    raise InterruptedError


async def test_readers_see_the_old_mirror_until_the_new_one_is_whole(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_pager(fake).save(path)
    fake.catalogue.insert(0, count=3)
    seen: list[int] = []
    real = mirror._record

    def look(database: sqlite3.Connection, *more: Any) -> None:
        real(database, *more)
        seen.append(query(path, "SELECT count(*) FROM tracks")[0][0])  # just before the commit

    monkeypatch.setattr(mirror, "_record", look)
    with closing(sqlite3.connect(path)) as reader:
        reading = reader.execute("SELECT id FROM tracks ORDER BY id")
        assert reading.fetchone() == (1,)
        assert counts(await make_pager(fake).save(path))[0] == 3  # a reader in the middle does not stop it
        assert len(reading.fetchall()) == 249
    assert seen == [250]
    assert query(path, "SELECT count(*) FROM tracks") == [(253,)]


async def test_an_error_while_writing_leaves_the_mirror_as_it_was(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_pager(fake).save(path)
    before = query(path, "SELECT * FROM tracks")
    rename(fake, 0, name="renamed")
    with monkeypatch.context() as patch:
        patch.setattr(mirror, "_record", lambda *_: fail(None))
        with pytest.raises(InterruptedError):
            await make_pager(fake).save(path)
    assert query(path, "SELECT * FROM tracks") == before
    assert counts(await make_pager(fake).save(path, resume=True)) == (0, 1, 0)


async def test_a_mirror_that_another_program_writes_is_refused_in_one_line(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_BUSY_TIMEOUT", 0.05)
    await make_pager(fake).save(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(BlockingIOError, match="is being written by another program"):
            await make_pager(fake).save(path)
        writer.execute("ROLLBACK")
    assert counts(await make_pager(fake).save(path, resume=True)) == (0, 0, 0)


@pytest.mark.parametrize("content", [b"text", b"SQLite format 3\x00" + bytes(4080)])
async def test_a_file_that_is_no_mirror_is_refused_before_any_request(
    fake: FakeJogg, make_pager: MakePager, path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(OSError, match="is no mirror of jogg-async"):
        await make_pager(fake).save(path)
    assert (path.read_bytes(), fake.requests, names(path.parent)) == (content, [], [path.name])


async def test_database_that_is_no_mirror_is_refused_and_left_unchanged(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE tracks (mine)")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="is no mirror of jogg-async"):
        await make_pager(fake).save(path)
    assert (path.read_bytes(), fake.requests) == (before, [])


async def test_a_mirror_of_a_newer_version_is_refused(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    await make_pager(fake).save(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(FileExistsError, match="newer version"):
        await make_pager(fake).save(path)


async def test_a_read_only_mirror_is_refused_before_any_request(
    fake: FakeJogg, make_pager: MakePager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_pager(fake).save(path)
    fake.requests.clear()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="is read-only"):
        await make_pager(fake).save(path)
    assert (fake.requests, names(path.parent)) == ([], [path.name])


async def test_an_empty_file_becomes_a_mirror(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    path.touch()
    assert counts(await make_pager(fake).save(path)) == (250, 0, 0)


async def test_write_ahead_log_of_a_deleted_mirror_is_not_applied_to_the_new_one(
    fake: FakeJogg, make_pager: MakePager, path: Path
) -> None:
    await make_pager(fake).save(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE tracks SET name = 'from the old log'")
        database.commit()
        log = path.with_name("catalogue.db-wal").read_bytes()
    path.unlink()
    path.with_name("catalogue.db-wal").write_bytes(log)
    await make_pager(fake).save(path)
    assert query(path, "SELECT count(*) FROM tracks WHERE name = 'from the old log'") == [(0,)]


async def test_pandas_polars_and_duckdb_read_the_mirror(fake: FakeJogg, make_pager: MakePager, path: Path) -> None:
    pandas: Any = pytest.importorskip("pandas")
    polars: Any = pytest.importorskip("polars")
    duckdb: Any = pytest.importorskip("duckdb")
    await make_pager(fake).save(path)
    with closing(sqlite3.connect(path)) as database:
        frame = pandas.read_sql("SELECT * FROM tracks", database, index_col="id")
        table = polars.read_database("SELECT * FROM tracks", database)
    assert (len(frame), table.height) == (250, 250)
    assert table["duration"].sum() == frame.duration.sum()
    assert duckdb.sql("SELECT sum(duration) FROM frame").fetchall() == [(int(frame.duration.sum()),)]
