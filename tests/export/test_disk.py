"""Disks that are full or read-only, folders that are missing: one clear error, and the old file stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import FakeJogg

from .conftest import MakePager, names, rows_of, served_rows
from .test_mirror import query

if TYPE_CHECKING:
    from tests.conftest import MakeFake

SIZE = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB. It is mounted, which needs root on Linux; else the test is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Fill a disk up to `left` bytes."""
    filler = folder / "filler"
    space = os.statvfs(folder)
    filler.write_bytes(bytes(space.f_bavail * space.f_frsize - left))
    return filler


@pytest.mark.parametrize("left", [0, 300_000, 800_000])
async def test_a_full_disk_is_one_error_and_the_crawl_can_be_resumed(
    make_fake: MakeFake, make_pager: MakePager, disk: Path, left: int
) -> None:
    fake, path = await make_fake(5000), disk / "t.jsonl"
    path.write_bytes(b"old")
    filler = fill(disk, left)
    with pytest.raises(OSError, match="No space left on device") as caught:
        await make_pager(fake).save(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert "t.jsonl.partial.tmp" not in names(disk)
    filler.unlink()
    await make_pager(fake).save(path, resume=True)
    assert rows_of(path) == served_rows(fake.catalogue)


@pytest.fixture
def no_space(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make fsync fail, as it does on a full disk if the file system allocates late. Call the result to undo this."""

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    return monkeypatch.undo


@pytest.mark.parametrize("suffix", ["csv.gz", "db"])
async def test_a_disk_that_is_full_at_the_end_keeps_the_journal(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, no_space: Callable[[], None], suffix: str
) -> None:
    path = tmp_path / f"t.{suffix}"
    with pytest.raises(OSError, match="No space left") as caught:
        await make_pager(fake).save(path)
    assert caught.value.__notes__ == [f"250 tracks are kept in {path}.partial: resume=True continues there."]
    assert names(tmp_path) == [f"t.{suffix}.partial"]
    no_space()
    before = len(fake.requests)
    assert (await make_pager(fake).save(path, resume=True)).tracks == 250
    assert rows_of(path) == served_rows(fake.catalogue)
    assert len(fake.requests) == before  # all was there


async def test_a_full_disk_leaves_an_existing_mirror_as_it_was(
    make_fake: MakeFake, make_pager: MakePager, disk: Path
) -> None:
    fake, path = await make_fake(300), disk / "t.db"
    await make_pager(fake).save(path)
    before = query(path, "SELECT * FROM tracks")
    fake.catalogue.insert(0, count=4000)
    filler = fill(disk, 700_000)
    with pytest.raises(OSError, match="No space left"):
        await make_pager(fake).save(path)
    filler.unlink()
    assert query(path, "SELECT * FROM tracks") == before


@pytest.mark.parametrize(
    "case",
    [
        ("missing/t.csv", FileNotFoundError, r"the folder .*missing does not exist"),
        ("missing/t.db", FileNotFoundError, r"the folder .*missing does not exist"),
        ("file/t.csv", FileNotFoundError, r"the folder .*file does not exist"),
        ("folder.csv", IsADirectoryError, r"folder\.csv is a folder"),
        ("pipe.csv", FileExistsError, r"pipe\.csv is no regular file"),
    ],
)
async def test_a_place_that_cannot_be_written_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, case: tuple[str, type[OSError], str]
) -> None:
    name, kind, says = case
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(kind, match=says):
        await make_pager(fake).save(tmp_path / name)
    assert fake.requests == []


async def test_name_that_is_too_long_for_the_temporary_file_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".partial.tmp-journal")
    for suffix in (".csv", ".db"):
        for length in range(longest + 1, longest + 25):
            path = tmp_path / f"{'a' * (length - len(suffix))}{suffix}"
            with pytest.raises(OSError, match="File name too long") as caught:
                await make_pager(fake).save(path)
            assert caught.value.errno == errno.ENAMETOOLONG
        assert (fake.requests, names(tmp_path)) == ([], [])
        path = tmp_path / f"{'a' * (longest - len(suffix))}{suffix}"
        assert (await make_pager(fake).save(path)).tracks == 250
        path.unlink()
        fake.requests.clear()


async def test_link_to_a_name_that_is_too_long_for_the_temporary_file_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").symlink_to(tmp_path / f"{'a' * 246}.csv")
    with pytest.raises(OSError, match="File name too long"):
        await make_pager(fake).save(tmp_path / "t.csv")
    assert fake.requests == []


@pytest.fixture
def read_only(disk: Path) -> Path:
    """A disk mounted read-only, with an old file on it: root may write in any folder."""
    (disk / "t.csv").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return disk


async def test_a_read_only_folder_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, read_only: Path
) -> None:
    with pytest.raises(OSError, match="Read-only file system") as caught:
        await make_pager(fake).save(read_only / "t.csv")
    assert caught.value.filename == str(read_only / "t.csv.partial")
    assert fake.requests == []
    assert names(read_only) == ["t.csv"]


async def test_a_failed_rename_leaves_the_old_file(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"old")

    def fail(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PermissionError):
        await make_pager(fake).save(path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["t.csv", "t.csv.partial"]
