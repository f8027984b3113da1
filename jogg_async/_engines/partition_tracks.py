"""Tracks of a partition of a data frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from jogg_async._render.records import COLUMNS
from jogg_async.errors import argument_error
from jogg_async.models import Track

_REQUIRED: Final = ("id", "music_url")

_MAX_FLOAT: Final = 2.0**53
"""Floats of this size and above may be rounded integers."""


def check_columns(frame: Any) -> None:
    """Check that a frame is a Dask one, and has the columns without which nothing can be downloaded.

    Raises:
        ArgumentError: it is not, or one is missing.
    """
    wanted = "must be a Dask data frame with the columns id and music_url"
    if not hasattr(frame, "to_delayed"):
        found = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        raise argument_error("tracks", f"{wanted}, not {found}.")
    names: list[str] = list(getattr(frame, "columns", ()))
    if missing := [name for name in _REQUIRED if name not in names]:
        raise argument_error("tracks", f"{wanted}; this one has no {missing[0]}.")


def tracks_of(part: Any) -> Iterator[Track]:
    """Yield the tracks of a partition, except rows without an id, such as those of an outer join.

    Args:
        part: pandas data frame with columns of `read_tracks`. Those that it lacks are `None`; others are ignored.

    Raises:
        ArgumentError: an id is no whole number.
    """
    names = [name for name in COLUMNS if name in part.columns]
    values = part[names].astype(object)
    for row in values.where(values.notna(), None).itertuples(index=False, name=None):
        fields = dict(zip(names, row, strict=True))
        number, extra = fields.pop("id"), fields.pop("extra", None)
        if number is not None:
            yield Track(_whole(number), **fields, extra=json.loads(extra) if extra else {})


def _whole(value: Any) -> int:
    """Return an id as an integer. A column with nulls may hold integers as floats."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_FLOAT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise argument_error("tracks", f"must hold whole numbers in the column id, not {value!r:.80}.")
    return value
