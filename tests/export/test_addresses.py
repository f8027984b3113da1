"""Destinations under an address, through fsspec."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest

from jogg_async import PermissionDeniedError
from jogg_async._export import text
from jogg_async._export.filesystems import named_errors
from jogg_async._export.journal import Journal
from jogg_async.testing import FakeJogg, Fault

from .conftest import FORMATS, MakePager, names, rows_of, served_rows, skip_without_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

fsspec: Any = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The current folder, in which journals lie, and an empty memory file system."""
    monkeypatch.chdir(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield
    memory.store.clear()


@pytest.mark.parametrize("suffix", [each for each in FORMATS if each != "db"])
async def test_every_file_format_is_uploaded(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, suffix: str
) -> None:
    skip_without_extra(suffix)
    await make_pager(fake).save(f"memory://bucket/t.{suffix}")
    local = tmp_path / f"t.{suffix}"
    local.write_bytes(fsspec.filesystem("memory").cat(f"/bucket/t.{suffix}"))
    assert rows_of(local) == served_rows(fake.catalogue)
    assert names(tmp_path) == [local.name]


async def test_journal_of_a_save_to_an_address_lies_in_the_current_folder(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    fake.fail(Fault.business(18025), page=3, times=None)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake).save("memory://bucket/t.csv")
    assert names(tmp_path) == ["t.csv.partial"]
    fake.clear()
    assert (await make_pager(fake).save("memory://bucket/t.csv", resume=True)).tracks == 250


@pytest.mark.parametrize(
    ("kept", "dest"),
    [
        ("memory://one/t.csv", "memory://two/t.csv"),
        ("memory://one/t.csv", "t.csv"),
        ("t.csv", "memory://two/t.csv"),
    ],
)
async def test_journal_of_another_destination_of_the_same_name_is_refused_and_kept(
    fake: FakeJogg, make_pager: MakePager, kept: str, dest: str
) -> None:
    fake.fail(Fault.business(18025), page=3)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, concurrency=1).save(kept)
    fake.requests.clear()
    with pytest.raises(
        ValueError, match=rf"t\.csv\.partial is the journal of a save to {kept}; resume that save first"
    ):
        await make_pager(fake).save(dest, resume=True)
    assert fake.requests == []
    assert (await make_pager(fake).save(kept, resume=True)).tracks == 250
    assert fake.pages == [3]
    assert (await make_pager(fake).save(dest)).tracks == 250


async def test_refused_save_names_the_address_of_the_interrupted_crawl(fake: FakeJogg, make_pager: MakePager) -> None:
    fake.fail(Fault.business(18025), page=3)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, concurrency=1).save("memory://one/t.csv")
    with pytest.raises(FileExistsError, match=r"of an interrupted crawl into memory://one/t\.csv: continue it"):
        await make_pager(fake).save("memory://two/t.csv")


async def test_journal_holds_no_password_of_an_address(fake: FakeJogg, make_pager: MakePager, tmp_path: Path) -> None:
    address = "memory://user:p@ssword@host/t.csv"
    fake.fail(Fault.business(18025), page=3)
    with pytest.raises(PermissionDeniedError):
        await make_pager(fake, concurrency=1).save(address)
    with pytest.raises(FileExistsError, match=r"into memory://user@host/t\.csv: continue it"):
        await make_pager(fake).save("memory://t.csv")
    assert b"ssword" not in (tmp_path / "t.csv.partial").read_bytes()
    assert (await make_pager(fake).save(address, resume=True)).tracks == 250


async def test_a_transaction_of_the_caller_stays_open(fake: FakeJogg, make_pager: MakePager) -> None:
    memory = fsspec.filesystem("memory")
    with memory.transaction:
        await make_pager(fake).save("memory://bucket/t.csv")
        assert memory.exists("/bucket/t.csv")
        memory.pipe("/bucket/other", b"of the caller")
        with memory.open("/bucket/late", "wb") as file:
            file.write(b"of the caller")
        assert not memory.exists("/bucket/late")
    assert memory.exists("/bucket/late")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("The bucket does not exist"), "s3://b/t.csv: The bucket does not exist"),
        (PermissionError(13, "Permission denied"), "[Errno 13] Permission denied: 's3://b/t.csv'"),
        (PermissionError(13, "Permission denied", "b/t.csv"), "[Errno 13] Permission denied: 'b/t.csv'"),
        (LookupError("no credentials"), "s3://b/t.csv: LookupError: no credentials"),
        (NotImplementedError(), "s3://b/t.csv: NotImplementedError"),
    ],
)
def test_errors_of_a_file_system_are_os_errors_that_name_the_address(error: Exception, expected: str) -> None:
    with pytest.raises(OSError, match=r"b/t\.csv") as caught, named_errors("s3://b/t.csv"):
        raise error
    assert str(caught.value) == expected
    assert error in (caught.value, caught.value.__cause__)


def fail(*_: object, **__: object) -> NoReturn:
    raise LookupError("no credentials")


class BrokenFile:
    """File of which one method fails."""

    def __init__(self, file: Any, method: str) -> None:
        self._file, self._method = file, method

    def __getattr__(self, name: str) -> Any:
        return fail if name == self._method else getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.mark.parametrize("suffix", [each for each in FORMATS if each != "db"])
@pytest.mark.parametrize("method", ["write", "close", "commit"])
async def test_error_of_any_step_of_an_upload_names_the_address_and_the_journal(
    fake: FakeJogg, make_pager: MakePager, monkeypatch: pytest.MonkeyPatch, suffix: str, method: str
) -> None:
    skip_without_extra(suffix)
    fsspec.filesystem("memory").pipe(f"/t.{suffix}", b"old")
    with monkeypatch.context() as patch:
        plain: Any = type(fsspec.filesystem("memory"))._open
        broken = lambda *given, **settings: BrokenFile(plain(*given, **settings), method)  # noqa: E731
        patch.setattr("fsspec.implementations.memory.MemoryFileSystem._open", broken)
        with pytest.raises(OSError, match="memory") as caught:
            await make_pager(fake).save(f"memory://t.{suffix}")
    assert str(caught.value) == f"memory://t.{suffix}: LookupError: no credentials"
    assert isinstance(caught.value.__cause__, LookupError)
    assert "resume=True continues there" in caught.value.__notes__[0]
    assert fsspec.filesystem("memory").cat(f"/t.{suffix}") == b"old"
    assert (await make_pager(fake).save(f"memory://t.{suffix}", resume=True)).tracks == 250


async def test_error_while_connecting_names_the_address_before_any_request(
    fake: FakeJogg, make_pager: MakePager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.__init__", fail)
    with pytest.raises(OSError, match=r"^memory://t\.csv: LookupError: no credentials$"):
        await make_pager(fake).save("memory://t.csv")
    assert fake.requests == []


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError("t.csv.partial is damaged"), TypeError("a mistake")]
)
async def test_error_while_the_journal_is_read_for_an_upload_is_unchanged(
    fake: FakeJogg, make_pager: MakePager, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    text = str(error)

    def fail_to_read(_: Journal) -> Iterator[bytes]:
        yield b""
        raise error

    monkeypatch.setattr(Journal, "batches", fail_to_read)
    with pytest.raises(type(error)) as caught:
        await make_pager(fake).save("memory://t.csv")
    assert (caught.value, str(caught.value)) == (error, text)


@pytest.mark.parametrize("address", ["http://localhost/t.csv", "https://localhost/t.csv"])
async def test_an_address_that_cannot_be_written_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, address: str
) -> None:
    with pytest.raises(ValueError, match=f"can only read the address '{address}'"):
        await make_pager(fake).save(address)
    assert (fake.requests, names(tmp_path)) == ([], [])


async def test_an_upload_that_fails_leaves_the_old_object(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/t.csv", b"old")

    def fail_after_header(header: bytes, batches: Any) -> Iterator[bytes]:
        yield header
        raise OSError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(text, "_chunks", fail_after_header)
        with pytest.raises(OSError, match=r"^broken\n"):  # then the note
            await make_pager(fake).save("memory://t.csv")
    assert memory.cat("/t.csv") == b"old"
    assert names(tmp_path) == ["t.csv.partial"]


async def test_an_unknown_protocol_fails_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="fsspec does not know the address 'nowhere://"):
        await make_pager(fake).save("nowhere://t.csv")
    assert (fake.requests, names(tmp_path)) == ([], [])


@pytest.mark.parametrize("host", ["", "localhost"])
@pytest.mark.parametrize("name", ["with space.db", "a?b.db", "a#b.db", "a?b#c%41.db"])
async def test_a_file_address_is_a_local_path(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path, host: str, name: str
) -> None:
    quoted = f"{tmp_path.as_uri()}/{name.replace(' ', '%20').replace('%41', '%2541')}"
    assert (await make_pager(fake).save(quoted.replace("file://", f"file://{host}"))).new == 250
    assert names(tmp_path) == [name]


async def test_file_address_that_names_another_host_is_refused_before_any_request(
    fake: FakeJogg, make_pager: MakePager, tmp_path: Path
) -> None:
    for address in ("file://tmp/x.csv", "file://x.csv", "file://[/x.csv"):
        with pytest.raises(ValueError, match=r"names a file on the host .* begins with file:///\."):
            await make_pager(fake).save(address)
    assert (fake.requests, names(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    "case",
    [
        ("memory://t.csv", "fsspec", r"pip install 'jogg-async\[fsspec\]'"),
        ("t.csv.zst", "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", r"jogg-async\[zstd\]"),
    ],
)
async def test_error_about_a_missing_extra_names_it_before_any_request(
    fake: FakeJogg, make_pager: MakePager, monkeypatch: pytest.MonkeyPatch, case: tuple[str, str, str]
) -> None:
    dest, module, says = case
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=says):
        await make_pager(fake).save(dest)
    assert fake.requests == []


async def test_parquet_without_pyarrow_names_the_extra(
    fake: FakeJogg, make_pager: MakePager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jogg_async._export.parquet", "jogg_async._render.arrow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("jogg_async._render.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"Parquet needs pyarrow: pip install 'jogg-async\[arrow\]'"):
        await make_pager(fake).save("t.parquet")
    assert fake.requests == []
