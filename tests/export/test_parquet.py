"""Parquet files of more than one row group."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from typing import Any

import pytest

from jogg_async import Track

pq: Any = pytest.importorskip("pyarrow.parquet")

BATCH = 5000


def test_row_groups_hold_whole_batches_of_at_least_32768_rows() -> None:
    encoder = import_module("jogg_async._export.parquet").encoder("parquet", "")
    tracks = [Track(number, f"Title {number}") for number in range(80_000)]
    file = io.BytesIO()
    encoder.write((encoder.encode(tracks[first : first + BATCH]) for first in range(0, len(tracks), BATCH)), file)
    found = pq.ParquetFile(file)
    groups = [found.metadata.row_group(number) for number in range(found.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [35_000, 35_000, 10_000]
    assert {group.column(0).compression for group in groups} == {"ZSTD"}
    assert found.read().column("id").to_pylist() == list(range(80_000))


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_render.arrow", "_export.parquet"):
        monkeypatch.delitem(sys.modules, f"jogg_async.{name}", raising=False)
    monkeypatch.delattr(import_module("jogg_async._render"), "arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"Parquet needs pyarrow: pip install 'jogg-async\[arrow\]'"):
        import_module("jogg_async._export.parquet")
