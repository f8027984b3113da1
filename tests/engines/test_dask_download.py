"""`jogg_async.dask.download`: the audio files of a frame, fetched by threads and by the processes of a real cluster."""

from __future__ import annotations

import os
import signal
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("distributed")
dd: Any = pytest.importorskip("dask.dataframe")

import pandas as pd  # noqa: E402

from jogg_async import RetryPolicy, Track  # noqa: E402
from jogg_async.testing import Fault  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jogg_async.testing import FakeJogg

dask: Any = import_module("jogg_async.dask")  # what Dask returns has hardly any types
SIZE = 24_044


def file_names(rows: Iterable[Any]) -> list[str]:
    return sorted(f"{row['id']} {row['name']}.wav" for row in rows)


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def requested_files(fake: FakeJogg) -> int:
    return sum(request.path.startswith("/music/") for request in fake.requests)


@pytest.mark.fake_jogg(tracks=60)
@pytest.mark.parametrize("address", ["{}", "local://{}"])
def test_a_cluster_downloads_every_file_once(fake: FakeJogg, client: Any, tmp_path: Path, address: str) -> None:
    folder = tmp_path / "music"
    frame = dask.read_tracks(base_url=fake.url, page_size=10, npartitions=3)
    report = dask.download(frame, address.format(folder), base_url=fake.url)
    assert (report.downloaded, report.skipped, report.failed, report.bytes) == (60, 0, (), 60 * SIZE)
    assert sizes(folder) == dict.fromkeys(file_names(fake.catalogue), SIZE)
    again = dask.download(frame, address.format(folder), base_url=fake.url)
    assert (again.downloaded, again.skipped, requested_files(fake)) == (0, 60, 60)


@pytest.mark.fake_jogg(tracks=300)
def test_files_after_a_killed_worker_are_complete(fake: FakeJogg, client: Any, tmp_path: Path) -> None:
    frame = dask.read_tracks(base_url=fake.url, page_size=10, npartitions=6)
    process_ids = list(client.run(os.getpid).values())
    killed = threading.Event()

    def kill(_: Any) -> None:
        if requested_files(fake) > 100 and not killed.is_set():
            killed.set()
            os.kill(process_ids[1], signal.SIGKILL)

    fake.on_request = kill
    dask.download(frame, tmp_path, base_url=fake.url, concurrency=2)
    assert killed.is_set()
    assert sizes(tmp_path) == dict.fromkeys(file_names(fake.catalogue), SIZE)
    assert requested_files(fake) <= 300 + 2 * 2  # those that the worker was fetching in two threads at most


@pytest.mark.fake_jogg(tracks=[{"id": 1, "music_url": None, "bpm": 90}, {"id": 2, "name": "Two"}])
def test_failures_name_the_track_and_the_reason(fake: FakeJogg, tmp_path: Path) -> None:
    frame = dask.read_tracks(base_url=fake.url, page_size=1, npartitions=2)
    report = dask.download(frame, tmp_path, base_url=fake.url)
    reason = "the track has no music_url"
    assert report.failed == ((Track(1, extra={"bpm": 90}), reason), (Track(2, "Two"), reason))


def test_another_frame_needs_only_ids_and_urls(fake: FakeJogg, tmp_path: Path) -> None:
    rows = fake.catalogue[:4]
    columns = {
        "id": [row["id"] for row in rows],
        "music_url": [row["music_url"] for row in rows],
        "beats": [1, 2, 3, 4],
    }
    frame = dd.from_pandas(pd.DataFrame(columns), npartitions=2)
    assert dask.download(frame, tmp_path, base_url=fake.url).downloaded == 4
    assert sorted(sizes(tmp_path)) == sorted(f"{row['id']}.wav" for row in rows)


def test_a_failing_file_is_retried_by_the_policy(fake: FakeJogg, tmp_path: Path) -> None:
    fake.fail(Fault.html(500), path="/music/1.wav", times=None)
    frame = dask.read_tracks(base_url=fake.url, limit=3, page_size=3)
    retry = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)
    report = dask.download(frame, tmp_path, base_url=fake.url, retry=retry)
    assert (report.downloaded, [(track.id, reason) for track, reason in report.failed]) == (2, [(1, "HTTP 500")])
    assert requested_files(fake) == 2 + 3


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"timeout": 0}, "timeout"),
        ({"retry": 3}, "retry"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"folder": "nowhere://music"}, "nowhere"),
        ({"folder": ""}, "folder must be"),
    ],
)
def test_dask_download_rejects_a_bad_argument_before_the_frame_is_computed(
    fake: FakeJogg, tmp_path: Path, bad: dict[str, Any], match: str
) -> None:
    frame = dask.read_tracks(base_url=fake.url, limit=3)
    with pytest.raises(ValueError, match=match):
        dask.download(frame, bad.pop("folder", tmp_path), **bad)
    assert len(fake.requests) == 1  # that of `read_tracks`


def of_ids(fake: FakeJogg, ids: Any) -> Any:
    """Return a frame with one partition whose ids are these."""
    urls = [row["music_url"] for row in fake.catalogue[: len(ids)]]
    return dd.from_pandas(pd.DataFrame({"id": ids, "music_url": urls}), npartitions=1)


@pytest.mark.parametrize("dtype", ["Int64", "float64"])
def test_rows_without_an_id_are_left_out_and_whole_ids_name_the_files(
    fake: FakeJogg, tmp_path: Path, dtype: Any
) -> None:
    report = dask.download(of_ids(fake, pd.Series([1, None, 3], dtype=dtype)), tmp_path)
    assert (report.downloaded, report.failed) == (2, ())
    assert sorted(sizes(tmp_path)) == ["1.wav", "3.wav"]


def test_frame_of_a_left_join_is_downloaded(fake: FakeJogg, tmp_path: Path) -> None:
    tracks = dask.read_tracks(limit=3, page_size=3)
    names = [row["name"] for row in fake.catalogue[:2]]
    wanted = dd.from_pandas(pd.DataFrame({"name": [*names, "unknown"]}), npartitions=1)
    assert dask.download(wanted.merge(tracks, on="name", how="left"), tmp_path).downloaded == 2
    assert sorted(sizes(tmp_path)) == file_names(fake.catalogue[:2])


@pytest.mark.parametrize("wrong", ["one", 7.5, True, float("inf"), 2.0**53], ids=str)
def test_id_that_is_no_whole_number_is_an_error_that_names_the_column(
    fake: FakeJogg, tmp_path: Path, wrong: Any
) -> None:
    with pytest.raises(ValueError, match=f"whole numbers in the column id, not {wrong!r}"):
        dask.download(of_ids(fake, [wrong]), tmp_path)


def test_dask_download_rejects_a_pandas_frame(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tracks must be a Dask data frame .*, not pandas\.DataFrame"):
        dask.download(pd.DataFrame({"id": [1], "music_url": [None]}), tmp_path)


def test_dask_download_rejects_a_frame_without_urls(tmp_path: Path) -> None:
    frame = dd.from_pandas(pd.DataFrame({"id": [1]}), npartitions=1)
    with pytest.raises(ValueError, match="has no music_url"):
        dask.download(frame, tmp_path)
