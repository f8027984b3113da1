"""Saves and downloads into buckets of a local S3 server, through s3fs."""

from __future__ import annotations

import io
import socket
from contextlib import closing
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

s3fs: Any = pytest.importorskip("s3fs")
moto: Any = pytest.importorskip("moto.server")
pytest.importorskip("dask.dataframe")

import pandas as pd  # noqa: E402

from jogg_async import JoggSession, download  # noqa: E402
from jogg_async._download import remote_folder  # noqa: E402
from jogg_async._export.filesystems import filesystem_at  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jogg_async.testing import FakeJogg

dask: Any = import_module("jogg_async.dask")  # what Dask returns has hardly any types


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of a running S3 server."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def s3(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the S3 file system with one empty bucket, `bucket`. Journals are in a temporary folder."""
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.chdir(tmp_path)
    s3 = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    for bucket in s3.ls(""):
        s3.rm(bucket, recursive=True)
    s3.mkdir("bucket")
    return s3


def read_jsonl_gz(file: io.BytesIO) -> pd.DataFrame:
    return pd.read_json(file, lines=True, compression="gzip")


@pytest.mark.parametrize("name", ["tracks.parquet", "tracks.jsonl.gz"])
async def test_save_uploads_the_file_to_the_bucket(fake: FakeJogg, s3: Any, name: str) -> None:
    async with JoggSession() as jogg:
        report = await jogg.tracks().save(f"s3://bucket/{name}")
    stored = io.BytesIO(s3.cat(f"bucket/{name}"))
    frame = read_jsonl_gz(stored) if name.endswith(".gz") else pd.read_parquet(stored)
    assert report.tracks == 2500
    assert frame["id"].tolist() == [row["id"] for row in fake.catalogue]


async def test_save_to_a_missing_bucket_can_be_resumed_once_it_exists(fake: FakeJogg, s3: Any) -> None:
    async with JoggSession() as jogg:
        with pytest.raises(FileNotFoundError, match=r"s3://missing/tracks\.csv: .*bucket"):
            await jogg.tracks().save("s3://missing/tracks.csv")
        requests = len(fake.requests)
        s3.mkdir("missing")
        report = await jogg.tracks().save("s3://missing/tracks.csv", resume=True)
    assert (report.tracks, len(fake.requests)) == (2500, requests)
    assert len(s3.cat("missing/tracks.csv").splitlines()) == 2501


@pytest.mark.fake_jogg(tracks=40)
async def test_download_uploads_each_file_once_with_one_client(
    fake: FakeJogg, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Mock(wraps=filesystem_at)
    monkeypatch.setattr(remote_folder, "filesystem_at", opened)
    async with JoggSession() as jogg:
        tracks = await jogg.tracks().collect()
    first = await download(tracks, "s3://bucket/music")
    assert opened.call_count == 1
    second = await download(tracks, "s3://bucket/music")
    assert (first.downloaded, first.failed, second.downloaded, second.skipped) == (40, (), 0, 40)
    assert s3.du("bucket/music") == first.bytes


async def test_download_to_a_missing_bucket_fails_before_any_request_and_creates_none(fake: FakeJogg, s3: Any) -> None:
    async with JoggSession() as jogg:
        with pytest.raises(FileNotFoundError, match=r"s3://missing/music: .*bucket"):
            await download(jogg.tracks(), "s3://missing/music")
    assert fake.requests == []
    assert s3.ls("") == ["bucket"]


@pytest.mark.fake_jogg(tracks=30)
def test_partitions_of_a_data_frame_are_downloaded_to_the_bucket(fake: FakeJogg, s3: Any) -> None:
    report = dask.download(dask.read_tracks(page_size=10, npartitions=3), "s3://bucket/music")
    assert (report.downloaded, report.failed) == (30, ())
    assert len(s3.ls("bucket/music")) == 30


async def test_errors_of_the_s3_client_name_the_address(
    fake: FakeJogg, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
    async with JoggSession() as jogg:
        with pytest.raises(OSError, match=r"s3://bucket/tracks\.csv: EndpointConnectionError: Could not connect"):
            await jogg.tracks().save("s3://bucket/tracks.csv")
        with pytest.raises(OSError, match=r"s3://bucket/music: EndpointConnectionError: Could not connect"):
            await download(jogg.tracks(), "s3://bucket/music")
