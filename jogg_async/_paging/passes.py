"""Passes over the catalogue: skip duplicates, detect drift, decide whether to crawl again. No I/O."""

from __future__ import annotations

import inspect
import warnings
from typing import Final

import attrs

from jogg_async.errors import CatalogueChangedError, CatalogueChangedWarning
from jogg_async.settings import OnDrift

from .page_range import PageRange
from .seen_ids import SeenIds

_MAX_RECRAWLS: Final = 5
"""Most further passes under ``on_drift="recrawl"``."""

_CHANGED: Final = "the catalogue changed during the crawl (its totals, a repeated id, a page's number or its length)"


@attrs.frozen
class History:
    """State of an interrupted crawl at the position where it is resumed.

    Attributes:
        changed: true if the interrupted pass noticed a change of the catalogue.
        drifted: true if any pass noticed one.
        recrawls: number of further passes begun.
        records: number of records of the interrupted pass.
        ordered: true if every page before the position was seen, and none after it.
        covers_all: true if the interrupted pass began on page 1.
        ids: ids that were yielded.
    """

    changed: bool
    drifted: bool
    recrawls: int
    records: int
    ordered: bool
    covers_all: bool
    ids: SeenIds = attrs.field(factory=SeenIds)


class Passes:
    """State of the current pass and of those before it.

    Args:
        pages: range of pages of the crawl.
        on_drift: policy for changes of the catalogue.
    """

    def __init__(self, pages: PageRange, on_drift: OnDrift) -> None:
        self._pages = pages
        self._on_drift = on_drift
        self.recrawls: int = 0
        self.duplicates: int = 0
        self.skipped: list[int] = []
        """Ids on the first page before the track that a resumed crawl starts at. Only a recrawl yields them."""
        self._seen = self._seen_in_pass = SeenIds()
        self._drifted_before = False

    @property
    def drifted(self) -> bool:
        """True if any pass noticed a change of the catalogue."""
        return self._drifted_before or self.changed

    @property
    def changed(self) -> bool:
        """True if this pass noticed a change of the catalogue."""
        return self._pages.drifted

    @property
    def wants_recrawl(self) -> bool:
        """True if another pass must follow this one."""
        return self.changed and self._on_drift == "recrawl" and self.recrawls < _MAX_RECRAWLS

    def new_indexes(self, number: int, ids: list[int], records: int) -> list[int] | None:
        """Record a page; return the indexes of the ids that no pass has seen before, or `None` for all of them.

        Args:
            number: page number.
            ids: ids of its valid tracks.
            records: number of its records, invalid ones included.
        """
        new = self._seen_in_pass.add_all(ids)
        self._pages.record_page(number, records, valid=len(ids), new=len(ids if new is None else new))
        if new is not None:
            self.duplicates += len(ids) - len(new)
            self._pages.note_change(number, "an id came twice")
        return new if self._seen is self._seen_in_pass else self._seen.add_all(ids)

    def resume(self, history: History) -> None:
        """Continue an interrupted crawl: yield none of its ids again."""
        self._seen = self._seen_in_pass = history.ids
        if not history.ordered or history.recrawls:
            self._seen_in_pass = SeenIds()  # pages may come again, whose ids are no change of the catalogue
        self._drifted_before = history.drifted
        if history.changed:
            self._pages.change = "a change before the interruption"
        self.recrawls = history.recrawls

    def begin_recrawl(self, first_page: int) -> None:
        """Begin another pass."""
        self._drifted_before = True
        self.recrawls += 1
        self._seen.discard_all(self.skipped)
        self.skipped = []
        self._seen_in_pass = SeenIds()
        self._pages.begin_pass(first_page)

    def report_drift(self) -> None:
        """Warn or raise at the end of the crawl, according to ``on_drift``."""
        if self._on_drift == "ignore" or not self.changed:
            return
        if self._on_drift == "raise":
            raise CatalogueChangedError(_CHANGED)
        warnings.warn(f"{_CHANGED}: some tracks may be missing", CatalogueChangedWarning, stacklevel=_levels_up())


def _levels_up() -> int:
    """Return the number of frames between the caller and the user's line, for a warning that points there."""
    package, _, _ = __name__.partition(".")
    frame, levels = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, levels = frame.f_back, levels + 1
    return levels
