"""A program that saves a catalogue and kills itself at a chosen step of the thread that writes.

Its arguments: the address, the key, the destination, and the step from 1. A step is a call or return in `_export`, or
of a function in C that it calls: each write, fsync, rename and deletion lies between two of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import jogg_async
from jogg_async import JoggSession
from jogg_async._export import save as saving

BATCH = 400
"""Tracks in a batch: few, so that a small catalogue has several batches."""

_PLACE = str(Path(jogg_async.__file__).parent / "_export")


class Steps:
    """Counts the steps of the writing thread, and kills the process at one of them.

    Args:
        last: the step at which to kill; 0 for none.
    """

    def __init__(self, last: int = 0) -> None:
        self.count = 0
        self._last = last

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_filename.startswith(_PLACE) and threading.current_thread().name.startswith("jogg-save"):
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


async def save(url: str, key: str, path: str) -> None:
    async with JoggSession(key, base_url=url) as jogg:
        await jogg.tracks().save(path)


if __name__ == "__main__":
    saving._BATCH = BATCH  # type: ignore[misc]
    threading.setprofile(Steps(int(sys.argv[4])))
    asyncio.run(save(*sys.argv[1:4]))
