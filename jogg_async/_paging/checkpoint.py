"""Position of the consumer in a crawl, and the dict in which it is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

import attrs

from jogg_async._api.arguments import checked_int, checked_page_size
from jogg_async._api.limits import MIN_INT
from jogg_async._api.redaction import short_repr
from jogg_async.errors import argument_error


@attrs.frozen
class Checkpoint:
    """Position of the next track, with the page size, the filters and the bounds of the crawl.

    Attributes:
        page: page of the next track, from 1.
        place: index of the next track among that page's records, from 0.
        page_size: tracks per page, 1 to 100.
        filters: query parameters besides page and page size.
        start_page: first page of the whole crawl, from 1. A recrawl begins there.
        end_page: last page to fetch; `None` for no bound.
        limit: number of tracks still to yield, 0 or more; `None` for no bound.
        total_items: total of the first response of this pass; `None` if it named none.
        total_pages: number of pages, likewise.
        drifted: true if this pass has noticed a change of the catalogue.
    """

    page: int
    place: int
    page_size: int
    filters: dict[str, str]
    start_page: int = 1
    end_page: int | None = None
    limit: int | None = None
    total_items: int | None = None
    total_pages: int | None = None
    drifted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON. It has ``drifted`` only if that is true."""
        return attrs.asdict(self, filter=lambda field, value: value or field.name != "drifted")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Checkpoint:
        """Return the checkpoint that `as_dict` saved.

        Raises:
            ValueError: `given` is not such a dict.
        """
        try:
            page, place, page_size, filters = (given[name] for name in ("page", "place", "page_size", "filters"))
            rest = {name: given.get(name) for name in _LATER_FIELDS}
        except (KeyError, TypeError, IndexError, AttributeError):
            raise ValueError(f"resume must be a dict from TrackPager.checkpoint(), not {given!r:.80}.") from None
        if not _is_text(filters) or filters.keys() & {"page", "page_size"}:
            raise ValueError("resume must be a dict from TrackPager.checkpoint(): its filters are malformed.")
        return cls(
            checked_int("the page in resume", page, 1),
            checked_int("the place in resume", place, 0),
            checked_page_size(page_size, "the page_size in resume"),
            dict(filters),
            checked_int("the start_page in resume", 1 if rest["start_page"] is None else rest["start_page"], 1, page),
            _optional("end_page", rest["end_page"], 1),
            _optional("limit", rest["limit"], 0),
            _optional("total_items", rest["total_items"], MIN_INT),
            _optional("total_pages", rest["total_pages"], MIN_INT),
            _checked_drifted(rest["drifted"]),
        )


_LATER_FIELDS: Final = ("start_page", "end_page", "limit", "total_items", "total_pages", "drifted")


def _optional(name: str, value: object, low: int) -> int | None:
    return None if value is None else checked_int(f"the {name} in resume", value, low)


def _checked_drifted(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise argument_error("the drifted in resume", f"must be a bool, not {short_repr(value)}.")
    return bool(value)


def _is_text(filters: Any) -> TypeGuard[Mapping[str, str]]:
    if not issubclass(type(filters), Mapping):
        return False
    return all(isinstance(name, str) and isinstance(value, str) for name, value in filters.items())


class Cursor:
    """Position of the consumer within its current page.

    Args:
        page: first page of the crawl.
        place: index of the first record to yield on that page.
    """

    def __init__(self, page: int, place: int) -> None:
        self._first = (page, place)
        self._page = 0
        self._places: Sequence[int] = ()
        self._after: int | None = None

    def enter(self, page: int, places: Sequence[int], after: int | None) -> None:
        """Make a page the current one.

        Args:
            page: page number.
            places: indexes of its tracks among its records.
            after: index of the next record once all tracks are yielded; `None` for the start of the next page.
        """
        self._page, self._places, self._after = page, places, after

    def position(self, lowest: int, unread: int) -> tuple[int, int]:
        """Return the page and the index of the next track.

        Args:
            lowest: lowest page that has not been the current one yet.
            unread: number of tracks of the current page that are not yielded yet.
        """
        place = self._places[-unread] if unread else self._after
        if place is not None and self._page < lowest:
            return self._page, place
        return self._first if lowest == self._first[0] else (lowest, 0)
