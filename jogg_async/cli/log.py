"""The library's log on standard error: everything under ``--verbose``, else nothing."""

from __future__ import annotations

import logging
import os

from jogg_async.settings import API_KEY_VARIABLE

from .terminal import Screen


def set_up(screen: Screen, *, verbose: bool) -> None:
    """Print the library's log under ``--verbose``, else discard it."""
    logger = logging.getLogger("jogg_async")
    # Without a handler, Python would print warnings by itself.
    logger.addHandler(_Lines(screen) if verbose else logging.NullHandler())
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _Lines(logging.Handler):
    """Handler that prints one line per record, above the progress bar if there is one."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        # The library already keeps the key out of its log: this is a second safeguard.
        self._key = os.environ.get(API_KEY_VARIABLE)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        line = self.format(record)
        self._screen.note(line.replace(self._key, "***") if self._key else line)
