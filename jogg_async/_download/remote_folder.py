"""Folder of downloads under an address that fsspec knows (extra ``fsspec``), such as ``s3://bucket/music``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from jogg_async._download.file_names import id_of_file
from jogg_async._download.folder import Folder, Listing
from jogg_async._download.part_file import PartFile
from jogg_async._export.filesystems import filesystem_at, named_errors

_MAX_UPLOADS: Final = 32
_CHUNK: Final = 1 << 20


class RemoteFolder(Folder):
    """Folder under an address. A file is received into a temporary folder, and uploaded once it is complete.

    Args:
        address: the address.
    """

    _opened: tuple[Any, str]
    """File system and path with which the folder was listed."""

    def __init__(self, address: str) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="jogg-async-")
        super().__init__(Path(self._temporary.name), address)
        self._uploads = ThreadPoolExecutor(_MAX_UPLOADS, "jogg-async-upload")
        self._of_thread = threading.local()

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.to_thread(self._uploads.shutdown, cancel_futures=True)
        finally:
            await super().__aexit__()
            self._temporary.cleanup()

    def open(self) -> Listing:
        """Make the folder if it is missing, and list it. Blocks: it may also import the package for the address.

        Its parents are not made: a mistyped name would otherwise create a bucket.

        Raises:
            ArgumentError: fsspec does not know the address.
            ImportError: fsspec, or the package it needs for the address, is not installed.
            OSError: the folder cannot be made or read.
        """
        self._opened = filesystem, path = filesystem_at(self.name)
        listing = Listing()
        with named_errors(self.name):
            entries = _entries(filesystem, path)
        for entry in entries:
            number = id_of_file(entry["name"].rpartition("/")[2])
            if number is not None and entry["type"] == "file" and entry["size"]:
                listing.complete.add_all((number,))
        return listing

    async def store(self, part: PartFile, name: str) -> None:
        """Upload a complete file, and remove it here. It appears there once it is whole.

        Raises:
            OSError: the upload failed.
        """
        await asyncio.get_running_loop().run_in_executor(self._uploads, self._upload, part.path, name)
        await self.run(part.discard)

    def _upload(self, path: Path, name: str) -> None:
        filesystem, folder = self._filesystem()
        with (
            named_errors(self.name),
            path.open("rb") as source,
            _opened(filesystem, f"{folder.rstrip('/')}/{name}") as target,
        ):
            shutil.copyfileobj(source, target, _CHUNK)

    def _filesystem(self) -> tuple[Any, str]:
        """Return a file system that this thread may use.

        Those that fsspec runs in its own event loop, such as S3, can be shared. Each has a client of its own, which
        takes 0.3 s of CPU to make. The others, such as FTP, may have one connection for one thread.
        """
        if self._opened[0].async_impl:
            return self._opened
        if not hasattr(self._of_thread, "found"):
            self._of_thread.found = filesystem_at(self.name)
        found: tuple[Any, str] = self._of_thread.found
        return found


@contextmanager
def _opened(filesystem: Any, path: str) -> Generator[Any]:
    """Open a file for writing that becomes visible at the end of the block, unless that raises an error."""
    if not filesystem.async_impl:  # such as SFTP, which writes in place without a transaction
        with filesystem.transaction, filesystem.open(path, "wb") as file:
            yield file
        return
    # Threads that share a file system would share its transaction, too.
    file = filesystem.open(path, "wb", autocommit=False)
    filesystem.transaction.files.clear()  # it would keep every file for a transaction that never begins
    try:
        with file:
            yield file
    except BaseException:
        file.discard()
        raise
    file.commit()


def _entries(filesystem: Any, path: str) -> list[dict[str, Any]]:
    """Return the entries of a folder, after making it if it is missing."""
    try:
        entries: list[dict[str, Any]] = filesystem.ls(path, detail=True)
    except FileNotFoundError:  # also of an empty folder in an object store
        filesystem.mkdir(path, create_parents=False)
        return []
    return entries
