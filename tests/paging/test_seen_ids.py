from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from jogg_async._paging.seen_ids import SeenIds

EXTREMES = [-(2**63), -(2**63) + 1, -(2**32), -1, 0, 1, 2**31, 2**32, 2**63 - 2, 2**63 - 1]
IDS = st.one_of(st.sampled_from(EXTREMES), st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))


def places_of_new(met: set[int], batch: list[int]) -> list[int]:
    places: list[int] = []
    for place, each in enumerate(batch):
        if each not in met:
            met.add(each)
            places.append(place)
    return places


@settings(deadline=None)
@given(st.lists(st.lists(IDS, max_size=12), max_size=12))
def test_seen_ids_find_new_ids_as_a_set_does(batches: list[list[int]]) -> None:
    seen, met = SeenIds(), set[int]()
    for batch in batches:
        expected = places_of_new(met, batch)
        told = seen.add_all(batch)
        assert (list(range(len(batch))) if told is None else told) == expected


def test_discarded_ids_are_new_again() -> None:
    seen = SeenIds()
    seen.add_all([*EXTREMES, 7])
    seen.discard_all([-1, 7, 8])
    assert seen.add_all([*EXTREMES, 7, 8]) == [EXTREMES.index(-1), len(EXTREMES), len(EXTREMES) + 1]


@settings(deadline=None)
@given(st.lists(IDS, max_size=12, unique=True), st.lists(IDS, max_size=12, unique=True))
def test_add_all_returns_none_if_all_ids_are_new(first: list[int], second: list[int]) -> None:
    seen = SeenIds()
    assert seen.add_all(first) is None
    assert (seen.add_all(second) is None) == set(first).isdisjoint(second)


@pytest.mark.parametrize(
    ("batches", "last"),
    [
        ([[]], None),
        ([[1, 2, 3]], None),
        ([[1, 1]], [0]),
        ([[5, 6, 5, 7, 6]], [0, 1, 3]),
        ([[1, 2], [2, 3]], [1]),
        ([[1, 2], [2, 1]], []),
        ([[-1], [2**63 - 1, -(2**63)]], None),
        ([[-1], [-1, 1]], [1]),
        ([[1], [-1, -1, 1]], [0]),
        ([[-(2**63)], [-(2**63), 0]], [1]),
        ([EXTREMES, EXTREMES], []),
    ],
)
def test_add_all_returns_the_places_of_the_new_ids(batches: list[list[int]], last: list[int] | None) -> None:
    seen = SeenIds()
    *before, batch = batches
    for each in before:
        seen.add_all(each)
    assert seen.add_all(batch) == last


def test_add_all_does_not_change_the_batch() -> None:
    batch = [-3, 4, -3]
    SeenIds().add_all(batch)
    assert batch == [-3, 4, -3]


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_a_million_dense_ids_take_less_than_a_megabyte(order: str) -> None:
    seen = SeenIds()
    pages = [list(range(start, start + 100)) for start in range(4_000_000, 5_000_000, 100)]
    if order == "descending":
        pages = [page[::-1] for page in pages[::-1]]
    elif order == "shuffled":
        random.Random(7).shuffle(pages)
    for page in pages:
        assert seen.add_all(page) is None
    assert isinstance(seen._ids, BitMap64)
    assert len(seen._ids) == 1_000_000
    assert len(seen._ids.serialize()) < 1_000_000
