"""Partitions of a Dask data frame without the ids that an earlier one has."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any, Final

import attrs

from jogg_async._paging.seen_ids import SeenIds
from jogg_async.errors import CatalogueChangedError, CatalogueChangedWarning
from jogg_async.settings import OnDrift

dask: Any = import_module("dask")
frames: Any = import_module("dask.dataframe")
distributed: Any = import_module("distributed")

DRIFTED: Final = "drifted"
"""Key in the ``attrs`` of a partition: true if the catalogue changed while it was read."""

_CHANGED: Final = "the catalogue changed while it was read (its totals, or an id on two pages)"


@attrs.frozen
class _Earlier:
    """Ids of the partitions before a partition, and whether one of them noticed a change of the catalogue."""

    ids: SeenIds
    drifted: bool


def without_repeats(read: Any, on_drift: OnDrift, meta: Any) -> Any:
    """Return the frame without tracks whose ids an earlier partition has. Report a change of the catalogue once.

    Args:
        read: frame whose partitions have `DRIFTED` in their ``attrs``.
        on_drift: policy for changes of the catalogue.
        meta: empty partition with the types of the frame.
    """
    earlier: Any = _Earlier(SeenIds(), drifted=False)
    checked: list[Any] = []
    for part in read.to_delayed():
        after = dask.delayed(_add)(part, earlier, on_drift)
        checked.append(dask.delayed(_new_tracks)(part, earlier, after))
        earlier = after
    return frames.from_delayed(checked, meta=meta, prefix="tracks", verify_meta=False)


def _add(part: Any, earlier: _Earlier, on_drift: OnDrift) -> _Earlier:
    """Return the summary of the earlier partitions and this one.

    Raises:
        CatalogueChangedError: the catalogue changed, under ``on_drift="raise"``.
    """
    ids = copy.deepcopy(earlier.ids)  # other tasks read it
    drifted = ids.add_all(part["id"].tolist()) is not None or part.attrs[DRIFTED]
    if drifted and not earlier.drifted:
        _report(on_drift)
    return _Earlier(ids, earlier.drifted or drifted)


def _new_tracks(part: Any, earlier: _Earlier, _: _Earlier) -> Any:
    """Return the partition without the ids of earlier ones. It depends on its own summary, which reports changes."""
    new = copy.deepcopy(earlier.ids).add_all(part["id"].tolist())
    return part if new is None else part.iloc[new]


def _report(on_drift: OnDrift) -> None:
    if on_drift == "raise":
        raise CatalogueChangedError(_CHANGED)
    if on_drift != "ignore":
        distributed.warn(CatalogueChangedWarning(f"{_CHANGED}: some tracks may be missing"), CatalogueChangedWarning)
