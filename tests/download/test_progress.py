from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jogg_async
from jogg_async import DownloadProgress, Track

from .conftest import Fetch
from .server import AudioFile, AudioServer
from .test_download import as_list, as_track_list, async_generator, sync_generator, track

if TYPE_CHECKING:
    from jogg_async import JoggSession
    from jogg_async.testing import FakeJogg


async def test_progress_counts_every_track(fake: FakeJogg, jogg: JoggSession, folder: Path) -> None:
    await jogg_async.download(jogg.tracks(limit=2), folder)
    fake.fail(404, path="/music/3.wav")
    seen: list[DownloadProgress] = []
    await jogg_async.download(jogg.tracks(limit=5), folder, progress=seen.append)
    assert seen[-1] == DownloadProgress(downloaded=2, skipped=2, failed=1, bytes=2 * 24_044, total=5)
    assert seen[-1].done == 5
    assert [each.done for each in seen] == sorted(each.done for each in seen)


@pytest.mark.parametrize(
    ("make", "total"), [(as_list, 2), (as_track_list, 2), (sync_generator, None), (async_generator, None)]
)
async def test_total_is_known_only_if_the_tracks_have_a_len(
    folder: Path, make: Callable[[list[Track]], Any], total: int | None
) -> None:
    seen: list[DownloadProgress] = []
    await jogg_async.download(await make([Track(1), Track(2)]), folder, progress=seen.append)
    assert {each.total for each in seen} == {total}


async def test_the_total_of_no_tracks_is_0(folder: Path) -> None:
    seen: list[DownloadProgress] = []
    await jogg_async.download([], folder, progress=seen.append)
    assert seen[-1].total == 0


async def test_an_error_of_the_progress_function_ends_the_download(
    server: AudioServer, fetch: Fetch, folder: Path
) -> None:
    def fail(_: DownloadProgress) -> None:
        raise LookupError("from the caller")

    server.paths["/1.mp3"] = AudioFile(hangs_after=1000)
    with pytest.raises(LookupError, match="from the caller"):
        await fetch(track(server), progress=fail)
