"""The folder that files are downloaded to, and the one thread that reads and writes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import attrs

from jogg_async._download.file_names import id_of_file, id_of_part
from jogg_async._download.part_file import PartFile
from jogg_async._export.filesystems import check_parent
from jogg_async._paging.seen_ids import SeenIds

_T = TypeVar("_T")


@attrs.frozen
class Listing:
    """Files in the folder before the download.

    Attributes:
        complete: ids of the tracks whose file is there.
        partial: ids of the tracks of which a part is there.
    """

    complete: SeenIds = attrs.field(factory=SeenIds)
    partial: set[int] = attrs.field(factory=set[int])


class Folder:
    """Folder whose files are written in a thread of its own, one job after the other.

    A disk that is slow or asleep then does not stop the event loop. The order of the jobs makes it safe to close a file
    while a cancelled write is under way.

    Args:
        path: folder of the files and the partial files.
        name: its name in errors; `None` for the path.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = str(path) if name is None else name
        self._writer = ThreadPoolExecutor(1, "jogg-async-download")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.shutdown()

    async def run(self, job: Callable[..., _T], *arguments: object) -> _T:
        """Run a job in the thread and return its result.

        Raises:
            OSError: the job failed. The error names the file, or else the folder.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, job, *arguments)
        except OSError as fault:
            if fault.errno is not None:  # else the text is a sentence that names the folder
                fault.filename = fault.filename or self.name
            raise

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job in the thread after those before it, and do not wait for it."""
        self._writer.submit(job)

    async def store(self, part: PartFile, name: str) -> None:
        """Give a complete file its final name.

        Raises:
            OSError: the folder cannot be written.
        """
        await self.run(part.finish, name)

    def open(self) -> Listing:
        """Make the folder if it is missing, and list it. Blocks.

        An empty file does not count: a crash of the system may leave one behind.

        Raises:
            OSError: the folder cannot be made or read.
        """
        check_parent(self.path)
        self.path.mkdir(exist_ok=True)
        listing = Listing()
        with os.scandir(self.path) as entries:
            for entry in entries:
                number, part = id_of_file(entry.name), id_of_part(entry.name)
                if number is not None and entry.is_file() and entry.stat().st_size:
                    listing.complete.add_all((number,))
                elif part is not None:
                    listing.partial.add(part)
        return listing
