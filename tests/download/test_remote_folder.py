"""Downloads into a folder under an address, through fsspec."""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jogg_async
from jogg_async import RetryPolicy
from tests.conftest import AT_ONCE

from .conftest import names
from .server import CONTENT, AudioFile, AudioServer
from .test_download import track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jogg_async import DownloadReport, JoggSession, Track
    from jogg_async.testing import FakeJogg

fsspec: Any = pytest.importorskip("fsspec")
MUSIC = "memory://bucket/music"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files, empty at first."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def memory() -> Iterator[Any]:
    """Return fsspec's file system in memory, empty."""
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def stored(memory: Any) -> dict[str, bytes]:
    """Return the files in the folder, by name."""
    return {path.rpartition("/")[2]: memory.cat(path) for path in memory.ls("/bucket/music", detail=False)}


async def upload(server: AudioServer, *tracks: Track, address: str = MUSIC, **settings: Any) -> DownloadReport:
    for each in tracks:
        server.paths.setdefault(f"/{each.id}.mp3", AudioFile())
    usual: dict[str, Any] = {"base_url": server.url, "retry": AT_ONCE}
    return await jogg_async.download(tracks, address, **usual | settings)


async def test_a_pager_is_downloaded_to_an_address(
    fake: FakeJogg, jogg: JoggSession, memory: Any, temporary: Path
) -> None:
    report = await jogg_async.download(jogg.tracks(limit=20), MUSIC)
    assert (report.downloaded, report.skipped, report.failed) == (20, 0, ())
    assert sorted(stored(memory)) == sorted(f"{row['id']} {row['name']}.wav" for row in fake.catalogue[:20])
    assert names(temporary) == []


async def test_files_that_the_address_holds_are_skipped(server: AudioServer, memory: Any) -> None:
    files = {"1 Old title.mp3": b"old", "2 Empty.mp3": b"", "cover.jpg": b"no track"}
    memory.pipe({f"/bucket/music/{name}": content for name, content in files.items()})
    memory.makedirs("/bucket/music/3 Folder.mp3/inside", exist_ok=True)
    report = await upload(server, *(track(server, number) for number in (1, 2, 3)))
    assert (report.downloaded, report.skipped, report.failed) == (2, 1, ())
    assert sorted(path for path, _ in server.requests) == ["/2.mp3", "/3.mp3"]


async def test_a_file_appears_at_the_address_only_when_it_is_complete(
    server: AudioServer, memory: Any, temporary: Path
) -> None:
    server.paths["/1.mp3"] = AudioFile(cuts=[100_000])
    broken = await upload(server, track(server), retry=RetryPolicy(attempts=1))
    assert (len(broken.failed), memory.ls("/bucket/music"), names(temporary)) == (1, [], [])
    server.paths["/1.mp3"] = AudioFile(cuts=[100_000])
    assert (await upload(server, track(server))).downloaded == 1
    assert stored(memory) == {"1 One.mp3": CONTENT}
    assert server.ranges[-1] == "bytes=100000-"


async def test_a_failed_upload_ends_the_download_and_leaves_nothing_behind(
    server: AudioServer, memory: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError("read-only bucket")

    monkeypatch.setattr(type(memory), "_open", fail)
    with pytest.raises(PermissionError, match="read-only bucket"):
        await upload(server, track(server))
    assert (memory.ls("/bucket/music"), names(temporary)) == ([], [])


@pytest.mark.parametrize("method", ["ls", "_open"])
async def test_error_of_a_file_system_is_an_os_error_that_names_the_address(
    server: AudioServer, memory: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("no credentials")

    monkeypatch.setattr(type(memory), method, fail)
    with pytest.raises(OSError, match=f"^{MUSIC}: LookupError: no credentials$") as caught:
        await upload(server, track(server))
    assert isinstance(caught.value.__cause__, LookupError)


async def test_file_system_of_one_thread_writes_each_file_in_a_transaction(
    server: AudioServer, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions: list[bool] = []
    plain = type(memory)._open

    def note_transaction(self: Any, *arguments: Any, **settings: Any) -> Any:
        transactions.append(self._intrans)
        return plain(self, *arguments, **settings)

    monkeypatch.setattr(type(memory), "_open", note_transaction)
    assert (await upload(server, track(server, 1), track(server, 2))).downloaded == 2
    assert transactions == [True, True]


async def test_several_files_are_uploaded_at_once(
    server: AudioServer, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = threading.Barrier(4)
    plain = type(memory)._open

    def wait_for_others(*arguments: Any, **settings: Any) -> Any:
        barrier.wait(20)
        return plain(*arguments, **settings)

    monkeypatch.setattr(type(memory), "_open", wait_for_others)
    report = await upload(server, *(track(server, number) for number in range(1, 9)), concurrency=4)
    assert (report.downloaded, len(stored(memory))) == (8, 8)


@pytest.mark.parametrize("address", ["file://{}/with%20space", "local://{}/with space"])
async def test_an_address_of_a_local_folder_holds_whole_files(
    server: AudioServer, tmp_path: Path, address: str
) -> None:
    folder = tmp_path / "with space"
    report = await upload(server, track(server), address=address.format(tmp_path.as_posix()))
    assert (report.downloaded, names(folder), (folder / "1 One.mp3").read_bytes()) == (1, ["1 One.mp3"], CONTENT)


async def test_an_unknown_protocol_fails_before_any_request(server: AudioServer, temporary: Path) -> None:
    with pytest.raises(ValueError, match="fsspec does not know the address 'nowhere://music'"):
        await upload(server, track(server), address="nowhere://music")
    assert (server.requests, names(temporary)) == ([], [])


async def test_an_address_without_fsspec_names_the_extra(server: AudioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ImportError, match=r"An address needs fsspec: pip install 'jogg-async\[fsspec\]'"):
        await upload(server, track(server), address=MUSIC)
    assert server.requests == []
