"""How far the catalogue goes, as far as its answers tell: the last page, and whether the answers agree. Pure."""

from __future__ import annotations

import math
from typing import Final

from .models import Pagination

_EMPTY_RUN: Final = 3
"""Empty pages in a row, by number, that end a crawl inside its total: one may be a hiccup, a total may be absurd."""

_STALE_RUN: Final = 100
"""Pages in a row without an id new in this pass that end it inside its total, in case the service repeats itself under
an absurd one: far more than rows that slid could fill."""


class Extent:
    """The catalogue's extent; the newest answer wins.

    Args:
        page_size: tracks per page, as asked.
        first_page: where each pass begins.
        end_page: the last page wanted; infinity for no bound.
    """

    def __init__(self, page_size: int, first_page: int, end_page: float) -> None:
        self.total_items: int | None = None
        self.total_pages: int | None = None
        self.page_size: int = page_size
        self.drifted: bool = False
        self.ended: bool = False
        self._asked_size = page_size
        self._first_page = first_page
        self._end_page = end_page
        self._stop = math.inf
        self._heard = False
        self._first_items: int | None = None
        self._first_pages: int | None = None
        self._empty: set[int] = set()
        self._stale = 0

    def begin_pass(self) -> None:
        """Forget what one pass says about itself; the totals stay."""
        self.drifted = self.ended = self._heard = False
        self._stop = math.inf
        self._first_items = self._first_pages = None
        self._empty.clear()
        self._stale = 0

    @property
    def last(self) -> float:
        """The last page worth asking for; infinity where nothing tells."""
        if not self._heard:
            return self._first_page
        total = math.inf if self.total_pages is None else self.total_pages
        return min(self._end_page, self._stop, total)

    @property
    def known(self) -> bool:
        """Whether an answer told, directly or not, how many pages there are."""
        return self.total_pages is not None

    def note(self, number: int, pagination: Pagination, *, empty: bool) -> None:
        """Take in one answer.

        Args:
            number: the page asked for.
            pagination: what the answer says of itself.
            empty: whether it held no record at all.
        """
        self._heard = True
        self._compare(number, pagination)
        self._update(pagination)
        if empty:
            self._note_empty(number)

    def note_taken(self, number: int, *, exhausted: bool) -> None:
        """A page was handed on.

        Args:
            number: the page.
            exhausted: whether it held records, and none with an id new in this pass.
        """
        self._stale = self._stale + 1 if exhausted else 0
        if self._stale >= (_STALE_RUN if self.known else 1):
            self.stop_at(number)

    def stop_at(self, number: int) -> None:
        """End the pass with this page."""
        self._stop = min(self._stop, number)
        self.ended = True

    def _compare(self, number: int, pagination: Pagination) -> None:
        if pagination.page is not None and pagination.page != number:
            self.drifted = True
        items, pages = pagination.total_items, pagination.total_pages
        if self._first_items is None:
            self._first_items = items
        if self._first_pages is None:
            self._first_pages = pages
        if items not in (None, self._first_items) or pages not in (None, self._first_pages):
            self.drifted = True

    def _update(self, pagination: Pagination) -> None:
        size, items, pages = pagination.page_size, pagination.total_items, pagination.total_pages
        self.page_size = size if size is not None and size > 0 else self._asked_size
        if items is not None and items >= 0:
            self.total_items = items
        if pages is not None and pages >= 0:
            self.total_pages = pages
        elif items is not None and items >= 0:
            self.total_pages = -(-items // self.page_size)

    def _note_empty(self, number: int) -> None:
        if not self.known:
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
        if high - low + 1 >= _EMPTY_RUN:
            self.drifted = True
            self.stop_at(low + _EMPTY_RUN - 1)

    def forget_below(self, number: int) -> None:
        """Forget the empty pages too far below `number` to matter any more."""
        if len(self._empty) > _EMPTY_RUN:
            self._empty = {each for each in self._empty if each > number - _EMPTY_RUN}
