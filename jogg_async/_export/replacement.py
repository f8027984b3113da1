"""Replace a file by a new one in one step: a temporary name, fsync, rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".partial.tmp"
_SQLITE_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")

LONGEST_SUFFIX: Final = _SUFFIX + max(_SQLITE_SUFFIXES, key=len)
"""Longest suffix of a file beside a destination. Those of its journal, such as ``.partial-wal``, are shorter."""


@contextmanager
def replacement(path: Path) -> Generator[Path]:
    """Yield a temporary path; the file written there replaces the one at `path` when the block ends.

    If the block fails or the process is killed, `path` is unchanged. If `path` is a symbolic link, its target is
    replaced. The mode of an existing file is kept.
    """
    target = path.resolve()
    temporary = target.with_name(f"{target.name}{_SUFFIX}")
    _delete(temporary)  # left by a process that was killed
    try:
        yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        _sync(temporary, os.O_RDWR)
        temporary.replace(target)
    except BaseException:
        _delete(temporary)
        raise
    if os.name != "nt":  # Windows cannot open a folder
        _sync(target.parent, os.O_RDONLY)


def _delete(path: Path) -> None:
    """Delete a file, and the files that SQLite may have created beside it."""
    for suffix in _SQLITE_SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
