"""What a caller asks for, checked before any request: filters, bounds, policies, a checkpoint to go on from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import attrs
from yarl import URL

from ._call import Listing
from ._checkpoint import MAX_PAGE_SIZE, Checkpoint
from ._settings import checked_int
from .retry import RetryPolicy

OnInvalid = Literal["raise", "skip"]
OnDrift = Literal["ignore", "warn", "raise", "recrawl"]

_OWN_PARAMETERS: Final = ("page", "page_size", "genre", "mood")


class Default(int):
    """A default number that can be told from the same number given by the caller: it yields to a checkpoint."""


PAGE_SIZE: Final = Default(100)
START_PAGE: Final = Default(1)


@attrs.frozen
class Plan:
    """What to crawl, and how.

    Attributes:
        listing: the address of each page.
        start: where the consumer begins, with the page size and the filters.
        end_page: the last page wanted; infinity for no bound.
        limit: the most tracks wanted; infinity for no bound.
        concurrency: requests in flight at once, 1 or more.
        retry: the policy of this crawl; `None` for the session's.
    """

    listing: Listing
    start: Checkpoint
    end_page: float
    limit: float
    concurrency: int
    ordered: bool
    on_invalid: OnInvalid
    on_drift: OnDrift
    retry: RetryPolicy | None

    def pages_wanted(self) -> float:
        """How many pages the bounds leave at the most, were all of them full."""
        by_limit = (self.limit + self.start.place) / self.start.page_size
        return min(self.end_page - self.start.page + 1, math.ceil(by_limit) if by_limit < math.inf else math.inf)


def filters_of(genre: object, mood: object, params: Mapping[Any, Any] | None) -> dict[str, str]:
    """The query parameters besides page and page size.

    Raises:
        ValueError: `params` names one of the parameters that have an argument of their own, or holds no plain value.
    """
    filters: dict[str, str] = {}
    for name, value in (("genre", genre), ("mood", mood)):
        if value is not None:
            if not isinstance(value, str):
                raise ValueError(f"{name} must be a string, not {value!r}.")
            filters[name] = value
    for name, value in (params or {}).items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"params must have names that are strings, not {name!r}.")
        if name in _OWN_PARAMETERS:
            raise ValueError(f"params must not name {name!r}: it has an argument of its own.")
        filters[name] = _parameter(name, value)
    return filters


def _parameter(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration's member, its value
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"params[{name!r}] must be a string, a number or a bool, not {value!r}.")


def listing_of(base_url: URL, page_size: int, filters: Mapping[str, str]) -> Listing:
    """The listing at this page size, 1 to 100 (the service's limit); else `ValueError`."""
    return Listing.of(base_url, checked_int("page_size", page_size, 1, MAX_PAGE_SIZE), filters)


def checked_policy(name: str, value: str, allowed: object) -> None:
    """`ValueError` where `value` is none of the words that the `Literal` `allowed` has."""
    words = get_args(allowed)
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, words))}, not {value!r}.")


def plan_of(
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
    retry: RetryPolicy | None = None,
) -> Plan:
    """The plan of a crawl.

    Raises:
        ValueError: an argument is out of its range, or contradicts the checkpoint `resume`.
    """
    checked_policy("on_invalid", on_invalid, OnInvalid)
    checked_policy("on_drift", on_drift, OnDrift)
    start = _start(start_page, page_size, filters, resume)
    if end_page is not None:
        # A crawl that reached its end_page stands one page behind it.
        checked_int("end_page", end_page, 1 if resume is None else start.page - 1)
        if resume is None and end_page < start.page:
            raise ValueError(f"end_page ({end_page}) must not be before start_page ({start.page}).")
    return Plan(
        listing=listing_of(base_url, start.page_size, start.filters),
        start=start,
        end_page=math.inf if end_page is None else end_page,
        limit=math.inf if limit is None else checked_int("limit", limit, 0),
        concurrency=concurrency,
        ordered=bool(ordered),
        on_invalid=on_invalid,
        on_drift=on_drift,
        retry=retry,
    )


def _start(start_page: int, page_size: int, filters: dict[str, str], resume: Mapping[str, Any] | None) -> Checkpoint:
    checked_int("start_page", start_page, 1)
    checked_int("page_size", page_size, 1, MAX_PAGE_SIZE)
    if resume is None:
        return Checkpoint(int(start_page), 0, int(page_size), filters)
    start = Checkpoint.of(resume)
    _agree("start_page", start_page, START_PAGE, start.page)
    _agree("page_size", page_size, PAGE_SIZE, start.page_size)
    for name, value in filters.items():
        if start.filters.get(name) != value:
            raise ValueError(f"{name}={value!r} contradicts resume, which has {start.filters.get(name)!r}.")
    return start


def _agree(name: str, given: int, default: int, kept: int) -> None:
    if given is not default and given != kept:
        raise ValueError(f"{name}={given} contradicts resume, which has {kept}.")
