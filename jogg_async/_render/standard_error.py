"""Standard error for progress bars, on which a failed write is no error."""

from __future__ import annotations

import contextlib
import sys
from typing import IO, Any, cast


def standard_error() -> IO[str]:
    """Return standard error as a stream that discards what cannot be written.

    The reader of a pipe may be gone, or the disk full. A progress bar must neither end the program then, as rich does,
    nor lose the tracks received.
    """
    return cast("IO[str]", _Stream(sys.stderr))


class _Stream:
    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()
