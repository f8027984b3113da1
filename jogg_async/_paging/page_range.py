"""Track the last page and inconsistent totals. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from jogg_async.models import Pagination

_MAX_EMPTY_PAGES: Final = 3
"""Number of consecutive empty pages that end a pass before its last page. A single one may be a fault of the service,
but an absurd total must not keep the crawl going."""

_MAX_PAGES_WITHOUT_NEW: Final = 100
"""Number of consecutive pages without a new valid id that end a pass, in case the service repeats one response and
names no total or an absurd one. Records that moved during the crawl cannot fill so many pages."""

_MAX_INVALID_PAGES: Final = 1000
"""The same for pages whose records are all invalid, if there is a total: valid ones may well follow small pages."""


def _ignore(*_: object) -> None:
    return


class PageRange:
    """Range of pages of a crawl. The newest total wins.

    Args:
        page_size: requested number of tracks per page.
        first_page: page at which the first pass begins, from 1.
        end_page: last page to fetch; infinity for no bound.
        total_items: total in the checkpoint that the crawl resumes from, to compare with; `None` for none.
        total_pages: number of pages in that checkpoint, likewise.
    """

    def __init__(
        self,
        page_size: int,
        first_page: int,
        end_page: float,
        *,
        total_items: int | None = None,
        total_pages: int | None = None,
    ) -> None:
        self.total_items: int | None = None
        self.total_pages: int | None = None
        self.first_total_items: int | None
        self.first_total_pages: int | None
        self.page_size: int = page_size
        """Number of tracks on a full page, as observed."""
        self.named_page_size: int = page_size
        """Page size that the newest response named, else the requested one. Never less than `page_size`."""
        self.on_change: Callable[[int, str], None] = _ignore
        """Called at the first change that a pass notices, with the page and the change in words."""
        self._requested_size = page_size
        self._end_page = end_page
        self.begin_pass(first_page)
        self.first_total_items, self.first_total_pages = total_items, total_pages

    def begin_pass(self, first_page: int) -> None:
        """Reset the state of the previous pass, except for the totals, which the new pass starts from."""
        self.first_total_items = self.first_total_pages = None
        self.first_page: int = first_page
        self.change: str | None = None
        """First change of the catalogue that this pass noticed, in words; `None` for none."""
        self.ended: bool = False
        """True if the pass ended early, and pages beyond `last` that came are to be dropped."""
        self.expected_pages: int | None = self.total_pages
        """Number of pages to assume before the first response of this pass; `None` to fetch the first page only."""
        self._stop: float = math.inf
        self._has_response = False
        self._empty: set[int] = set()
        self._without_new = 0
        self._largest_page = 0
        self._is_size_doubtful = True  # a single page at the end may also lack records
        self.records: int = 0
        """Number of records on the pages that the consumer reached in this pass, invalid ones included."""
        self._covers_all = first_page == 1 and self._end_page == math.inf

    def resume(self, records: int, *, covers_all: bool) -> None:
        """Continue an interrupted pass.

        Args:
            records: number of records on the pages before the first one.
            covers_all: whether the pass began on page 1.
        """
        self.records = records
        self._covers_all = covers_all and self._end_page == math.inf

    @property
    def last(self) -> float:
        """Last page to fetch; infinity if no response named a total."""
        pages = self.total_pages if self._has_response else self.expected_pages or self.first_page
        if pages is not None and not self._has_response:
            pages = max(pages, self.first_page)
        return min(self._end_page, self._stop, math.inf if pages is None else pages)

    @property
    def drifted(self) -> bool:
        """True if this pass noticed a change of the catalogue."""
        return self.change is not None

    def note_change(self, number: int, change: str) -> None:
        """Record a change of the catalogue. Only the first one of each pass is kept.

        Args:
            number: page whose response shows it.
            change: the change, in words.
        """
        if self.change is None:
            self.change = change
            self.on_change(number, change)

    @property
    def has_total(self) -> bool:
        """True if the number of pages is known or expected."""
        return self.total_pages is not None or self.expected_pages is not None

    def record_response(self, number: int, pagination: Pagination, records: int) -> None:
        """Update the range from a response.

        Args:
            number: requested page.
            pagination: pagination of the response.
            records: number of records in the response, invalid ones included.
        """
        self._has_response = True
        self._compare(number, pagination)
        self._update(number, pagination, records)
        if records == 0:
            self._record_empty(number)

    def record_page(self, number: int, records: int, *, valid: int, new: int) -> None:
        """Count a page that the consumer reached.

        Args:
            number: page number.
            records: number of its records, invalid ones included.
            valid: number of its valid records.
            new: number of ids among them that are new in this pass.
        """
        self.records += records
        self._without_new = 0 if new else self._without_new + 1
        is_repeated = valid > 0 or self.total_pages is None
        if self._without_new >= (_MAX_PAGES_WITHOUT_NEW if is_repeated else _MAX_INVALID_PAGES):
            self.note_change(number, f"{self._without_new} pages in a row brought no new track")
            self.stop_at(number)
        elif valid and not new and self.total_pages is None:
            self.stop_at(number)
        if len(self._empty) > _MAX_EMPTY_PAGES:
            self._empty = {each for each in self._empty if each > number - _MAX_EMPTY_PAGES}

    @property
    def lacks_records(self) -> bool:
        """True if this pass over all pages has had fewer records so far than the total."""
        return self._covers_all and self.records < (self.total_items or 0)

    def finish_pass(self) -> None:
        """Record a change if this pass was over all pages and had fewer records than the total."""
        if self.lacks_records:
            self.note_change(int(self.last), f"{self.records} records came, total_items is {self.total_items}")

    def stop_at(self, number: int) -> None:
        """End the pass with this page. Pages beyond it that came are dropped."""
        self._stop = min(self._stop, number)
        self.ended = True

    def tracks_between(self, first_page: int, place: int) -> int | None:
        """Return the number of tracks from a record of a page to the end of the range; `None` without a total."""
        if self.total_items is None:
            return None
        end = min(self.total_items, self._end_page * self.page_size)
        return max(0, int(end) - (first_page - 1) * self.page_size - place)

    def _compare(self, number: int, pagination: Pagination) -> None:
        if pagination.page is not None and pagination.page != number:
            self.note_change(number, f"page {number} was requested, the response names page {pagination.page}")
        items, pages = pagination.total_items, pagination.total_pages
        if self.first_total_items is None:
            self.first_total_items = items
        if self.first_total_pages is None:
            self.first_total_pages = pages
        if items not in (None, self.first_total_items):
            self.note_change(number, f"total_items was {self.first_total_items}, now {items}")
        if pages not in (None, self.first_total_pages):
            self.note_change(number, f"total_pages was {self.first_total_pages}, now {pages}")

    def _update(self, number: int, pagination: Pagination, records: int) -> None:
        size, items, pages = pagination.page_size, pagination.total_items, pagination.total_pages
        full = self.named_page_size = size if size is not None and size > 0 else self._requested_size
        if items is not None and items >= 0:
            self.total_items = items
        if pages is not None and pages < 0:
            pages = None
        if pages is None and items is not None and items >= 0:
            last: float = -(-items // full)
            if number >= last:
                self._observe_end(items - (number - 1) * full, records)
        else:
            last = math.inf if pages is None else pages
        self.page_size = self._real_size(full, number, last, records)
        if pages is not None:
            self.total_pages = pages
        elif last < math.inf and items is not None:
            self.total_pages = -(-items // self.page_size)

    def _observe_end(self, rest: int, records: int) -> None:
        """Notice a capped page size at the end, where a crawl that starts there sees no page before the last.

        Args:
            rest: records from this page to the end, by the total, if the service did not cap the page size.
            records: number of records that came.
        """
        if records and records != rest:
            self._is_size_doubtful = self._is_size_doubtful and records != self._largest_page
            self._largest_page = max(self._largest_page, records)

    def _real_size(self, full: int, number: int, last: float, records: int) -> int:
        """Return the page size in use. A service may cap it without naming the cap: full pages are shorter then."""
        if number < last < math.inf:
            self._largest_page = max(self._largest_page, records)
            self._is_size_doubtful = False
        return self._largest_page if 0 < self._largest_page < full else full

    def _record_empty(self, number: int) -> None:
        if self.total_pages is None or (self._largest_page and self._is_size_doubtful):
            self.stop_at(number)
            return
        if number > self.last:
            return
        self._empty.add(number)
        low, high = number, number
        while low - 1 in self._empty:
            low -= 1
        while high + 1 in self._empty:
            high += 1
        if high - low + 1 >= _MAX_EMPTY_PAGES:
            self.note_change(number, f"pages {low} to {high} are empty, before the last page")
            self._stop = min(self._stop, low + _MAX_EMPTY_PAGES - 1)  # tracks beyond that came are yielded
