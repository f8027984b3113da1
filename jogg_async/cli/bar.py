"""Progress on standard error: a bar, or lines of JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Literal

import attrs

from jogg_async._render.progress_bar import repeated, updated_bar
from jogg_async.pager import TrackPager

from .terminal import Screen

ProgressMode = Literal["auto", "json", "none"]

_JSON_INTERVAL: Final = 1.0
"""Seconds between two lines of JSON."""


@asynccontextmanager
async def show_progress(pager: TrackPager, screen: Screen, mode: ProgressMode = "auto") -> AsyncGenerator[None]:
    """Show the pager's progress.

    Args:
        pager: pager of the crawl.
        screen: where to print.
        mode: ``auto`` shows a bar if standard error is a terminal, and removes it at the end; ``json`` prints a line
            every second; ``none`` shows nothing.
    """
    if mode == "json":
        async with repeated(_JsonLines(pager), _JSON_INTERVAL):
            yield
    elif mode == "auto" and screen.shows_progress:
        async with updated_bar(lambda: pager.progress, screen.err, transient=True):
            yield
    else:
        yield


class _JsonLines:
    """Prints the progress as one JSON object per line: the attributes of `Progress`, and the seconds elapsed."""

    def __init__(self, pager: TrackPager) -> None:
        self._pager = pager
        self._began = time.monotonic()

    def __call__(self) -> None:
        """Print one line."""
        seconds = round(time.monotonic() - self._began, 3)
        with contextlib.suppress(OSError):  # standard error is closed: not a reason to fail
            print(json.dumps(attrs.asdict(self._pager.progress) | {"seconds": seconds}), file=sys.stderr)  # noqa: T201
