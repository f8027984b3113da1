"""Format of a destination, from its suffix or from the argument `format`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import BinaryIO, Final, Protocol

import attrs

from jogg_async.errors import ArgumentError, argument_error
from jogg_async.models import Track

SQLITE: Final = "sqlite"
_NAMES: Final = {"jsonl": "jsonl", "csv": "csv", "parquet": "parquet", "db": SQLITE, "sqlite": SQLITE}
_TEXT: Final = ("jsonl", "csv")
_COMPRESSIONS: Final = ("gz", "zst")
_KNOWN: Final = ".jsonl, .csv (each also with .gz or .zst), .parquet, .db or .sqlite"


class Encoder(Protocol):
    """Encoder of a file format: encodes batches of tracks for the journal, and writes the file from these batches."""

    def encode(self, tracks: Sequence[Track]) -> bytes:
        """Return a batch of tracks as bytes for the journal."""
        ...

    def write(self, batches: Iterable[bytes], file: BinaryIO) -> None:
        """Write the batches of the journal to a file."""
        ...


@attrs.frozen
class Format:
    """Format of a destination.

    Attributes:
        name: ``jsonl``, ``csv``, ``parquet`` or ``sqlite``.
        compression: ``gz``, ``zst`` or an empty string.
    """

    name: str
    compression: str = ""

    def __str__(self) -> str:
        return f"{self.name}.{self.compression}" if self.compression else self.name

    def encoder(self) -> Encoder:
        """Return the encoder of a file format.

        Raises:
            ImportError: the format needs an extra that is not installed.
        """
        module = import_module(".text" if self.name in _TEXT else f".{self.name}", __package__)
        found: Encoder = module.encoder(self.name, self.compression)
        return found


def format_of(name: str, wanted: str | None) -> Format:
    """Return the format of a destination.

    Args:
        name: last segment of the destination.
        wanted: format that the caller gave, such as ``csv`` or ``csv.gz``; `None` to use the suffix of `name`.

    Raises:
        ArgumentError: the format is unknown.
    """
    found = _parse(name if wanted is None else wanted)
    if found is None and wanted is not None:
        raise argument_error("format", f"must be {_KNOWN.replace('.', '')}, not {wanted!r:.80}.")
    if found is None:
        raise ArgumentError(f"the suffix of {name!r} is no known format; use {_KNOWN}, or give the format.")
    _, _, suffix = name.lower().rpartition(".")
    if wanted is not None and not found.compression and found.name in _TEXT and suffix in _COMPRESSIONS:
        return attrs.evolve(found, compression=suffix)
    return found


def _parse(name: str) -> Format | None:
    stem, _, suffix = name.lower().rpartition(".")
    compression = suffix if suffix in _COMPRESSIONS else ""
    if compression:
        stem, _, suffix = stem.rpartition(".")
    found = _NAMES.get(suffix)
    if found is None or (compression and found not in _TEXT):
        return None
    return Format(found, compression)
