"""JSON lines and CSV, plain or compressed. The bytes of the file do not depend on the sizes of the batches."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, BinaryIO, Final

import attrs

from jogg_async._render import records
from jogg_async.models import Track

_CHUNK_SIZE: Final = 1 << 20
"""Bytes passed to a compressor at once. They are always the same, since the compressed bytes may depend on them."""

_GZIP_LEVEL: Final = 6
"""Default level of the program ``gzip``. Level 9, the default of Python's module, takes three times as long."""


@attrs.frozen
class TextEncoder:
    """Encoder of JSON lines or CSV.

    Attributes:
        name: ``jsonl`` or ``csv``.
        compression: ``gz``, ``zst`` or an empty string.
    """

    name: str
    compression: str

    def encode(self, tracks: Sequence[Track]) -> bytes:
        """Return the lines of the tracks, without a header."""
        if self.name == "jsonl":
            return records.json_lines(tracks)
        return records.csv_lines(map(records.row, tracks))

    def write(self, batches: Iterable[bytes], file: BinaryIO) -> None:
        """Write the header, if the format has one, and the lines."""
        header = records.csv_lines([records.COLUMNS]) if self.name == "csv" else b""
        with _compressed(file, self.compression) as stream:
            for chunk in _chunks(header, batches):
                stream.write(chunk)


def encoder(name: str, compression: str) -> TextEncoder:
    """Return the encoder of a text format.

    Raises:
        ImportError: the compression needs an extra that is not installed.
    """
    if compression == "zst":
        _zstd()
    return TextEncoder(name, compression)


def _chunks(header: bytes, batches: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    buffer = bytearray(header)
    for batch in batches:
        buffer += batch
        while len(buffer) >= _CHUNK_SIZE:
            yield bytes(memoryview(buffer)[:_CHUNK_SIZE])
            del buffer[:_CHUNK_SIZE]
    yield bytes(buffer)


def _compressed(file: BinaryIO, compression: str) -> AbstractContextManager[Any]:
    if compression == "gz":
        # Without a name and a time in the header, so that the same tracks give the same bytes.
        return gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0)
    if compression == "zst":
        stream: AbstractContextManager[Any] = _zstd().ZstdFile(file, mode="wb")
        return stream
    return nullcontext(file)


def _zstd() -> Any:
    """Return the module for zstd: Python's own since 3.14, else its backport."""
    try:
        return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as fault:
        raise ImportError(
            "Compression with zstd needs Python 3.14 or an extra: pip install 'jogg-async[zstd]'."
        ) from fault
