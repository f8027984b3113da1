"""Where a consumer stands, as a dict that JSON can hold, and back again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import attrs

from ._settings import checked_int

MAX_PAGE_SIZE = 100
"""The service's limit."""


@attrs.frozen
class Checkpoint:
    """The next track's position, and what is listed.

    Attributes:
        page: the page of the next track, from 1.
        place: its place among the page's records, from 0.
        page_size: tracks per page, 1 to 100.
        filters: the query parameters besides page and page size.
    """

    page: int
    place: int
    page_size: int
    filters: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint that `as_dict` gave.

        Raises:
            ValueError: it is no such dict.
        """
        try:
            page, place, page_size, filters = (given[field.name] for field in attrs.fields(cls))
        except (KeyError, TypeError, IndexError):
            raise ValueError(f"resume must be what TrackPager.checkpoint() gave, not {given!r:.80}.") from None
        if not _is_text(filters) or filters.keys() & {"page", "page_size"}:
            raise ValueError("resume must be what TrackPager.checkpoint() gave: its filters are no filters.")
        return cls(
            checked_int("the page in resume", page, 1),
            checked_int("the place in resume", place, 0),
            checked_int("the page_size in resume", page_size, 1, MAX_PAGE_SIZE),
            dict(filters),
        )


def _is_text(filters: Any) -> TypeGuard[Mapping[str, str]]:
    if not issubclass(type(filters), Mapping):
        return False
    return all(isinstance(name, str) and isinstance(value, str) for name, value in filters.items())


class Standing:
    """Where a consumer stands within the page that it reads.

    Args:
        start: where it begins.
    """

    def __init__(self, start: Checkpoint) -> None:
        self._start = start
        self._page = 0
        self._places: Sequence[int] = ()
        self._after: int | None = None

    def enter(self, page: int, places: Sequence[int], after: int | None) -> None:
        """Begin to read a page.

        Args:
            page: its number.
            places: where, among its records, its tracks are.
            after: where to stand once all of them are read; `None` for the next page.
        """
        self._page, self._places, self._after = page, places, after

    def position(self, lowest: int, unread: int) -> Checkpoint:
        """The next track's position.

        Args:
            lowest: the lowest page that is not read, this one apart.
            unread: how many tracks of this page are left.
        """
        place = self._places[-unread] if unread else self._after
        if place is not None and self._page < lowest:
            return attrs.evolve(self._start, page=self._page, place=place)
        return attrs.evolve(self._start, page=lowest, place=self._start.place if lowest == self._start.page else 0)
