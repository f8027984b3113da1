"""Options of a crawl, checked before any request: filters, bounds, policies, the checkpoint to resume from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import attrs
from yarl import URL

from jogg_async._api.settings import checked_int
from jogg_async._requests.page_fetcher import PageUrl
from jogg_async.errors import argument_error
from jogg_async.retry import RetryPolicy

from .checkpoint import MAX_PAGE_SIZE, Checkpoint

OnInvalid = Literal["raise", "skip"]
OnDrift = Literal["ignore", "warn", "raise", "recrawl"]

_RESERVED_PARAMETERS: Final = ("page", "page_size", "genre", "mood")


class Default(int):
    """Default of an argument, distinct from the same number given by the user: a checkpoint overrides it."""


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
        """Return the number of pages within the bounds, if all pages are full."""
        by_limit = (self.limit + self.start.place) / self.start.page_size
        return min(self.end_page - self.start.page + 1, math.ceil(by_limit) if by_limit < math.inf else math.inf)


def filters_of(genre: object, mood: object, params: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return the query parameters besides page and page size.

    Raises:
        ValueError: `params` names a parameter that has an argument of its own, or a value is of a wrong type.
    """
    filters: dict[str, str] = {}
    for name, value in (("genre", genre), ("mood", mood)):
        if value is not None:
            if not isinstance(value, str):
                raise ValueError(f"{name} must be a string, not {value!r}.")
            filters[name] = value
    for name, value in (params or {}).items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"params must have non-empty strings as names, not {name!r}.")
        if name in _RESERVED_PARAMETERS:
            raise ValueError(f"params must not name {name!r}: it has an argument of its own.")
        filters[name] = _parameter(name, value)
    return filters


def _parameter(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)  # the value of an enumeration's member
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"params[{name!r}] must be a string, a number or a bool, not {value!r}.")


def page_url(base_url: URL, page_size: int, filters: Mapping[str, str]) -> PageUrl:
    """Return the address of each page at this page size, 1 to 100 (the service's limit); else `ValueError`."""
    return PageUrl.build(base_url, checked_int("page_size", page_size, 1, MAX_PAGE_SIZE), filters)


def checked_policy(name: str, value: str, allowed: object) -> None:
    """Raise `ValueError` where `value` is none of the words of the `Literal` `allowed`."""
    words = get_args(allowed)
    if value not in words:
        raise argument_error(name, f"must be one of {', '.join(map(repr, words))}, not {value!r}.")


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
    checked_policy("on_invalid", on_invalid, OnInvalid)
    checked_policy("on_drift", on_drift, OnDrift)
    start = _start(start_page, page_size, filters, resume)
    if end_page is not None:
        start = attrs.evolve(start, end_page=_checked_end(end_page, start, resumed=resume is not None))
    if limit is not None:
        start = attrs.evolve(start, limit=checked_int("limit", limit, 0))
    return CrawlOptions(
        url=page_url(base_url, start.page_size, start.filters),
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
        raise argument_error("end_page", f"must not be before the first page ({start.page}), not {end_page}.")
    # The checkpoint of a crawl that finished its end_page is at the start of the page after it.
    if end_page < start.page - (start.place == 0):
        raise ValueError(f"end_page ({end_page}) contradicts resume, which is at page {start.page} already.")
    return int(end_page)


def _start(start_page: int, page_size: int, filters: dict[str, str], resume: Mapping[str, Any] | None) -> Checkpoint:
    checked_int("start_page", start_page, 1)
    checked_int("page_size", page_size, 1, MAX_PAGE_SIZE)
    if resume is None:
        return Checkpoint(int(start_page), 0, int(page_size), filters, start_page=int(start_page))
    start = Checkpoint.from_dict(resume)
    _check_resumed("start_page", start_page, START_PAGE, start.page)
    _check_resumed("page_size", page_size, PAGE_SIZE, start.page_size)
    for name, value in filters.items():
        if start.filters.get(name) != value:
            raise ValueError(f"{name}={value!r} contradicts resume, which has {start.filters.get(name)!r}.")
    return start


def _check_resumed(name: str, given: int, default: int, saved: int) -> None:
    if given is not default and given != saved:
        raise ValueError(f"{name}={given} contradicts resume, which has {saved}.")
