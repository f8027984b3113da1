from __future__ import annotations

import csv
import io
import json

import pytest

from jogg_async import Track
from jogg_async._render.records import COLUMNS, csv_lines, json_lines, minutes, row
from jogg_async.models import Fields

PLAIN = Track(1, "a", "https://host/1.mp3", 61)
ODD = Track(2**63 - 1, 'a,"b"\r\nc\rd', None, None, Fields({"größe": "ß", "tags": [None]}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0:00"),
        (9, "0:09"),
        (60, "1:00"),
        (187, "3:07"),
        (6000, "100:00"),
        (-1, "-0:01"),
        (-61, "-1:01"),
    ],
)
def test_durations_are_written_as_minutes_and_seconds(seconds: int | None, text: str) -> None:
    assert minutes(seconds) == text


def test_json_has_unknown_fields_beside_the_known_ones() -> None:
    lines = json_lines([PLAIN, ODD]).decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [PLAIN.to_dict(), ODD.to_dict()]
    assert json.loads(lines[0]).keys() == {"id", "name", "music_url", "duration"}
    assert json.loads(lines[1])["größe"] == "ß"


def test_empty_extra_is_null_in_rows() -> None:
    assert row(PLAIN) == (1, "a", "https://host/1.mp3", 61, None)
    assert row(ODD)[-1] == '{"größe":"ß","tags":[null]}'


def test_csv_round_trips_and_leaves_null_empty() -> None:
    written = csv_lines([COLUMNS, row(PLAIN), row(ODD)]).decode()
    header, plain, odd = csv.reader(io.StringIO(written, newline=""))
    assert header == list(COLUMNS)
    assert plain == ["1", "a", "https://host/1.mp3", "61", ""]
    assert odd == [str(ODD.id), ODD.name, "", "", '{"größe":"ß","tags":[null]}']
