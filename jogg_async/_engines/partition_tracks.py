"""Tracks of a partition of a data frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from jogg_async._render.records import COLUMNS
from jogg_async.errors import argument_error
from jogg_async.models import Track

_REQUIRED: Final = ("id", "music_url")


def check_columns(frame: Any) -> None:
    """Check that a frame has the columns without which nothing can be downloaded.

    Raises:
        ArgumentError: one is missing.
    """
    names: list[str] = list(getattr(frame, "columns", ()))
    if missing := [name for name in _REQUIRED if name not in names]:
        wanted = "must be a Dask data frame with the columns id and music_url"
        raise argument_error("tracks", f"{wanted}; this one has no {missing[0]}.")


def tracks_of(part: Any) -> Iterator[Track]:
    """Yield the tracks of a partition.

    Args:
        part: pandas data frame with columns of `read_tracks`. Those that it lacks are `None`; others are ignored.
    """
    names = [name for name in COLUMNS if name in part.columns]
    values = part[names].astype(object)
    for row in values.where(values.notna(), None).itertuples(index=False, name=None):
        fields = dict(zip(names, row, strict=True))
        extra = fields.pop("extra", None)
        yield Track(**fields, extra=json.loads(extra) if extra else {})
