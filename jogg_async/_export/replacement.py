"""Replace a file by a new one in one step: a temporary name, fsync, rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacement(path: Path) -> Generator[Path]:
    """Yield a path that does not exist; the file written there takes the place of `path` at the end.

    After an error, or a kill, `path` is as it was. A link is followed; an existing file's mode is kept.
    """
    target = path.resolve()
    temporary = target.with_name(f"{target.name}.partial.tmp")
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
    if os.name != "nt":  # Windows opens no folders
        _sync(target.parent, os.O_RDONLY)


def _delete(path: Path) -> None:
    """Delete a file, and those that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
