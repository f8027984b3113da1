"""Catalogues of the fakes, known to both processes, so that the client can check its results."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from jogg_async import Track
from jogg_async.testing import Catalogue

STEADY: Final = 3000
"""Tracks of the catalogue that does not change."""

CHANGING: Final = 400
"""Tracks of the catalogue that changes, at its start."""

FILTERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"genre": "Corporate"},
    {"mood": "Calm"},
    {"genre": "Ambient", "mood": "Calm"},
)


def steady(filters: dict[str, str], base_url: str = "") -> Sequence[dict[str, Any]]:
    """Return the rows that match the filters, as the fake at this address sends them."""
    catalogue = Catalogue(STEADY)
    catalogue.base_url = base_url
    return list(catalogue.filtered(**filters))


@functools.cache
def irregular() -> tuple[dict[str, Any], ...]:
    """Return rows of which some have an invalid id, some repeat an id, and some have undocumented fields."""
    return tuple(_irregular(number) for number in range(1, 601))


def _irregular(number: int) -> dict[str, Any]:
    row: dict[str, Any] = {"id": number, "name": f"Row {number}", "duration": number % 400 or None}
    if number % 41 == 0:
        row["id"] = [str(number), None, number + 0.5, True][number % 4]
    elif number % 59 == 0:
        row = {"id": number - 30, "name": "again"}
    elif number % 7 == 0:
        row |= {"genre": "Corporate", "tags": [number, {"deep": [None, "ö"]}]}
    return row


def track_of(row: dict[str, Any]) -> Track:
    """Return the track of a valid row."""
    known = ("id", "name", "music_url", "duration")
    fields: dict[str, Any] = {name: row.get(name) for name in known}
    extra = {name: value for name, value in row.items() if name not in known}
    return Track(**fields, extra=extra) if extra else Track(**fields)
