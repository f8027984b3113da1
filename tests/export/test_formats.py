"""Format of a destination: from its suffix, or from the argument `format`."""

from __future__ import annotations

import pytest

from jogg_async._export.formats import format_of


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("tracks.csv", None, "csv"),
        ("Tracks.CSV.GZ", None, "csv.gz"),
        ("tracks.jsonl.zst", None, "jsonl.zst"),
        ("tracks.parquet", None, "parquet"),
        ("tracks.db", None, "sqlite"),
        ("tracks", "csv", "csv"),
        ("tracks", ".JSONL", "jsonl"),
        ("tracks.txt", "csv", "csv"),
        ("tracks.csv", "jsonl", "jsonl"),
        ("tracks", "csv.gz", "csv.gz"),
        # The suffix of the name compresses, too, unless the format says otherwise or cannot be compressed.
        ("tracks.gz", "csv", "csv.gz"),
        ("tracks.GZ", "csv", "csv.gz"),
        ("tracks.zst", "csv.gz", "csv.gz"),
        ("tracks.gz", "parquet", "parquet"),
        ("tracks.gz", "sqlite", "sqlite"),
    ],
)
def test_format_follows_the_suffix_or_the_argument(name: str, wanted: str | None, expected: str) -> None:
    assert str(format_of(name, wanted)) == expected


@pytest.mark.parametrize("name", ["tracks", "tracks.txt", "tracks.gz", "tracks.parquet.gz"])
def test_unknown_suffix_is_an_error_that_names_the_formats(name: str) -> None:
    with pytest.raises(ValueError, match=rf"suffix of '{name}' is no known format; use .*\.parquet"):
        format_of(name, None)


@pytest.mark.parametrize("wanted", ["", "txt", "gz", "parquet.gz"])
def test_unknown_format_is_an_error_that_names_the_formats(wanted: str) -> None:
    with pytest.raises(ValueError, match=f"format must be .*parquet.*, not '{wanted}'"):
        format_of("tracks.csv", wanted)
