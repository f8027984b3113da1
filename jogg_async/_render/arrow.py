"""Tracks as an Arrow table, through pyarrow (extra ``arrow``)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jogg_async._render.records import extra_json
from jogg_async.models import Track

try:
    pa: Any = import_module("pyarrow")  # ships no types
except ImportError as fault:
    raise ImportError("Reading tracks as Arrow needs pyarrow: pip install 'jogg-async[arrow]'.") from fault


def schema() -> Any:
    return pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            ("name", pa.string()),
            ("music_url", pa.string()),
            ("duration", pa.int64()),
            ("extra", pa.string()),
        ]
    )


def table(tracks: Sequence[Track]) -> Any:
    columns = {
        "id": [track.id for track in tracks],
        "name": [track.name for track in tracks],
        "music_url": [track.music_url for track in tracks],
        "duration": [track.duration for track in tracks],
        "extra": [extra_json(track) for track in tracks],
    }
    return pa.table(columns, schema=schema())


def stream(tracks: Sequence[Track]) -> bytes:
    """Return tracks in Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema()) as writer:
        writer.write_table(table(tracks))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_stream(data: bytes) -> Any:
    """Return the table in a stream that `stream` made."""
    return pa.ipc.open_stream(data).read_all()


def joined(tables: Sequence[Any]) -> Any:
    """Return one table with the rows of these tables, with one chunk per column."""
    return pa.concat_tables(tables).combine_chunks()
