"""Ranges of pages that the partitions of a Dask data frame read. No I/O."""

from __future__ import annotations

import math
from typing import Any

import attrs

from jogg_async.errors import DecodeError
from jogg_async.models import Page, Pagination


def totals(page: Page, page_size: int, attempts: int) -> Pagination:
    """Return the totals in the first response, and the page size that the service really uses.

    Raises:
        DecodeError: it has no number of tracks, or a negative one.
    """
    total, pages = page.pagination.total_items, page.pagination.total_pages
    if total is None or total < 0:
        what = "the response has no total" if total is None else f"the response's total is {total}"
        error = DecodeError(what, path="$.data.pagination.total_items", rid=page.rid)
        error.page, error.attempts = 1, attempts
        raise error
    named = page.pagination.page_size
    size = _real_size(page, total, page_size)
    if pages is None:
        pages = math.ceil(total / (named if named and named > 0 else page_size))
    return attrs.evolve(page.pagination, page_size=size, total_pages=pages)


def _real_size(page: Page, total: int, requested: int) -> int:
    """Return the page size: less than requested if the service caps it, by its name or by the number of its pages."""
    named, pages, records = page.pagination.page_size, page.pagination.total_pages, len(page.tracks)
    if named is not None and 0 < named < requested:
        return named
    is_capped = 0 < records < requested and math.ceil(total / requested) != math.ceil(total / records) == pages
    return records if is_capped else requested


def split(start: dict[str, Any], total: Pagination, npartitions: int) -> list[dict[str, Any]]:
    """Return the checkpoint at which each partition starts. The totals in it tell it of changes since then.

    The first partition has the totals of `start`, if there are any, so that it notices changes since that checkpoint.

    Args:
        start: checkpoint at which the first partition starts, with the bounds of all.
        total: totals of the catalogue, and its page size.
        npartitions: partitions, 1 or more; fewer if there are not as many pages.
    """
    first, limit, size = start["page"], start["limit"], total.page_size or start["page_size"]
    last = max(min(total.total_pages or 0, start["end_page"] or math.inf), first)
    if limit is not None:
        last = max(min(last, first - 1 + math.ceil((limit + start["place"]) / size)), first)
    pages = int(last) - first + 1
    count = min(npartitions, pages)
    firsts = [first + number * pages // count for number in range(count)]
    seen = {"total_items": total.total_items, "total_pages": total.total_pages}
    starts = [
        {**start, **seen, "page": page, "start_page": page, "place": 0, "end_page": after - 1, "limit": None}
        for page, after in zip(firsts, [*firsts[1:], first + pages], strict=True)
    ]
    starts[0] |= {"place": start["place"]} | {name: start[name] for name in seen if start.get(name) is not None}
    before = (firsts[-1] - first) * size - start["place"] if count > 1 else 0
    # The last partition goes on to the end of the catalogue, which may have grown.
    starts[-1] |= {"end_page": start["end_page"], "limit": None if limit is None else max(limit - before, 0)}
    return starts
