"""The ids met so far, kept compactly: a million dense ones in a fraction of a megabyte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyroaring import BitMap64

_UNSIGNED: Final = 2**64 - 1


class SeenIds:
    """A set of signed 64-bit ids, as a compressed bitmap (https://roaringbitmap.org)."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids = BitMap64()

    def add_all(self, ids: Sequence[int]) -> list[int] | None:
        """Add ids; returns the places of those that were new, each once, or `None` where all were."""
        try:
            batch = BitMap64(ids)
        except OverflowError:  # a negative one
            ids = [id & _UNSIGNED for id in ids]  # two's complement: distinct for all of 64 bits
            batch = BitMap64(ids)
        if len(batch) == len(ids) and self._ids.isdisjoint(batch):
            self._ids.update(ids)
            return None
        places = self._new_places(ids)
        self._ids.update(ids)
        return places

    def discard_all(self, ids: Sequence[int]) -> None:
        """Remove ids."""
        self._ids.difference_update(BitMap64(id & _UNSIGNED for id in ids))

    def _new_places(self, ids: Sequence[int]) -> list[int]:
        met: set[int] = set()
        places: list[int] = []
        for place, id in enumerate(ids):
            if id not in met and id not in self._ids:
                met.add(id)
                places.append(place)
        return places
