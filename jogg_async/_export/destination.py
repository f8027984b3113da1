"""Destinations of a save: a local file, a mirror, or an address that fsspec knows."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import attrs

from jogg_async.errors import ArgumentError
from jogg_async.models import Track

from . import mirror
from .filesystems import Upload, check_parent, checked_address, filesystem_at, local_path, require_fsspec
from .formats import SQLITE, Encoder, Format, format_of
from .mirror import Changes, FinishedCrawl
from .replacement import LONGEST_SUFFIX, replacement

_PASSWORD: Final = re.compile(r"(://[^/@:]*):[^/]*(?=@)")
"""Password in an address, and what stands before it."""


class Destination(Protocol):
    """Destination of a save.

    Attributes:
        format: its format.
        journal: path of its journal.
        public_address: its address without a password; `None` for a local file.
    """

    @property
    def format(self) -> Format: ...
    @property
    def journal(self) -> Path: ...
    @property
    def public_address(self) -> str | None: ...

    def check(self) -> None:
        """Check, before the crawl, for reasons why the destination cannot be written.

        Raises:
            OSError: there is one, such as a missing folder.
            ImportError: an extra is missing.
        """
        ...

    def encode(self, tracks: Sequence[Track]) -> bytes:
        """Return a batch of tracks for the journal."""
        ...

    def write(self, crawl: FinishedCrawl) -> Changes:
        """Replace or update the destination in one step: after an error it is as before. Return a mirror's changes."""
        ...


@attrs.frozen
class LocalFile:
    """File on this machine."""

    path: Path
    format: Format
    encoder: Encoder

    @property
    def journal(self) -> Path:
        return journal_of(self.path)

    @property
    def public_address(self) -> None:
        return None

    def encode(self, tracks: Sequence[Track]) -> bytes:
        return self.encoder.encode(tracks)

    def check(self) -> None:
        """Check that the folder exists, and that the path is free or a file."""
        check_path(self.path)

    def write(self, crawl: FinishedCrawl) -> Changes:
        """Write the file."""
        with replacement(self.path) as temporary, temporary.open("xb") as file:
            self.encoder.write(crawl.batches, file)
        return Changes()


@attrs.frozen
class Mirror:
    """SQLite database of tracks that each crawl updates."""

    path: Path
    format: Format

    @property
    def journal(self) -> Path:
        return journal_of(self.path)

    @property
    def public_address(self) -> None:
        return None

    def encode(self, tracks: Sequence[Track]) -> bytes:
        return mirror.encode(tracks)

    def check(self) -> None:
        """Check that the folder exists, and that the path is free or a mirror."""
        check_path(self.path)
        if self._exists():
            mirror.check(self.path)

    def write(self, crawl: FinishedCrawl) -> Changes:
        """Create the mirror, or update it."""
        if self._exists():
            return mirror.sync(self.path, crawl)
        with replacement(self.path) as temporary:
            changes = mirror.build(temporary, crawl)
            for suffix in ("-wal", "-shm"):  # of a mirror that was deleted: SQLite would apply them to this one
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        return changes

    def _exists(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0


@attrs.frozen
class RemoteFile:
    """File under an address that fsspec knows (extra ``fsspec``), such as ``s3://bucket/tracks.parquet``."""

    address: str
    format: Format
    encoder: Encoder

    @property
    def journal(self) -> Path:
        return journal_of(Path(_last_segment(self.address)))

    @property
    def public_address(self) -> str:
        return _PASSWORD.sub(r"\1", self.address)

    def encode(self, tracks: Sequence[Track]) -> bytes:
        return self.encoder.encode(tracks)

    def check(self) -> None:
        """Check that fsspec knows the address and can write there."""
        filesystem_at(self.address)

    def write(self, crawl: FinishedCrawl) -> Changes:
        """Upload the file. It becomes visible at its address once it is complete."""
        with Upload(self.address) as file:
            self.encoder.write(crawl.batches, cast("BinaryIO", file))
        return Changes()


def destination(dest: str | os.PathLike[str], wanted: str | None) -> Destination:
    """Return the destination at a path or an address.

    Args:
        dest: path, or address with ``://``.
        wanted: format that the caller gave; `None` to use the suffix of `dest`.

    Raises:
        ArgumentError: the format is unknown, or does not suit the address.
        ImportError: the format or the address needs an extra that is not installed.
    """
    address = checked_address("dest", dest)
    path = local_path(address)
    found = format_of(_last_segment(address) if path is None else path.name, wanted)
    if found.name == SQLITE:
        if path is None:
            raise ArgumentError(f"an SQLite database must be a local file, not {address!r}.")
        return Mirror(path.absolute(), found)
    if path is not None:
        return LocalFile(path.absolute(), found, found.encoder())
    require_fsspec()
    return RemoteFile(address, found, found.encoder())


def journal_of(path: Path) -> Path:
    """Return the path of a destination's journal."""
    return path.with_name(f"{path.name}.partial")


def check_path(path: Path) -> None:
    """Check that the folder of a file exists, that the path is free or a file, and that its name is not too long.

    Raises:
        OSError: one of them is not so.
    """
    check_parent(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it.")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is no regular file.")
    for each in (path, path.resolve()):
        with contextlib.suppress(FileNotFoundError):
            each.with_name(f"{each.name}{LONGEST_SUFFIX}").lstat()  # raises an error if the system has no such names


def _last_segment(address: str) -> str:
    return address.rstrip("/").rpartition("/")[2]
