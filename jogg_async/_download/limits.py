"""Limits on the size of files. No I/O."""

from __future__ import annotations

import math
from typing import Final

from jogg_async._api.arguments import checked_int
from jogg_async._http.transfer_error import TransferError

MAX_BYTES: Final = 100_000_000
"""Default limit on one file: 40 minutes of MP3 at 320 kbit/s, or nine of uncompressed CD audio."""


class SizeLimits:
    """Limits on the bytes of one file, and of all files of a download.

    Args:
        max_bytes: bytes of one file at most, 1 or more; `None` for no limit.
        max_total_bytes: bytes to receive in all at most, 1 or more; `None` for no limit.

    Raises:
        ArgumentError: one is out of its range.
    """

    def __init__(self, max_bytes: int | None, max_total_bytes: int | None) -> None:
        self._per_file = math.inf if max_bytes is None else checked_int("max_bytes", max_bytes, 1)
        self._in_all = math.inf if max_total_bytes is None else checked_int("max_total_bytes", max_total_bytes, 1)
        self._left = self._in_all

    def check_file(self, size: int) -> None:
        """Raise `FileTooLargeError` if a file has more bytes than one file may have."""
        if size > self._per_file:
            raise FileTooLargeError(f"larger than max_bytes ({self._per_file:,.0f} bytes)")

    def check_left(self) -> None:
        """Raise `TransferError` if no more bytes may be received."""
        if self._left <= 0:
            raise TransferError(f"max_total_bytes ({self._in_all:,.0f} bytes) would be exceeded")

    def take(self, count: int) -> None:
        """Subtract bytes from the number that may still be received in all.

        If fewer are left, raise `TransferError` and set the number to 0, so that no further file is requested.
        """
        fits = count <= self._left
        self._left = self._left - count if fits else 0
        if not fits:
            self.check_left()

    def give_back(self, count: int) -> None:
        """Give back bytes that were taken but not received."""
        self._left += count


class FileTooLargeError(TransferError):
    """Raised for a file with more bytes than one file may have: no part of it is kept."""
