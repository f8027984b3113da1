"""A file while it is downloaded: ``<id>.part``.

Beside it, ``<id>.part.json`` has the data that show whether the rest of a later response belongs to the same file.

Every method blocks; `Folder.run` calls them in the thread that writes. At any moment a killed process leaves either a
partial file whose content fits its state, or a partial file without a state, which is not resumed.
"""

from __future__ import annotations

import json
import os
import sys
from io import FileIO
from pathlib import Path
from typing import Any

from jogg_async._download.file_names import PART_SUFFIX, STATE_SUFFIX
from jogg_async._download.responses import Partial
from jogg_async._http.transfer_error import TransferError

if sys.platform != "win32":
    import fcntl


class PartFile:
    """The partial file of one track.

    Args:
        folder: where the files are.
        track_id: number of the track.

    Attributes:
        path: path of the file while it is partial.
    """

    def __init__(self, folder: Path, track_id: int) -> None:
        self.path = folder / f"{track_id}{PART_SUFFIX}"
        self._state_path = folder / f"{track_id}{STATE_SUFFIX}"
        self._file: FileIO | None = None

    def load(self) -> Partial | None:
        """Return what an earlier attempt stored; `None` if it cannot be resumed."""
        try:
            state: Any = json.loads(self._state_path.read_bytes())
            partial = Partial(size=self.path.stat().st_size, **state)
            is_rest_left = partial.size > 0 and (partial.total is None or partial.size < partial.total)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        is_named = isinstance(partial.address, str) and isinstance(partial.validator, str)
        return partial if is_named and is_rest_left else None

    def begin(self, partial: Partial | None) -> None:
        """Open the file, empty, for the whole of a body.

        Args:
            partial: what a later attempt needs to resume; `None` if the response has no validator.

        Raises:
            TransferError: another download is writing the file.
        """
        self._file = self._open()
        self._state_path.unlink(missing_ok=True)
        self._file.truncate(0)
        if partial is not None:
            state = {"address": partial.address, "validator": partial.validator, "total": partial.total}
            self._state_path.write_bytes(json.dumps(state).encode())

    def resume(self, partial: Partial) -> None:
        """Open the file to append to it.

        Raises:
            TransferError: another download is writing the file, or wrote to it since `load`.
        """
        self._file = self._open()
        if os.fstat(self._file.fileno()).st_size != partial.size:
            raise _in_use()

    def _open(self) -> FileIO:
        file = self.path.open("ab", buffering=0)
        try:
            _lock(file, self.path)
        except BaseException:
            file.close()
            raise
        return file

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        view = memoryview(data)
        while view and self._file is not None:
            view = view[self._file.write(view) :]

    def finish(self, name: str) -> None:
        """Give the file its final name, and close it."""
        if sys.platform == "win32":  # an open file cannot be renamed there
            self.close()
        # Elsewhere the lock is held meanwhile, so that no other download opens the file by its old name.
        self.path.replace(self.path.with_name(name))
        self._state_path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file. Closing it again has no effect."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove the file and its state if this object opened it; otherwise another download may be writing it."""
        if self._file is not None:
            self.close()
            self._state_path.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def _lock(file: FileIO, path: Path) -> None:
    """Lock a file until it is closed; raise `TransferError` if another download has locked it."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use() from None
    except OSError:  # a file system without locks
        return
    try:
        is_same = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        is_same = False
    if not is_same:  # the other download completed the file between open and lock
        raise _in_use()


def _in_use() -> TransferError:
    return TransferError("another download is writing the file")
