"""Saves that find a journal of an interrupted one: they resume it, or are refused before any request."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async import AuthenticationError, JoggError, PermissionDeniedError
from jogg_async._export.journal import APPLICATION_ID, VERSION, Journal, Plan
from jogg_async.testing import Catalogue, FakeJogg, Fault

from .conftest import MakePager, names, rows_of, served_rows

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


@pytest.fixture
async def interrupted(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> Path:
    """A destination whose crawl failed at the last of three pages; the fake works again."""
    path = tmp_path / "t.jsonl"
    fake.fail(Fault.business(18025), page=3, times=None)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, concurrency=1).save(path)
    fake.clear()
    fake.requests.clear()
    return path


def partial_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


async def test_resume_without_a_journal_starts_anew(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    report = await make_pager(fake).save(tmp_path / "t.jsonl", resume=True)
    assert report.tracks == 250


async def test_a_journal_is_not_overwritten_without_resume(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    before = partial_of(interrupted).read_bytes()
    with pytest.raises(FileExistsError, match=r"t\.jsonl\.partial is the journal .* resume=True, or delete it"):
        await make_pager(fake).save(interrupted)
    assert partial_of(interrupted).read_bytes() == before
    assert fake.requests == []


async def test_crawl_that_fails_before_its_first_track_leaves_no_journal(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    fake.fail(Fault.business(10105))
    with pytest.raises(AuthenticationError) as caught:
        await make_pager(fake).save(path)
    assert not getattr(caught.value, "__notes__", [])
    assert list(tmp_path.iterdir()) == []
    assert (await make_pager(fake).save(path)).tracks == 250


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mood": "Calm"}, "mood='Calm' contradicts the journal"),
        ({"params": {"sort": "name"}}, "sort='name'"),
        ({"limit": 10}, "limit=10"),
        ({"page_size": 50}, "page_size=50"),
        ({"start_page": 2}, "start_page=2"),
        ({"end_page": 2}, "end_page=2"),
    ],
)
async def test_save_resumed_with_another_query_or_other_bounds_is_refused(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await make_pager(fake, **options).save(interrupted, resume=True)
    assert fake.requests == []
    assert (await make_pager(fake).save(interrupted, resume=True)).tracks == 250


async def test_save_resumed_with_another_format_is_refused(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    with pytest.raises(ValueError, match="format='csv' contradicts the journal"):
        await make_pager(fake).save(interrupted, format="csv", resume=True)
    assert fake.requests == []


async def test_save_may_be_resumed_with_other_policies_and_another_order(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    options: dict[str, Any] = {"ordered": False, "on_drift": "raise", "on_invalid": "skip", "concurrency": 2}
    assert (await make_pager(fake, **options).save(interrupted, resume=True)).tracks == 250
    assert sorted(rows_of(interrupted)) == served_rows(fake.catalogue)


async def test_save_resumed_with_another_place_in_the_start_page_is_refused(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    pager = make_pager(fake)
    await anext(pager)
    with pytest.raises(ValueError, match="place=1 contradicts the journal"):
        await make_pager(fake, resume=pager.checkpoint()).save(interrupted, resume=True)
    await pager.aclose()


async def test_a_journal_in_use_is_refused_with_and_without_resume(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    fake.fail(Fault.stall(), page=3, times=None)
    saving = asyncio.create_task(make_pager(fake).save(path))
    while len(fake.requests) < 3:  # noqa: ASYNC110 (the fake tells nobody)
        await asyncio.sleep(0.01)
    with pytest.raises(BlockingIOError, match=r"t\.jsonl\.partial is in use by another crawl; wait until"):
        await make_pager(fake).save(path, resume=True)
    with pytest.raises(FileExistsError, match=r"t\.jsonl\.partial is in use by another crawl; wait until"):
        await make_pager(fake).save(path)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    fake.clear()
    assert (await make_pager(fake).save(path, resume=True)).tracks == 250


@pytest.mark.parametrize("closed", ["pager", "session"])
async def test_resumed_save_closed_while_it_opens_leaves_the_journal_as_it_was(
    fake: FakeJogg, make_session: MakeSession, interrupted: Path, closed: str
) -> None:
    before = batches_in(partial_of(interrupted))
    jogg = make_session(fake)
    pager = jogg.tracks()
    saving = asyncio.create_task(pager.save(interrupted, resume=True))
    await asyncio.sleep(0)
    await (pager if closed == "pager" else jogg).aclose()
    with pytest.raises(JoggError) as caught:
        await saving
    assert caught.value.__notes__ == [f"200 tracks are kept in {interrupted}.partial: resume=True continues there."]
    assert pager.checkpoint()["page"] == 3
    assert batches_in(partial_of(interrupted)) == before
    assert fake.requests == []
    assert (await make_session(fake).tracks().save(interrupted, resume=True)).tracks == 250
    assert fake.pages == [3]


async def test_resumed_save_whose_first_page_fails_leaves_the_journal_as_it_was(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    before = batches_in(partial_of(interrupted))
    fake.fail(Fault.business(18025), page=3)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake).save(interrupted, resume=True)
    assert batches_in(partial_of(interrupted)) == before


async def test_file_that_is_no_journal_is_refused_without_resume_and_kept(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    other = tmp_path / "t.jsonl.partial"
    other.write_bytes(b"no database at all")
    with pytest.raises(FileExistsError, match=r"t\.jsonl\.partial is the journal of an interrupted crawl"):
        await make_pager(fake).save(tmp_path / "t.jsonl")
    assert other.read_bytes() == b"no database at all"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + bytes(4080)])
async def test_a_damaged_journal_is_refused_and_kept(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, content: bytes
) -> None:
    journal = tmp_path / "t.jsonl.partial"
    journal.write_bytes(content)
    with pytest.raises(OSError, match=r"is damaged or no journal: delete it|is no journal of this package"):
        await make_pager(fake).save(tmp_path / "t.jsonl", resume=True)
    assert journal.read_bytes() == content
    assert fake.requests == []


async def test_a_journal_with_a_damaged_state_is_refused(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    change(partial_of(interrupted), "UPDATE batches SET state = '{'")
    with pytest.raises(OSError, match="is damaged"):
        await make_pager(fake).save(interrupted, resume=True)
    assert fake.requests == []


async def test_journal_with_damaged_database_pages_does_not_change_the_destination(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    interrupted.write_bytes(b"old")
    journal = partial_of(interrupted)
    data = bytearray(journal.read_bytes())
    data[65536:] = b"\xff" * (len(data) - 65536)
    journal.write_bytes(data)
    with pytest.raises(OSError, match="is damaged"):
        await make_pager(fake).save(interrupted, resume=True)
    assert interrupted.read_bytes() == b"old"


async def test_a_journal_of_a_newer_version_is_refused(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    change(partial_of(interrupted), f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(OSError, match="newer version"):
        await make_pager(fake).save(interrupted, resume=True)
    assert fake.requests == []


async def test_database_that_is_no_journal_is_refused_and_left_unchanged(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    other = tmp_path / "t.jsonl.partial"
    change(other, "CREATE TABLE mine (x)")
    before = other.read_bytes()
    with pytest.raises(OSError, match="no journal of this package"):
        await make_pager(fake).save(tmp_path / "t.jsonl", resume=True)
    assert other.read_bytes() == before


async def test_empty_journal_of_a_process_killed_at_its_start_is_reused(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    (tmp_path / "t.jsonl.partial").touch()
    assert (await make_pager(fake).save(tmp_path / "t.jsonl", resume=True)).tracks == 250
    assert names(tmp_path) == ["t.jsonl"]


def test_a_journal_is_known_by_its_header(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", Plan("csv", {}), resume=False)
    journal.close()
    with closing(sqlite3.connect(tmp_path / "j")) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_track_that_slid_to_a_later_page_is_not_saved_twice(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    fake.catalogue.insert(track={"id": 1000})  # at the top: the tracks behind it slide
    report = await make_pager(fake, on_drift="ignore").save(interrupted, resume=True)
    ids = [row[0] for row in rows_of(interrupted)]
    assert ids == list(range(1, 251))
    assert report.drifted


async def test_recrawl_of_a_resumed_save_adds_only_the_missing_tracks(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    fake.catalogue.insert(track={"id": 1000})
    report = await make_pager(fake, on_drift="recrawl").save(interrupted, resume=True)
    ids = [row[0] for row in rows_of(interrupted)]
    assert ids == [*range(1, 251), 1000]
    assert (report.drifted, report.tracks) == (True, 251)


async def test_drift_before_the_interruption_is_reported_and_leads_to_a_recrawl(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path
) -> None:
    fake, path = await make_fake(400), tmp_path / "t.jsonl"
    # One track more on page 1 and one less behind: the totals are the same, a repeated id alone tells.
    fake.mutate_after(1, add_first_and_remove_last)
    fake.fail(Fault.business(18025), page=4, times=None)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, concurrency=1, on_drift="recrawl").save(path)
    fake.clear()
    report = await make_pager(fake, on_drift="recrawl").save(path, resume=True)
    assert report.drifted
    ids = [row[0] for row in rows_of(path)]
    assert sorted(ids) == [*range(1, 400), 1000]


async def test_an_interrupted_crawl_with_too_few_records_is_drift(
    fake: FakeJogg, make_pager: MakePager, interrupted: Path
) -> None:
    fake.fail(Fault.patch(lambda envelope: envelope["data"].update(music=[])), page=3)
    report = await make_pager(fake, on_drift="ignore").save(interrupted, resume=True)
    assert report.drifted


async def test_a_limit_is_kept_over_an_interruption(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    fake.fail(Fault.business(18025), page=2, times=None)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, limit=130).save(path)
    fake.clear()
    report = await make_pager(fake, limit=130).save(path, resume=True)
    assert (report.tracks, len(rows_of(path))) == (130, 130)


def add_first_and_remove_last(catalogue: Catalogue) -> None:
    catalogue.insert(track={"id": 1000})
    catalogue.remove(-1)


def batches_in(journal: Path) -> list[Any]:
    with closing(sqlite3.connect(journal)) as database:
        return database.execute("SELECT * FROM batches").fetchall()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)
