"""Connection to the process of the fakes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any


class Remote:
    """Send commands to the process of the fakes.

    Attributes:
        urls: address of each fake, by its name.
    """

    def __init__(self, process: asyncio.subprocess.Process, urls: dict[str, str]) -> None:
        self.urls = urls
        self._process = process
        self._lock = asyncio.Lock()

    async def command(self, do: str, **more: Any) -> Any:
        """Send a command, and return its result."""
        assert self._process.stdin is not None
        async with self._lock:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            return await _read_line(self._process)


async def _read_line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await process.stdout.readline())


@asynccontextmanager
async def service() -> AsyncGenerator[Remote]:
    """Run the fakes in a process that ends with this one."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", f"{__package__}.service")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield Remote(process, await _read_line(process))
    finally:
        assert process.stdin is not None
        process.stdin.close()  # it ends with its input
        await process.wait()
