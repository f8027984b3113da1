"""What a test has planned for later: faults for requests, and changes of the catalogue."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalogue import Catalogue
    from .faults import Fault
    from .record import SeenRequest

__all__ = ["ChangeScript", "FaultScript"]


@attrs.define
class _Line:
    fault: Fault
    path: str
    page: int | None
    times: int | None
    after: int

    def fits(self, seen: SeenRequest) -> bool:
        return self.path == seen.path and (self.page is None or self.page == seen.page) and self.times != 0

    def due(self) -> bool:
        """Count one matching request, and say whether it gets the fault."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultScript:
    """The faults in waiting. Lines are looked at in the order they were written; the first that is due is taken."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        # Written by a test, read by the server, which may run in another thread.
        self._lock = threading.Lock()

    def add(self, fault: Fault, *, path: str, page: int | None, times: int | None, after: int) -> None:
        """Add a line at the end.

        Raises:
            ValueError: `times` is below 1 or `after` negative.
        """
        if (times is not None and times < 1) or after < 0:
            raise ValueError(f"times must be 1 or more (or None) and after 0 or more, not {times} and {after}")
        with self._lock:
            self._lines.append(_Line(fault, path, page, times, after))

    def take(self, seen: SeenRequest) -> Fault | None:
        """The fault for this request, if one is due; it counts as used."""
        with self._lock:
            return next((line.fault for line in self._lines if line.fits(seen) and line.due()), None)

    def clear(self) -> None:
        """Forget every line."""
        with self._lock:
            self._lines.clear()


@attrs.define
class _Change:
    due: int
    every: int | None
    change: Callable[[Catalogue], object]


class ChangeScript:
    """The changes of the catalogue in waiting, by the number of pages answered so far."""

    def __init__(self) -> None:
        self._answered = 0
        self._changes: list[_Change] = []

    def add(self, answers: int, change: Callable[[Catalogue], object], *, repeat: bool) -> None:
        """Plan a change after so many more answers, or after each so many.

        Raises:
            ValueError: `answers` is below 1.
        """
        if answers < 1:
            raise ValueError(f"answers must be 1 or more, not {answers}")
        self._changes.append(_Change(self._answered + answers, answers if repeat else None, change))

    def answered(self, catalogue: Catalogue) -> None:
        """Count one page answered, and make the changes that are due."""
        self._answered += 1
        for change in [change for change in self._changes if change.due <= self._answered]:
            if change.every is None:
                self._changes.remove(change)
            else:
                change.due += change.every
            change.change(catalogue)

    def clear(self) -> None:
        """Forget every change."""
        self._changes.clear()
