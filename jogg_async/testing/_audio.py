"""WAV files behind each `music_url` of the fake: a short melody, synthesised from the track's id."""

from __future__ import annotations

import math
import random
import struct
from array import array
from functools import lru_cache
from sys import byteorder
from typing import Final

__all__ = ["SAMPLE_RATE", "wav_file"]

SAMPLE_RATE: Final = 8000
"""Samples per second, 16 bits each, one channel: small files that every player takes."""

_NOTES: Final = 6
_SAMPLES_PER_NOTE: Final = SAMPLE_RATE // 4
# Two octaves of A minor pentatonic: any order of these notes sounds well.
_PITCHES: Final = tuple(220.0 * 2 ** (step / 12) for step in (0, 3, 5, 7, 10, 12, 15, 17, 19, 22))


@lru_cache(maxsize=len(_PITCHES))
def _note(pitch: int) -> bytes:
    """Return a quarter of a second of one pitch, faded in and out so that it does not click."""
    radians = 2 * math.pi * _PITCHES[pitch] / SAMPLE_RATE
    samples = array(
        "h",
        (
            int(9000 * math.sin(radians * i) * min(1.0, i / 80) * (1 - i / _SAMPLES_PER_NOTE))
            for i in range(_SAMPLES_PER_NOTE)
        ),
    )
    if byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def _header(size: int) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


@lru_cache(maxsize=64)
def wav_file(track_id: int) -> bytes:
    """Return a WAV file of 1.5 seconds (24,044 bytes), always the same for the same id."""
    draw = random.Random(track_id).random  # noqa: S311 (no secret)
    samples = b"".join(_note(int(draw() * len(_PITCHES))) for _ in range(_NOTES))
    return _header(len(samples)) + samples
