"""Track the last page of the catalogue, and whether its responses contradict each other. No I/O."""

from __future__ import annotations

import math
from typing import Final

from jogg_async.models import Pagination

_MAX_EMPTY_PAGES: Final = 3
"""Empty pages in a row, by number, that end a pass inside its total: one may be a hiccup, a total may be absurd."""

_MAX_REPEATED_PAGES: Final = 100
"""Pages in a row without an id new in this pass that end it, in case the service repeats one response under an absurd
total: far more than rows that moved could fill."""


class PageRange:
    """The pages of one crawl. The newest response wins.

    Args:
        page_size: tracks per page, as asked.
        first_page: page at which the first pass begins, from 1.
        end_page: last page wanted; infinity for no bound.
        total_items: total that a checkpoint saw, to compare with; `None` for none.
        total_pages: pages that a checkpoint saw, to compare with; `None` for none.
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
        self.page_size = page_size
        """Tracks on a full page, as responses show it."""
        self.named_page_size = page_size
        """Tracks on a full page, as the newest response named it, else as asked: never less than `page_size`."""
        self._asked_size = page_size
        self._end_page = end_page
        self.begin_pass(first_page)
        self.first_total_items, self.first_total_pages = total_items, total_pages

    def begin_pass(self, first_page: int) -> None:
        """Forget what belongs to the pass before; the totals stay, as a guess for the next one."""
        self.first_total_items = self.first_total_pages = None
        self.first_page = first_page
        self.drifted = False
        self.ended = False
        self.expected_pages = self.total_pages
        """Pages to ask for before the first response of this pass; `None` to ask for the first page only."""
        self._stop: float = math.inf
        self._has_response = False
        self._empty: set[int] = set()
        self._repeated = 0
        self._largest_page = 0
        self._records = 0

    @property
    def last(self) -> float:
        """Last page worth asking for; infinity where no response named a total."""
        pages = self.total_pages if self._has_response else self.expected_pages or self.first_page
        last = min(self._end_page, self._stop, math.inf if pages is None else pages)
        return last if self._has_response else max(last, self.first_page)

    @property
    def has_total(self) -> bool:
        """Whether the number of pages is known, or at least expected."""
        return self.total_pages is not None or self.expected_pages is not None

    def record_response(self, number: int, pagination: Pagination, records: int) -> None:
        """Update the range by a response.

        Args:
            number: page that was asked for.
            pagination: the response's pagination.
            records: tracks in it, invalid ones included.
        """
        self._has_response = True
        self._compare(number, pagination)
        self._update(number, pagination, records)
        if records == 0:
            self._record_empty(number)

    def record_taken(self, number: int, records: int, *, repeated: bool) -> None:
        """Count a page that the consumer reached.

        Args:
            number: the page.
            records: tracks in it, invalid ones included.
            repeated: whether it held records, and none with an id new in this pass.
        """
        self._records += records
        self._repeated = self._repeated + 1 if repeated else 0
        if self._repeated >= (_MAX_REPEATED_PAGES if self.total_pages is not None else 1):
            self.stop_at(number)
        if len(self._empty) > _MAX_EMPTY_PAGES:
            self._empty = {each for each in self._empty if each > number - _MAX_EMPTY_PAGES}

    def finish_pass(self) -> None:
        """Compare the records of a pass over all pages with the total: fewer count as drift."""
        if self.first_page == 1 and self._end_page == math.inf and self._records < (self.total_items or 0):
            self.drifted = True

    def stop_at(self, number: int) -> None:
        """End the pass with this page."""
        self._stop = min(self._stop, number)
        self.ended = True

    def tracks_between(self, first_page: int, place: int) -> int | None:
        """Return how many tracks lie from a place of a page to the end of the range; `None` while no total is known."""
        if self.total_items is None:
            return None
        end = min(self.total_items, self._end_page * self.page_size)
        return max(0, int(end) - (first_page - 1) * self.page_size - place)

    def _compare(self, number: int, pagination: Pagination) -> None:
        if pagination.page is not None and pagination.page != number:
            self.drifted = True
        items, pages = pagination.total_items, pagination.total_pages
        if self.first_total_items is None:
            self.first_total_items = items
        if self.first_total_pages is None:
            self.first_total_pages = pages
        if items not in (None, self.first_total_items) or pages not in (None, self.first_total_pages):
            self.drifted = True

    def _update(self, number: int, pagination: Pagination, records: int) -> None:
        size, items, pages = pagination.page_size, pagination.total_items, pagination.total_pages
        full = self.named_page_size = size if size is not None and size > 0 else self._asked_size
        if items is not None and items >= 0:
            self.total_items = items
        if pages is not None and pages < 0:
            pages = None
        if pages is None and items is not None and items >= 0:
            last: float = -(-items // full)
        else:
            last = math.inf if pages is None else pages
        self.page_size = self._real_size(full, number, last, records)
        if pages is not None:
            self.total_pages = pages
        elif last < math.inf and items is not None:
            self.total_pages = -(-items // self.page_size)

    def _real_size(self, full: int, number: int, last: float, records: int) -> int:
        """Return the page size in use: some services cap it without saying so, and then full pages are shorter."""
        if number < last < math.inf:
            self._largest_page = max(self._largest_page, records)
        return self._largest_page if 0 < self._largest_page < full else full

    def _record_empty(self, number: int) -> None:
        if self.total_pages is None:
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
            self.drifted = True
            self.stop_at(low + _MAX_EMPTY_PAGES - 1)
