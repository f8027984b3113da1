"""Tables of an interrupted load into dlt, saved as Arrow files for the next load."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jogg_async._render.arrow import pa

_MAX_AGE: Final = 24 * 3600.0
"""Seconds for which the tables are kept after the last one was saved."""


class SavedTables:
    """Tables of an unfinished load, one Arrow file each. Its metadata holds the crawl's checkpoint after the table.

    Args:
        folder: folder of the files; `None` to save nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._count = 0

    def read(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield each table and the checkpoint after it. If the tables are too old, remove them and yield none."""
        if self._folder is None or not self._folder.is_dir():
            return
        if time.time() - self._folder.stat().st_mtime > _MAX_AGE:
            self.clear()
        while (path := self._path(self._count)).exists():
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
            self._count += 1
            yield table.replace_schema_metadata(), json.loads(table.schema.metadata[b"checkpoint"])

    def append(self, table: Any, checkpoint: Mapping[str, Any]) -> None:
        """Save a table. It is written to a temporary file and renamed, so that every saved table is complete."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path, part = self._path(self._count), self._folder / "part"
        noted = table.replace_schema_metadata({"checkpoint": json.dumps(checkpoint)})
        with part.open("wb") as file, pa.ipc.new_file(file, noted.schema) as writer:
            writer.write_table(noted)
        part.replace(path)
        self._count += 1

    def clear(self) -> None:
        """Remove the tables."""
        if self._folder is not None:
            with suppress(FileNotFoundError):
                shutil.rmtree(self._folder)

    def _path(self, number: int) -> Path:
        return Path(self._folder or "", f"{number:06}.arrow")
