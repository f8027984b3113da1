from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jogg_async
from jogg_async import RetryPolicy, Track
from jogg_async._download.part_file import PartFile
from jogg_async._download.responses import Partial
from jogg_async._http.transfer_error import TransferError
from jogg_async.testing import FakeJogg, Fault
from tests.conftest import AT_ONCE

from .conftest import Fetch, names
from .server import CONTENT, AudioFile, AudioServer
from .test_download import track, until

SIZE = len(CONTENT)
ONE_ATTEMPT = RetryPolicy(attempts=1)
DATED = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
CUT = 100_000


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, DATED, {"ETag": 'W/"one"'} | DATED])
async def test_a_broken_download_is_resumed_by_the_next_attempt(
    server: AudioServer, fetch: Fetch, folder: Path, headers: dict[str, str]
) -> None:
    server.paths["/1.mp3"] = AudioFile(headers=headers, cuts=[CUT, CUT])
    report = await fetch(track(server))
    assert (report.downloaded, report.bytes) == (1, SIZE)
    assert server.ranges == [None, f"bytes={CUT}-", f"bytes={2 * CUT}-"]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT
    assert names(folder) == ["1 One.mp3"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_broken_download_is_resumed_by_the_next_run(
    server: AudioServer, fetch: Fetch, folder: Path, is_chunked: bool
) -> None:
    server.paths["/1.mp3"] = AudioFile(cuts=[CUT], is_chunked=is_chunked)
    broken = await fetch(track(server), retry=ONE_ATTEMPT)
    assert (len(broken.failed), broken.bytes, names(folder)) == (1, CUT, ["1.part", "1.part.json"])
    resumed = await fetch(track(server, title="Renamed"))
    assert (resumed.downloaded, resumed.bytes) == (1, SIZE - CUT)
    assert (folder / "1 Renamed.mp3").read_bytes() == CONTENT
    assert names(folder) == ["1 Renamed.mp3"]


async def leave_partial_file(server: AudioServer, fetch: Fetch, **settings: Any) -> None:
    """Run a download that breaks off and leaves a partial file; then clear the recorded requests."""
    server.paths["/1.mp3"] = AudioFile(cuts=[CUT], **settings)
    assert len((await fetch(track(server), retry=ONE_ATTEMPT)).failed) == 1
    server.requests.clear()


async def test_a_file_that_changed_meanwhile_is_fetched_as_a_whole(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    await leave_partial_file(server, fetch)
    server.paths["/1.mp3"] = AudioFile(CONTENT[::-1], {"ETag": '"two"'})
    report = await fetch(track(server))
    assert (report.downloaded, report.bytes) == (1, SIZE)
    assert server.ranges == [f"bytes={CUT}-"]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT[::-1]


async def test_a_server_without_ranges_sends_the_whole_file(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    await leave_partial_file(server, fetch, sends_ranges=False)
    assert (await fetch(track(server))).bytes == SIZE
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"one"'}])
async def test_a_file_without_a_strong_validator_is_not_resumed(
    server: AudioServer, fetch: Fetch, folder: Path, headers: dict[str, str]
) -> None:
    await leave_partial_file(server, fetch, headers=headers)
    assert names(folder) == ["1.part"]
    assert (await fetch(track(server))).bytes == SIZE
    assert server.ranges == [None]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


async def test_partial_file_without_a_validator_is_not_resumed_with_an_earlier_one(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    await leave_partial_file(server, fetch)
    server.paths["/1.mp3"] = AudioFile(CONTENT[::-1], {"X-Other": "version"}, cuts=[CUT])
    assert len((await fetch(track(server), retry=ONE_ATTEMPT)).failed) == 1
    server.paths["/1.mp3"] = AudioFile()
    assert (await fetch(track(server))).bytes == SIZE
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


async def test_file_at_another_address_is_not_resumed_although_its_validator_is_the_same(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    await leave_partial_file(server, fetch)
    server.paths["/moved.mp3"] = AudioFile(CONTENT[::-1])
    assert (await fetch(track(server, path="/moved.mp3"))).bytes == SIZE
    assert (folder / "1 One.mp3").read_bytes() == CONTENT[::-1]


async def test_other_signature_in_the_query_of_the_url_does_not_prevent_resumption(
    server: AudioServer, fetch: Fetch
) -> None:
    await leave_partial_file(server, fetch)
    assert (await fetch(track(server, path="/1.mp3?signature=new"))).bytes == SIZE - CUT


async def test_a_range_that_the_server_refuses_is_fetched_as_a_whole(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    await leave_partial_file(server, fetch)
    server.paths["/1.mp3"] = AudioFile(CONTENT[:1000])  # the tag is the same, although the file has shrunk
    assert (await fetch(track(server), retry=ONE_ATTEMPT)).bytes == 1000
    assert server.ranges == [f"bytes={CUT}-", None]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT[:1000]


async def test_a_file_that_has_grown_is_fetched_as_a_whole(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    await leave_partial_file(server, fetch)
    server.paths["/1.mp3"] = AudioFile(CONTENT * 2)
    await fetch(track(server), retry=ONE_ATTEMPT)
    assert server.ranges == [f"bytes={CUT}-", None]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT * 2


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"7",
        b'{"address": 1, "validator": 2, "total": 3}',
        b'{"address": "a", "validator": "b", "total": "c"}',
        b'{"address": "a", "validator": "b", "total": 307200, "other": 1}',
        b'{"address": "a", "validator": "b\\r\\nx: y", "total": 307200}',
    ],
)
async def test_a_partial_file_with_a_damaged_state_is_fetched_as_a_whole(
    server: AudioServer, fetch: Fetch, folder: Path, state: bytes
) -> None:
    await leave_partial_file(server, fetch)
    (folder / "1.part.json").write_bytes(state)
    assert (await fetch(track(server))).bytes == SIZE
    assert (folder / "1 One.mp3").read_bytes() == CONTENT
    assert names(folder) == ["1 One.mp3"]


@pytest.mark.parametrize("size", [0, SIZE, SIZE + 1])
async def test_a_partial_file_of_an_impossible_size_is_fetched_as_a_whole(
    server: AudioServer, fetch: Fetch, folder: Path, size: int
) -> None:
    await leave_partial_file(server, fetch)
    os.truncate(folder / "1.part", size)
    assert (await fetch(track(server))).bytes == SIZE
    assert server.ranges == [None]
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
async def test_a_file_that_another_download_is_writing_fails(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile(hangs_after=CUT)
    first = asyncio.ensure_future(fetch(track(server)))
    await until(lambda: size_of(folder / "1.part") == CUT)
    server.paths["/1.mp3"] = AudioFile()
    second = await fetch(track(server), Track(2), concurrency=1)
    assert [reason for _, reason in second.failed] == [
        "another download is writing the file",
        "the track has no music_url",
    ]
    assert size_of(folder / "1.part") == CUT
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await fetch(track(server))).bytes == SIZE - CUT
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_a_partial_file_that_was_completed_since_it_was_opened_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    part = PartFile(tmp_path, 1)
    flock = fcntl.flock

    def complete_and_lock(file: Any, operation: int) -> None:
        (tmp_path / "1.part").rename(tmp_path / "1 One.mp3")
        flock(file, operation)

    (tmp_path / "1.part").write_bytes(CONTENT)
    monkeypatch.setattr(fcntl, "flock", complete_and_lock)
    with pytest.raises(TransferError, match="another download"):
        part.begin(None)
    assert (tmp_path / "1 One.mp3").read_bytes() == CONTENT
    assert names(tmp_path) == ["1 One.mp3"]


def test_a_partial_file_that_grew_since_it_was_read_is_not_resumed(tmp_path: Path) -> None:
    part = PartFile(tmp_path, 1)
    part.begin(Partial("http://host/1.mp3", '"one"', 0, SIZE))
    part.write(CONTENT[:CUT])
    part.close()
    partial = part.load()
    assert partial is not None
    (tmp_path / "1.part").write_bytes(CONTENT)
    with pytest.raises(TransferError, match="another download"):
        part.resume(partial)
    part.close()


async def test_broken_download_from_the_fake_service_is_resumed(fake: FakeJogg, folder: Path) -> None:
    fake.fail(Fault.stall_body(0.1), path="/music/1.wav")
    row = fake.catalogue[0]
    tracks = [Track(row["id"], row["name"], row["music_url"])]
    report = await jogg_async.download(tracks, folder, base_url=fake.url, retry=AT_ONCE)
    assert (report.downloaded, report.bytes) == (1, 24_044)
    assert [request.headers.get("If-Range") for request in fake.requests] == [None, '"1"']


PROGRAM = """
import asyncio, json, sys
import jogg_async

async def main(url, folder):
    tracks = [jogg_async.Track(number, "One", f"{url}/{number}.mp3") for number in range(1, 7)]
    report = await jogg_async.download(tracks, folder, concurrency=3, base_url=url)
    print(json.dumps(report.to_dict()))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL of POSIX")
async def test_a_killed_process_loses_neither_complete_nor_partial_files(server: AudioServer, folder: Path) -> None:
    content = CONTENT * 4
    for number in range(1, 7):
        server.paths[f"/{number}.mp3"] = AudioFile(content, {"ETag": f'"{number}"'})
    for number in (2, 3, 4):
        server.paths[f"/{number}.mp3"] = AudioFile(content, {"ETag": f'"{number}"'}, hangs_after=CUT * number)
    arguments = [sys.executable, "-c", PROGRAM, server.url, str(folder)]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    await until(lambda: all(size_of(folder / f"{number}.part") == CUT * number for number in (2, 3, 4)))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert "1 One.mp3" in names(folder)
    for number in (2, 3, 4):
        server.paths[f"/{number}.mp3"] = AudioFile(content, {"ETag": f'"{number}"'})

    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert json.loads(out) == {
        "downloaded": 5,
        "skipped": 1,
        "failed": [],
        "bytes": 5 * len(content) - CUT * (2 + 3 + 4),
    }
    assert names(folder) == [f"{number} One.mp3" for number in range(1, 7)]
    assert {path.read_bytes() for path in folder.iterdir()} == {content}


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
