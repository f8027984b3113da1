"""What the library logs, on standard error: under ``--verbose`` all of it, else nothing."""

from __future__ import annotations

import logging
import os

from .options import KEY_VARIABLE
from .terminal import Screen


def set_up(screen: Screen, *, verbose: bool) -> None:
    """Send the library's log to the screen, or nowhere."""
    logger = logging.getLogger("jogg_async")
    # Without any handler Python would print warnings by itself.
    logger.addHandler(_Lines(screen) if verbose else logging.NullHandler())
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _Lines(logging.Handler):
    """Prints one line a record, above a progress bar that may be there."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen
        # The library keeps the key out of what it logs; this is the second lock on that door.
        self._key = os.environ.get(KEY_VARIABLE)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        line = self.format(record)
        self._screen.note(line.replace(self._key, "***") if self._key else line)
