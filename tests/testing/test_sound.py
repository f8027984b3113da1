from __future__ import annotations

import io
import wave
from array import array
from typing import TYPE_CHECKING

import pytest

from jogg_async.testing import FakeJogg
from jogg_async.testing.sound import SAMPLE_RATE, melody

if TYPE_CHECKING:
    from .conftest import Asker


def test_a_melody_is_a_wav_file_that_plays() -> None:
    with wave.open(io.BytesIO(melody(7))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        seconds = file.getnframes() / file.getframerate()
        frames = array("h", file.readframes(file.getnframes()))
    assert 1.0 <= seconds <= 2.0
    assert len(frames) == seconds * SAMPLE_RATE
    assert 5000 < max(frames) < 32767


def test_melodies_depend_on_the_id_alone() -> None:
    tunes = [melody(track_id) for track_id in range(1, 21)]
    assert len(set(tunes)) == 20
    melody.cache_clear()
    assert [melody(track_id) for track_id in range(1, 21)] == tunes


async def test_a_music_url_plays_without_a_key(ask: Asker) -> None:
    async with FakeJogg(3) as fake:
        row = (await ask(fake)).json["data"]["music"][1]
        assert row["music_url"] == f"{fake.url}/music/2.wav" == fake.catalogue[1]["music_url"]
        reply = await ask(fake, "/music/2.wav", key=None)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "audio/wav"
    assert reply.body == melody(2)
    assert int(reply.headers["Content-Length"]) == len(reply.body)


async def test_a_head_tells_the_length(ask: Asker) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, "/music/2.wav", method="HEAD")
        assert (reply.status, reply.headers["Content-Length"], reply.body) == (200, "24044", b"")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-3", 0, 4), ("bytes=24000-", 24000, 24044), ("bytes=-44", 24000, 24044), ("bytes=9-99999", 9, 24044)],
)
async def test_a_range_is_cut_out(ask: Asker, asked: str, start: int, stop: int) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, "/music/2.wav", headers={"Range": asked})
    assert reply.status == 206
    assert reply.body == melody(2)[start:stop]
    assert reply.headers["Content-Range"] == f"bytes {start}-{stop - 1}/24044"


@pytest.mark.parametrize("asked", ["bytes=24044-", "bytes=5-4", "bytes=-0"])
async def test_a_range_past_the_end_cannot_be_met(ask: Asker, asked: str) -> None:
    async with FakeJogg() as fake:
        reply = await ask(fake, "/music/2.wav", headers={"Range": asked})
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */24044")


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=1-2,4-5", "seconds=1-2"])
async def test_other_ranges_are_ignored(ask: Asker, asked: str) -> None:
    async with FakeJogg() as fake:
        assert (await ask(fake, "/music/2.wav", headers={"Range": asked})).status == 200
