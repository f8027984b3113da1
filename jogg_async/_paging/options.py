"""Options of a crawl, checked before any request: bounds, policies, a checkpoint to resume from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
from yarl import URL

from jogg_async._api.arguments import check_policy, checked_int, checked_page_size
from jogg_async._api.page_url import PageUrl
from jogg_async.errors import argument_error
from jogg_async.retry import RetryPolicy
from jogg_async.settings import OnDrift, OnInvalid

from .checkpoint import Checkpoint


class Default(int):
    """Default of an argument. A checkpoint overrides it, but may not contradict a number given by the user."""


PAGE_SIZE: Final = Default(100)
START_PAGE: Final = Default(1)


@attrs.frozen
class CrawlOptions:
    """Options of a crawl.

    Attributes:
        url: URL of the pages.
        start: position to start from, with the page size, the filters and the bounds.
        concurrency: requests in flight at once, 1 or more.
        ordered: yield tracks in catalogue order; else as pages arrive.
        on_invalid: policy for records that are not valid tracks.
        on_drift: policy for changes of the catalogue during the crawl.
        retry: retry policy of this crawl; `None` for the session's.
    """

    url: PageUrl
    start: Checkpoint
    concurrency: int
    ordered: bool
    on_invalid: OnInvalid
    on_drift: OnDrift
    retry: RetryPolicy | None

    @property
    def limit(self) -> float:
        """Most tracks to yield; infinity for no bound."""
        return math.inf if self.start.limit is None else self.start.limit

    @property
    def end_page(self) -> float:
        """Last page to fetch; infinity for no bound."""
        return math.inf if self.start.end_page is None else self.start.end_page

    def max_pages(self) -> float:
        """Return the number of full pages that the bounds and the limit allow."""
        by_limit = (self.limit + self.start.place) / self.start.page_size
        return min(self.end_page - self.start.page + 1, math.ceil(by_limit) if by_limit < math.inf else math.inf)


def crawl_options(
    base_url: URL,
    filters: dict[str, str],
    *,
    page_size: int,
    concurrency: int,
    limit: int | None,
    start_page: int,
    end_page: int | None,
    ordered: bool,
    on_invalid: OnInvalid,
    on_drift: OnDrift,
    resume: Mapping[str, Any] | None,
    retry: RetryPolicy | None,
) -> CrawlOptions:
    """Return the checked options of a crawl.

    Raises:
        ValueError: an argument is out of its range, or contradicts the checkpoint `resume`.
    """
    check_policy("on_invalid", on_invalid, OnInvalid)
    check_policy("on_drift", on_drift, OnDrift)
    start = _start(start_page, page_size, filters, resume)
    if end_page is not None:
        start = attrs.evolve(start, end_page=_checked_end(end_page, start, resumed=resume is not None))
    if limit is not None:
        start = attrs.evolve(start, limit=checked_int("limit", limit, 0))
    return CrawlOptions(
        url=PageUrl.build(base_url, start.page_size, start.filters),
        start=start,
        concurrency=concurrency,
        ordered=bool(ordered),
        on_invalid=on_invalid,
        on_drift=on_drift,
        retry=retry,
    )


def _checked_end(end_page: int, start: Checkpoint, *, resumed: bool) -> int:
    checked_int("end_page", end_page, 1)
    if not resumed and end_page < start.page:
        raise argument_error("end_page", f"must be at least the first page ({start.page}), not {end_page}.")
    # The checkpoint of a crawl that finished its end_page is at the start of the page after it.
    if end_page < start.page - (start.place == 0):
        raise ValueError(f"end_page ({end_page}) contradicts resume, which is at page {start.page} already.")
    return int(end_page)


def _start(start_page: int, page_size: int, filters: dict[str, str], resume: Mapping[str, Any] | None) -> Checkpoint:
    checked_int("start_page", start_page, 1)
    checked_page_size(page_size)
    if resume is None:
        return Checkpoint(int(start_page), 0, int(page_size), filters, start_page=int(start_page))
    start = Checkpoint.from_dict(resume)
    # Either the page to continue at, or the argument of the first crawl, given again.
    _check_resumed("start_page", start_page, START_PAGE, start.page, start.start_page)
    _check_resumed("page_size", page_size, PAGE_SIZE, start.page_size)
    for name, value in filters.items():
        if start.filters.get(name) != value:
            raise ValueError(f"{name}={value!r} contradicts resume, which has {start.filters.get(name)!r}.")
    return start


def _check_resumed(name: str, given: int, default: int, *saved: int) -> None:
    if given is not default and given not in saved:
        raise ValueError(f"{name}={given} contradicts resume, which has {' or '.join(map(str, dict.fromkeys(saved)))}.")
