from __future__ import annotations

import io
import wave
from array import array
from typing import TYPE_CHECKING

import pytest

from jogg_async.testing import FakeJogg
from jogg_async.testing._audio import SAMPLE_RATE, wav_file

if TYPE_CHECKING:
    from .conftest import Fetch


def test_generated_audio_is_a_valid_wav_file() -> None:
    with wave.open(io.BytesIO(wav_file(7))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        seconds = file.getnframes() / file.getframerate()
        frames = array("h", file.readframes(file.getnframes()))
    assert 1.0 <= seconds <= 2.0
    assert len(frames) == seconds * SAMPLE_RATE
    assert 5000 < max(frames) < 32767


def test_generated_audio_depends_only_on_the_track_id() -> None:
    files = [wav_file(track_id) for track_id in range(1, 21)]
    assert len(set(files)) == 20
    wav_file.cache_clear()
    assert [wav_file(track_id) for track_id in range(1, 21)] == files


async def test_music_url_serves_audio_without_a_key(fetch: Fetch) -> None:
    async with FakeJogg(3) as fake:
        row = (await fetch(fake)).json["data"]["music"][1]
        assert row["music_url"] == f"{fake.url}/music/2.wav" == fake.catalogue[1]["music_url"]
        response = await fetch(fake, "/music/2.wav", key=None)
    assert response.status == 200
    assert response.headers["Content-Type"] == "audio/wav"
    assert response.body == wav_file(2)
    assert int(response.headers["Content-Length"]) == len(response.body)


async def test_head_request_for_audio_returns_its_length(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, "/music/2.wav", method="HEAD")
        assert (response.status, response.headers["Content-Length"], response.body) == (200, "24044", b"")


@pytest.mark.parametrize(
    ("range_header", "start", "stop"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=24000-", 24000, 24044),
        ("bytes=-44", 24000, 24044),
        ("bytes=-99999", 0, 24044),
        ("bytes=9-99999", 9, 24044),
    ],
)
async def test_range_request_returns_that_part_of_the_audio(
    fetch: Fetch, range_header: str, start: int, stop: int
) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, "/music/2.wav", headers={"Range": range_header})
    assert response.status == 206
    assert response.body == wav_file(2)[start:stop]
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/24044"


@pytest.mark.parametrize("range_header", ["bytes=24044-", "bytes=5-4", "bytes=-0"])
async def test_unsatisfiable_range_gets_http_416(fetch: Fetch, range_header: str) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, "/music/2.wav", headers={"Range": range_header})
    assert (response.status, response.body) == (416, b"")
    assert response.headers["Content-Range"] == "bytes */24044"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Type"] == "audio/wav"


@pytest.mark.parametrize("range_header", ["bytes=-", "bytes=1-2,4-5", "seconds=1-2"])
async def test_unsupported_range_headers_are_ignored(fetch: Fetch, range_header: str) -> None:
    async with FakeJogg() as fake:
        assert (await fetch(fake, "/music/2.wav", headers={"Range": range_header})).status == 200


@pytest.mark.parametrize(("validator", "status"), [('"2"', 206), ('"3"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)])
async def test_a_range_of_another_version_gets_the_whole_file(fetch: Fetch, validator: str, status: int) -> None:
    async with FakeJogg() as fake:
        response = await fetch(fake, "/music/2.wav", headers={"Range": "bytes=9-", "If-Range": validator})
    assert response.status == status
    assert response.body == wav_file(2)[9 if status == 206 else 0 :]
    assert response.headers["ETag"] == '"2"'
