"""Conversion of SQLite's errors to `OSError`."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sqlite_errors(path: Path, damaged: str, busy: str) -> Generator[None]:
    """Raise errors of SQLite as `OSError`.

    Args:
        path: the database.
        damaged: text of the error if the file is damaged or no database.
        busy: text of the error if another process has locked the database.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _as_os_error(error, path, damaged, busy) from error


def _as_os_error(error: sqlite3.Error, path: Path, damaged: str, busy: str) -> OSError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the extended part
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BlockingIOError(busy)
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if code == sqlite3.SQLITE_IOERR:
        return OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    return OSError(f"{damaged} ({error})")
