"""Compact set of the ids seen so far: a million dense ids take a fraction of a megabyte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyroaring import BitMap64

_UNSIGNED: Final = 2**64 - 1


class SeenIds:
    """Set of signed 64-bit ids, as a compressed bitmap (https://roaringbitmap.org)."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids = BitMap64()

    def add_all(self, ids: Sequence[int]) -> list[int] | None:
        """Add ids; return the indexes of those that were new, each id once, or `None` if all were new."""
        try:
            batch = BitMap64(ids)
        except OverflowError:  # an id is negative
            ids = [id & _UNSIGNED for id in ids]  # two's complement keeps 64-bit ids distinct
            batch = BitMap64(ids)
        if len(batch) == len(ids) and self._ids.isdisjoint(batch):
            self._ids.update(ids)
            return None
        indexes = self._new_indexes(ids)
        self._ids.update(ids)
        return indexes

    def discard_all(self, ids: Sequence[int]) -> None:
        """Remove these ids. Those that are not in the set are ignored."""
        self._ids.difference_update(BitMap64(id & _UNSIGNED for id in ids))

    def _new_indexes(self, ids: Sequence[int]) -> list[int]:
        added: set[int] = set()
        indexes: list[int] = []
        for index, id in enumerate(ids):
            if id not in added and id not in self._ids:
                added.add(id)
                indexes.append(index)
        return indexes
