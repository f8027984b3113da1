from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jogg_async
from jogg_async import JoggError, RetryPolicy, Track, TrackList
from jogg_async._download.part_file import PartFile
from jogg_async.testing import FakeJogg, Fault
from tests.conftest import AT_ONCE

from .conftest import Fetch, names
from .server import CONTENT, AudioFile, AudioServer

if TYPE_CHECKING:
    from jogg_async import JoggSession
    from tests.conftest import MakeFake, MakeSession

IMPATIENT = RetryPolicy(attempts=1)


def track(server: AudioServer, number: int = 1, title: str | None = "One", path: str | None = None) -> Track:
    """Return a track whose file is on the server."""
    return Track(number, title, f"{server.url}{path or f'/{number}.mp3'}")


def music(fake: FakeJogg) -> list[str]:
    """Return the paths of the files that were requested from the fake."""
    return [request.path for request in fake.requests if request.path.startswith("/music/")]


# Tracks of every kind


async def test_a_pager_is_downloaded_into_a_new_folder(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    report = await jogg_async.download(jogg.tracks(limit=5), folder)
    assert (report.downloaded, report.skipped, report.failed, report.bytes) == (5, 0, (), 5 * 24_044)
    assert names(folder) == [f"{row['id']} {row['name']}.wav" for row in fake.catalogue[:5]]
    assert {path.stat().st_size for path in folder.iterdir()} == {24_044}


async def sync_generator(tracks: list[Track]) -> Any:
    return (track for track in tracks)


async def async_generator(tracks: list[Track]) -> Any:
    async def generate() -> AsyncIterator[Track]:
        for each in tracks:
            await asyncio.sleep(0)
            yield each

    return generate()


async def as_list(tracks: list[Track]) -> Any:
    return tracks


async def as_track_list(tracks: list[Track]) -> Any:
    return TrackList(tracks)


@pytest.mark.parametrize("make", [as_list, as_track_list, sync_generator, async_generator])
async def test_any_iterable_is_downloaded_after_the_session_is_closed(
    fake: FakeJogg, jogg: JoggSession, folder: Path, make: Callable[[list[Track]], Any]
) -> None:
    tracks = [track async for track in jogg.tracks(limit=12)]
    await jogg.aclose()
    assert (await jogg_async.download(await make(tracks), str(folder))).downloaded == 12
    assert len(music(fake)) == 12


async def test_a_second_run_requests_only_what_is_missing(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    await jogg_async.download(jogg.tracks(limit=5), folder)
    renamed = [Track(each.id, "Another title", each.music_url) for each in await jogg.tracks(limit=7).collect()]
    next(folder.glob("3 *")).unlink()
    fake.clear()
    report = await jogg_async.download(renamed, folder)
    assert (report.downloaded, report.skipped) == (3, 4)
    assert sorted(music(fake)) == ["/music/3.wav", "/music/6.wav", "/music/7.wav"]


async def test_an_empty_file_counts_as_missing(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile()
    folder.mkdir()
    (folder / "1 One.mp3").touch()
    assert (await fetch(track(server))).downloaded == 1
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


async def test_a_folder_with_the_name_of_a_file_counts_as_missing(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    server.paths["/1.mp3"] = AudioFile()
    (folder / "1 Old title.mp3" / "inside").mkdir(parents=True)
    assert (await fetch(track(server))).downloaded == 1
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


async def test_two_tracks_with_one_id_are_downloaded_once(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile()
    report = await fetch(track(server), track(server, title="Two"))
    assert (report.downloaded, report.skipped, names(folder)) == (1, 0, ["1 One.mp3"])


async def test_no_tracks_make_an_empty_folder(fetch: Fetch, folder: Path) -> None:
    assert (await fetch()).to_dict() == {"downloaded": 0, "skipped": 0, "failed": [], "bytes": 0}
    assert names(folder) == []


# Failures of single files


async def test_a_failed_file_does_not_stop_the_rest(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/2.mp3"] = server.paths["/4.mp3"] = AudioFile()
    missing, silent, *good = track(server, 1), Track(3, "Three"), track(server, 2), track(server, 4)
    report = await fetch(missing, good[0], silent, good[1])
    assert report.downloaded == 2
    assert set(report.failed) == {(missing, "HTTP 404"), (silent, "the track has no music_url")}
    assert names(folder) == ["2 One.mp3", "4 One.mp3"]
    assert json.loads(json.dumps(report.to_dict()))["failed"][0].keys() == {"track", "reason"}


async def test_transient_failures_are_retried(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    tracks = await jogg.tracks(limit=3).collect()
    fake.fail(503, path="/music/1.wav", times=2)
    fake.fail(404, path="/music/2.wav", times=2)
    fake.fail(Fault.truncate(), path="/music/3.wav")
    report = await jogg_async.download(tracks, folder, retry=AT_ONCE)
    assert [(track.id, reason) for track, reason in report.failed] == [(2, "HTTP 404")]
    assert music(fake).count("/music/1.wav") == 3
    assert music(fake).count("/music/2.wav") == 1
    assert report.bytes == 2 * 24_044


async def test_a_file_fails_after_the_last_attempt(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    fake.fail(500, path="/music/1.wav", times=None)
    report = await jogg_async.download(jogg.tracks(limit=1), folder, retry=AT_ONCE)
    assert [reason for _, reason in report.failed] == ["HTTP 500"]
    assert len(music(fake)) == AT_ONCE.attempts


async def test_the_timeout_of_the_retry_policy_limits_the_sum_of_the_waits(
    fake: FakeJogg, jogg: JoggSession, folder: Path
) -> None:
    fake.fail(500, path="/music/1.wav", times=None)
    policy = RetryPolicy(attempts=None, timeout=0.05, wait_initial=0.02, wait_max=0.02, wait_jitter=0.0)
    report = await jogg_async.download(jogg.tracks(limit=1), folder, retry=policy)
    assert len(report.failed) == 1
    assert len(music(fake)) == 3


async def test_wait_named_by_the_server_is_respected(
    fake: FakeJogg, jogg: JoggSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def no_wait(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    tracks = await jogg.tracks(limit=1).collect()
    fake.fail(Fault.raw(b"", status=429, headers={"Retry-After": "7"}), path="/music/1.wav")
    monkeypatch.setattr("jogg_async._download.transfer.asyncio.sleep", no_wait)
    assert (await jogg_async.download(tracks, folder, retry=AT_ONCE)).downloaded == 1
    assert 7 in waits


async def test_a_server_that_stalls_times_out(server: AudioServer, fetch: Fetch) -> None:
    server.paths["/1.mp3"] = AudioFile(hangs_after=1000)
    report = await fetch(track(server), timeout=0.1, retry=IMPATIENT)
    assert [reason for _, reason in report.failed] == ["timed out: nothing came for 0.1 s"]
    assert report.bytes == 1000


async def test_an_empty_file_is_a_failure(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile(b"")
    report = await fetch(track(server))
    assert [reason for _, reason in report.failed] == ["the file is empty"]
    assert "1 One.mp3" not in names(folder)


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Type": "text/html"}])
async def test_a_response_that_is_no_audio_is_not_stored(
    server: AudioServer, fetch: Fetch, folder: Path, headers: dict[str, str]
) -> None:
    server.paths["/1.mp3"] = AudioFile(headers=headers)
    assert len((await fetch(track(server))).failed) == 1
    assert names(folder) == []


# Limits


async def test_a_file_over_the_limit_is_not_read(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile()
    report = await fetch(track(server), max_bytes=len(CONTENT) - 1)
    assert [reason for _, reason in report.failed] == [f"larger than max_bytes ({len(CONTENT) - 1:,} bytes)"]
    assert (report.bytes, names(folder)) == (0, [])
    assert (await fetch(track(server), max_bytes=len(CONTENT))).downloaded == 1


async def test_a_file_of_unknown_length_ends_at_the_limit(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile(is_chunked=True)
    report = await fetch(track(server), max_bytes=100_000)
    assert [reason for _, reason in report.failed] == ["larger than max_bytes (100,000 bytes)"]
    assert 100_000 < report.bytes < len(CONTENT) + 1
    assert names(folder) == []
    assert (await fetch(track(server))).downloaded == 1
    assert (folder / "1 One.mp3").read_bytes() == CONTENT


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_files_beyond_max_total_bytes_fail(server: AudioServer, fetch: Fetch, is_chunked: bool) -> None:
    size = len(CONTENT)
    for number in range(1, 5):
        server.paths[f"/{number}.mp3"] = AudioFile(is_chunked=is_chunked)
    tracks = [track(server, number) for number in range(1, 5)]
    report = await fetch(*tracks, max_total_bytes=2 * size + 10, concurrency=1)
    reason = f"max_total_bytes ({2 * size + 10:,} bytes) would be exceeded"
    assert (report.downloaded, {each for _, each in report.failed}) == (2, {reason})
    assert report.bytes <= 3 * size


@pytest.mark.parametrize(("sizes", "limit", "downloaded"), [((3, 1), 4, 2), ((3, 3), 5, 1), ((3, 3), 6, 2)])
async def test_max_total_bytes_is_exact(
    server: AudioServer, fetch: Fetch, sizes: tuple[int, int], limit: int, downloaded: int
) -> None:
    server.paths = {f"/{number}.mp3": AudioFile(b"x" * size) for number, size in enumerate(sizes, 1)}
    report = await fetch(track(server, 1), track(server, 2), max_total_bytes=limit, concurrency=1)
    assert (report.downloaded, report.bytes) == (downloaded, sum(sizes[:downloaded]))


async def test_only_the_rest_of_a_resumed_file_counts_towards_max_total_bytes(
    server: AudioServer, fetch: Fetch
) -> None:
    server.paths["/1.mp3"] = AudioFile(cuts=[1000])
    assert len((await fetch(track(server), retry=IMPATIENT)).failed) == 1
    assert (await fetch(track(server), max_total_bytes=len(CONTENT) - 1000)).downloaded == 1


async def test_failed_download_counts_only_received_bytes_towards_max_total_bytes(
    server: AudioServer, fetch: Fetch
) -> None:
    server.paths["/1.mp3"] = AudioFile(cuts=[1000])
    server.paths["/2.mp3"] = AudioFile()
    report = await fetch(
        track(server, 1), track(server, 2), max_total_bytes=len(CONTENT) + 1000, concurrency=1, retry=IMPATIENT
    )
    assert (report.downloaded, len(report.failed), report.bytes) == (1, 1, len(CONTENT) + 1000)


async def test_no_more_files_than_the_concurrency_are_requested_at_once(
    make_fake: MakeFake, make_session: MakeSession, folder: Path
) -> None:
    fake = await make_fake(20, latency=0.02)
    tracks = await make_session(fake).tracks().collect()
    fake.clear()
    assert (await jogg_async.download(tracks, folder, concurrency=3)).downloaded == 20
    assert fake.max_in_flight == 3


# Failures of the whole call


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"concurrency": 0}, "concurrency must be"),
        ({"concurrency": True}, "concurrency must be"),
        ({"max_bytes": 0}, "max_bytes must be"),
        ({"max_total_bytes": 1.5}, "max_total_bytes must be"),
        ({"timeout": 0}, "timeout must be"),
        ({"retry": 3}, "retry must be"),
        ({"base_url": "http://host"}, "base_url is plain http"),
    ],
)
async def test_a_bad_argument_fails_before_any_request(
    server: AudioServer, fetch: Fetch, folder: Path, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await fetch(track(server), **settings)
    assert not server.requests
    assert not folder.exists()


@pytest.mark.parametrize("folder", ["", b"music"])
async def test_folder_that_is_empty_or_bytes_fails_before_any_request(
    server: AudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"folder must be a path or an address, not {folder!r}"):
        await jogg_async.download([track(server)], folder, base_url=server.url)
    assert (server.requests, names(tmp_path)) == ([], [])


@pytest.mark.parametrize("tracks", [None, 7, Track(1), ["http://host/a.mp3"], "abc"])
async def test_something_else_than_tracks_is_refused(folder: Path, tracks: Any) -> None:
    with pytest.raises(ValueError, match="tracks must"):
        await jogg_async.download(tracks, folder)


async def test_a_folder_without_a_parent_is_an_error(server: AudioServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await jogg_async.download([track(server)], tmp_path / "missing" / "music")
    assert str(caught.value) == f"the folder {tmp_path / 'missing'} does not exist; create it first."
    assert not server.requests


async def test_existing_file_at_the_path_of_the_folder_is_an_error(server: AudioServer, tmp_path: Path) -> None:
    (tmp_path / "music").touch()
    with pytest.raises(FileExistsError, match="music"):
        await jogg_async.download([track(server)], tmp_path / "music")
    assert not server.requests


async def test_a_full_disk_ends_the_download_and_keeps_complete_files(
    server: AudioServer, fetch: Fetch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PartFile.write

    def full(part: PartFile, data: bytes) -> None:
        if "/2." in str(part.path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(part, data)

    monkeypatch.setattr(PartFile, "write", full)
    for number in range(1, 100):
        server.paths[f"/{number}.mp3"] = AudioFile()
    with pytest.raises(OSError, match=r"No space left on device: '.*music'"):
        await fetch(*(track(server, number) for number in range(1, 100)), concurrency=1)
    assert len(server.requests) <= 3
    assert "1 One.mp3" in names(folder)


async def test_an_error_of_the_pager_is_raised(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    fake.fail(Fault.business(18020), page=2)
    with pytest.raises(JoggError) as failed:
        await jogg_async.download(jogg.tracks(page_size=5), folder)
    assert failed.value.page == 2


def broken_iterable(server: AudioServer) -> Iterator[Track]:
    yield track(server)
    raise LookupError("from the caller")


async def test_an_error_of_the_iterable_ends_the_download(server: AudioServer, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile(hangs_after=1000)
    with pytest.raises(LookupError, match="from the caller"):
        await jogg_async.download(broken_iterable(server), folder, base_url=server.url)


async def test_cancellation_keeps_the_partial_files(server: AudioServer, fetch: Fetch, folder: Path) -> None:
    server.paths["/1.mp3"] = AudioFile(hangs_after=1000)
    running = asyncio.ensure_future(fetch(track(server)))
    await until(lambda: (folder / "1.part").exists() and (folder / "1.part").stat().st_size == 1000)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert names(folder) == ["1.part", "1.part.json"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (files and servers tell nobody)
            await asyncio.sleep(0.005)
