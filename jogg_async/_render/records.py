"""Tracks as text: JSON lines, CSV rows, and durations. Used by the command line, notebooks, and data frames.

An empty `Track.extra` is absent from JSON lines and null everywhere else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

import msgspec

from jogg_async.models import Track

COLUMNS: Final = ("id", "name", "music_url", "duration", "extra")
"""The columns of CSV and of data frames, in this order."""

_encoder = msgspec.json.Encoder()


def extra_json(track: Track) -> str | None:
    """Return the unknown fields as a JSON object, or `None` if there are none."""
    return _encoder.encode(track.extra).decode() if track.extra else None


def row(track: Track) -> tuple[int | str | None, ...]:
    """Return one value for each of `COLUMNS`."""
    return (track.id, track.name, track.music_url, track.duration, extra_json(track))


def json_lines(tracks: Iterable[Track]) -> bytes:
    """Return one JSON object per line, in UTF-8."""
    return _encoder.encode_lines([track.to_dict() for track in tracks])


def csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as comma-separated values (RFC 4180), in UTF-8; `None` becomes an empty field."""
    lines = io.StringIO(newline="")
    # The default line end is RFC 4180's. With any other, Python 3.11 leaves a lone "\r" unquoted.
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()


def minutes(seconds: int | None) -> str:
    """Return a duration as m:ss, such as "3:07"; an empty text for `None`."""
    if seconds is None:
        return ""
    whole, rest = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{whole}:{rest:02d}"


def hours(seconds: int) -> str:
    """Return a long duration in words, rounded down, such as "2 h 31 min", "12 min" or "45 s"."""
    if seconds < 60:
        return f"{seconds} s"
    whole, rest = divmod(seconds // 60, 60)
    return f"{whole:,} h {rest} min" if whole else f"{rest} min"
