from __future__ import annotations

import asyncio
import csv
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jogg_async
from jogg_async import (
    CatalogueChangedError,
    DecodeError,
    JoggSession,
    PermissionDeniedError,
    SaveReport,
)
from jogg_async._export import text
from jogg_async.testing import FakeJogg, Fault

from .conftest import MakePager, decompressed, names, rows_of, served_rows

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


async def test_every_format_keeps_every_field_in_the_order_of_the_catalogue(
    odd_fake: FakeJogg, make_pager: MakePager, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"tracks.{suffix}"
    report = await make_pager(odd_fake).save(path)
    expected = served_rows(odd_fake.catalogue)
    assert rows_of(path) == (sorted(expected) if suffix == "db" else expected)
    assert (report.tracks, report.pages, report.invalid, report.drifted) == (330, 4, 0, False)
    assert report.seconds > 0
    assert (report.new, report.changed, report.gone) == ((330, 0, 0) if suffix == "db" else (None, None, None))
    assert names(tmp_path) == [path.name]


async def test_an_empty_catalogue_gives_an_empty_file(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"tracks.{suffix}"
    assert (await make_pager(await make_fake(0)).save(path)).tracks == 0
    assert rows_of(path) == []


async def test_the_report_is_public_and_json(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    report = await make_pager(fake, limit=130).save(str(tmp_path / "t.jsonl"))
    assert jogg_async.SaveReport is SaveReport
    assert report.to_dict() == {
        "tracks": 130,
        "pages": 2,
        "new": None,
        "changed": None,
        "gone": None,
        "invalid": 0,
        "drifted": False,
        "seconds": report.seconds,
    }


@pytest.mark.parametrize(
    "case",
    [
        ("list", "jsonl", b'{"id":1,'),
        ("list.txt", "csv", b"id,name,"),
        ("list.jsonl", "csv", b"id,name,"),
        ("list.CSV", None, b"id,name,"),
        ("list.csv.gz", None, b"\x1f\x8b"),
        ("list", "jsonl.gz", b"\x1f\x8b"),
        ("list.gz", "csv", b"\x1f\x8b"),
        ("list", "sqlite", b"SQLite format 3"),
        ("list.sqlite", None, b"SQLite format 3"),
        ("list", ".db", b"SQLite format 3"),
    ],
)
async def test_the_format_follows_the_argument_or_else_the_suffix(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, case: tuple[str, str | None, bytes]
) -> None:
    name, wanted, start = case
    await make_pager(fake).save(tmp_path / name, format=wanted)
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    "case",
    [
        ("list.txt", None, "suffix of 'list.txt'"),
        ("list", None, "suffix of 'list'"),
        ("list.jsonl", "xml", "format must be jsonl"),
        ("list.parquet.gz", None, "suffix"),
        ("list.db.gz", None, "suffix"),
        ("", None, "dest must be a path"),
        (b"list.csv", None, "dest must be a path"),
        ("memory://list.db", None, "must be a local file"),
    ],
)
async def test_an_unknown_format_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, case: tuple[Any, str | None, str]
) -> None:
    name, wanted, says = case
    with pytest.raises(ValueError, match=says):
        await make_pager(fake).save(name, format=wanted)
    assert fake.requests == []


async def test_a_gzip_file_holds_neither_time_nor_name(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    for name in ("one.csv.gz", "other.csv.gz"):
        await make_pager(fake).save(tmp_path / name)
    one, other = ((tmp_path / name).read_bytes() for name in ("one.csv.gz", "other.csv.gz"))
    assert one == other
    assert one[3:8] == bytes(5)


async def test_csv_is_read_back_by_the_csv_module(odd_fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    await make_pager(odd_fake).save(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == odd_fake.catalogue[0]["name"]
    assert rows[0]["extra"] == '{"bpm":120,"tags":["a",{"b":null}]}'


async def test_save_writes_the_remaining_tracks_of_a_started_pager(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    pager = make_pager(fake)
    for _ in range(120):
        await anext(pager)
    assert (await pager.save(tmp_path / "t.jsonl")).tracks == 130
    assert [row[0] for row in rows_of(tmp_path / "t.jsonl")] == list(range(121, 251))


async def test_save_with_resume_rejects_a_pager_that_was_iterated_over(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    pager = make_pager(fake)
    await anext(pager)
    with pytest.raises(ValueError, match="has not been iterated over"):
        await pager.save(tmp_path / "t.jsonl", resume=True)
    await pager.aclose()


async def test_save_replaces_a_file_and_keeps_its_mode(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    await make_pager(fake).save(path)
    assert len(rows_of(path)) == 250
    assert path.stat().st_mode & 0o777 == 0o640


async def test_save_follows_a_link(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, real = tmp_path / "t.jsonl", tmp_path / "there" / "real.jsonl"
    link.symlink_to(real)
    await make_pager(fake).save(link)
    assert link.is_symlink()
    assert len(rows_of(real)) == 250


@pytest.mark.parametrize("wanted", ["jsonl", "db"])
async def test_skipped_records_are_counted(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, wanted: str
) -> None:
    records: list[dict[str, Any]] = [{"id": number} for number in range(1, 251)]
    records[120] = {"id": "no number"}
    report = await make_pager(await make_fake(records), on_invalid="skip").save(tmp_path / "t", format=wanted)
    assert (report.tracks, report.invalid) == (249, 1)


async def test_a_changed_catalogue_is_reported(make_fake: MakeFake, make_pager: MakePager, tmp_path: Path) -> None:
    fake = await make_fake(250)
    fake.mutate_after(2, lambda catalogue: catalogue.insert())
    report = await make_pager(fake, on_drift="ignore", concurrency=1).save(tmp_path / "t.jsonl")
    assert report.drifted


async def test_an_error_of_the_crawl_keeps_the_journal_and_the_old_file(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"t.{suffix}"
    await make_pager(fake).save(path)
    before = path.read_bytes()
    fake.fail(Fault.business(18025), page=3, times=None)
    with pytest.raises(PermissionDeniedError) as caught:
        await make_pager(fake, concurrency=1).save(path)
    (note,) = caught.value.__notes__
    assert note == f"200 tracks are kept in {path}.partial: resume=True continues there."
    assert path.read_bytes() == before
    fake.clear()
    report = await make_pager(fake).save(path, resume=True)
    assert (report.tracks, report.pages) == (250, 3)
    assert rows_of(path) == served_rows(fake.catalogue)
    assert names(tmp_path) == [path.name]
    assert fake.pages[-1] == 3


async def test_the_pager_stands_at_the_failed_page_after_an_error(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    fake.fail(Fault.wrong_types(), page=2)
    pager = make_pager(fake)
    with pytest.raises(DecodeError):
        await pager.save(tmp_path / "t.jsonl")
    assert (await anext(pager)).id == 101
    await pager.aclose()


async def test_cancelled_save_keeps_the_received_pages_in_its_journal(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    fake.fail(Fault.stall(), page=3, times=None)
    saving = asyncio.create_task(make_pager(fake).save(path))
    while len(fake.requests) < 3:  # noqa: ASYNC110 (the fake tells nobody)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert names(tmp_path) == ["t.csv.partial"]
    fake.clear()
    before = len(fake.requests)
    assert (await make_pager(fake).save(path, resume=True)).tracks == 250
    assert fake.pages[before:] == [3]
    assert rows_of(path) == served_rows(fake.catalogue)


async def test_cancelled_save_soon_stops_writing_the_file(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, path, writing = await make_fake(2500), tmp_path / "t.csv", asyncio.Event()
    loop, real = asyncio.get_running_loop(), text._chunks

    def slow(header: bytes, batches: Iterable[bytes]) -> Iterator[bytes | memoryview]:
        for batch in batches:
            loop.call_soon_threadsafe(writing.set)
            time.sleep(0.2)
            yield from real(header, [batch])

    monkeypatch.setattr("jogg_async._export.save._BATCH", 100)
    with monkeypatch.context() as patch:
        patch.setattr(text, "_chunks", slow)
        saving = asyncio.create_task(make_pager(fake).save(path))
        await writing.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(2):  # 25 batches take five seconds
                await saving
    assert names(tmp_path) == ["t.csv.partial"]
    fake.requests.clear()
    assert (await make_pager(fake).save(path, resume=True)).tracks == 2500
    assert fake.requests == []


async def test_save_cancelled_at_its_start_closes_its_journal(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    for _ in range(20):
        saving = asyncio.create_task(make_pager(fake).save(tmp_path / "t.csv", resume=True))
        await asyncio.sleep(0.0005)
        saving.cancel()
        await asyncio.wait([saving])
    assert (await make_pager(fake).save(tmp_path / "t.csv", resume=True)).tracks == 250


async def test_save_cancelled_repeatedly_while_it_opens_ends_as_cancelled_and_closes_its_journal(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    path = tmp_path / "t.db"
    await make_pager(fake).save(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")  # the save waits for this lock while it opens
        other.execute("BEGIN EXCLUSIVE")
        saving = asyncio.create_task(make_pager(fake).save(path))
        for _ in range(3):
            await asyncio.sleep(0.1)
            saving.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert names(tmp_path) == ["t.db"]
    assert (await make_pager(fake).save(path, resume=True)).tracks == 250


async def test_closing_the_session_keeps_the_journal(fake: FakeJogg, make_session: MakeSession, tmp_path: Path) -> None:
    fake.fail(Fault.stall(), page=3, times=None)
    jogg = make_session(fake)
    saving = asyncio.create_task(jogg.tracks().save(tmp_path / "t.csv"))
    while len(fake.requests) < 3:  # noqa: ASYNC110 (the fake tells nobody)
        await asyncio.sleep(0.01)
    await jogg.aclose()
    with pytest.raises(jogg_async.SessionClosedError):
        await saving
    assert names(tmp_path) == ["t.csv.partial"]


@pytest.mark.parametrize(("policy", "expected"), [("ignore", (True, 250)), ("raise", (False, 251))])
async def test_save_that_ended_with_an_error_about_drift_is_resumed_or_under_raise_started_anew(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, policy: str, expected: tuple[bool, int]
) -> None:
    fake, path = await make_fake(250), tmp_path / "t.jsonl"
    path.write_text("old", encoding="utf-8")
    fake.mutate_after(2, lambda catalogue: catalogue.insert())
    with pytest.raises(CatalogueChangedError) as caught:
        await make_pager(fake, on_drift="raise", concurrency=1).save(path)
    assert caught.value.__notes__[0].endswith("resume=True starts anew, but with another on_drift it saves them.")
    assert path.read_text(encoding="utf-8") == "old"
    report = await make_pager(fake, on_drift=policy).save(path, resume=True)
    assert (report.drifted, report.tracks) == expected
    assert names(tmp_path) == ["t.jsonl"]


async def test_interrupted_save_that_noticed_drift_starts_anew_under_raise(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path
) -> None:
    fake, path = await make_fake(250), tmp_path / "t.jsonl"
    fake.mutate_after(1, lambda catalogue: catalogue.insert())
    fake.fail(Fault.business(18025), page=3)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, on_drift="raise", concurrency=1).save(path)
    report = await make_pager(fake, on_drift="raise", concurrency=1).save(path, resume=True)
    assert (report.drifted, report.tracks) == (False, 251)
    assert rows_of(path) == served_rows(fake.catalogue)


async def test_progress_shows_a_bar(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    await make_pager(fake).save(tmp_path / "t.jsonl", progress=True)
    assert "250/250 tracks  3 pages" in capsys.readouterr().err


async def test_a_bar_without_its_extra_fails_before_any_request_and_the_pager_still_works(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jogg_async._render.progress_bar", None)
    pager = make_pager(fake)
    with pytest.raises(ImportError):
        await pager.save(tmp_path / "t.jsonl", progress=True)
    assert fake.requests == []
    assert pager._crawl._steps == 0  # or dropping the pager would not end its requests
    assert (await pager.save(tmp_path / "t.jsonl")).tracks == 250


async def test_saved_bytes_do_not_depend_on_the_batch_size(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = await make_fake(2500)
    for name, batch in (("small", 1), ("large", 5000)):
        monkeypatch.setattr("jogg_async._export.save._BATCH", batch)
        monkeypatch.setattr("jogg_async._export.text._CHUNK_SIZE", 1000)
        await make_pager(fake).save(tmp_path / f"{name}.jsonl.gz")
    assert (tmp_path / "small.jsonl.gz").read_bytes() == (tmp_path / "large.jsonl.gz").read_bytes()
    assert decompressed(tmp_path / "small.jsonl.gz").count(b"\n") == 2500


async def test_an_unordered_crawl_saves_every_track_once(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path
) -> None:
    fake = await make_fake(2500, jitter=0.02)
    await make_pager(fake, ordered=False).save(tmp_path / "t.jsonl")
    assert sorted(rows_of(tmp_path / "t.jsonl")) == served_rows(fake.catalogue)


async def test_the_journal_is_an_sqlite_file_beside_the_destination(
    fake: FakeJogg, jogg: JoggSession, tmp_path: Path
) -> None:
    seen: list[list[str]] = []
    fake.on_request = lambda _: seen.append(names(tmp_path))
    await jogg.tracks().save(tmp_path / "t.csv")
    assert "t.csv.partial" in seen[0]
