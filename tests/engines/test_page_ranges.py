"""Division of the catalogue's pages among the partitions of a data frame."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import DecodeError, Page, Pagination, Track
from jogg_async._engines.page_ranges import split, totals

START: dict[str, Any] = {"page": 1, "place": 0, "page_size": 100, "limit": None, "end_page": None, "filters": {}}


def checkpoints(total_pages: int | None, npartitions: int, **start: Any) -> list[dict[str, Any]]:
    return split(START | start, Pagination(total_items=2500, total_pages=total_pages), npartitions)


def pages(total_pages: int | None, npartitions: int, **start: Any) -> list[tuple[int, int | None]]:
    """Return the first and the last page of each partition."""
    return [(each["page"], each["end_page"]) for each in checkpoints(total_pages, npartitions, **start)]


@pytest.mark.parametrize(
    ("total_pages", "npartitions", "start", "expected"),
    [
        (25, 1, {}, [(1, None)]),
        (25, 4, {}, [(1, 6), (7, 12), (13, 18), (19, None)]),
        (3, 8, {}, [(1, 1), (2, 2), (3, None)]),
        (0, 3, {}, [(1, None)]),
        (None, 3, {}, [(1, None)]),
        (25, 3, {"page": 20, "end_page": 25}, [(20, 21), (22, 23), (24, 25)]),
        (25, 2, {"end_page": 10}, [(1, 5), (6, 10)]),
        (25, 2, {"end_page": 40}, [(1, 12), (13, 40)]),
        (25, 2, {"page": 30}, [(30, None)]),
        (25, 2, {"limit": 301}, [(1, 2), (3, None)]),
        (25, 9, {"limit": 300, "place": 1}, [(1, 1), (2, 2), (3, 3), (4, None)]),
        (25, 9, {"limit": 0}, [(1, None)]),
    ],
)
def test_pages_are_divided_among_the_partitions(
    total_pages: int | None, npartitions: int, start: dict[str, Any], expected: list[tuple[int, int | None]]
) -> None:
    assert pages(total_pages, npartitions, **start) == expected


@pytest.mark.parametrize(
    ("npartitions", "start", "limits"),
    [
        (1, {"limit": 301}, [301]),
        (2, {"limit": 301}, [None, 101]),
        (4, {"limit": 301, "place": 50}, [None, None, None, 51]),
        (4, {"limit": 0}, [0]),
        (3, {}, [None, None, None]),
    ],
)
def test_last_partition_ends_at_the_limit(npartitions: int, start: dict[str, Any], limits: list[int | None]) -> None:
    assert [each["limit"] for each in checkpoints(25, npartitions, **start)] == limits


def test_partition_starts_from_the_totals_and_at_its_own_first_page() -> None:
    first, second = checkpoints(25, 2, place=7, filters={"mood": "Calm"})
    own = {"filters": {"mood": "Calm"}, "page_size": 100, "limit": None, "total_items": 2500, "total_pages": 25}
    assert first == own | {"page": 1, "start_page": 1, "place": 7, "end_page": 12}
    assert second == own | {"page": 13, "start_page": 13, "place": 0, "end_page": None}


@pytest.mark.parametrize(
    ("totals_before", "expected"),
    [
        ({"total_items": 2400, "total_pages": 24}, (2400, 24)),
        ({"total_items": 2400, "total_pages": None}, (2400, 25)),
        ({"total_items": None, "total_pages": None}, (2500, 25)),
    ],
)
def test_first_partition_alone_has_the_totals_of_the_checkpoint_to_resume(
    totals_before: dict[str, Any], expected: tuple[int, int]
) -> None:
    parts = split(START | totals_before, Pagination(total_items=2500, total_pages=25), 3)
    found = [(each["total_items"], each["total_pages"]) for each in parts]
    assert found == [expected, (2500, 25), (2500, 25)]


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 300))
def test_partitions_are_contiguous_and_equally_long(first: int, more: int, npartitions: int) -> None:
    ranges = pages(first + more, npartitions, page=first)
    firsts = [start for start, _ in ranges]
    assert len(ranges) == min(npartitions, more + 1)
    assert [end for _, end in ranges] == [*(start - 1 for start in firsts[1:]), None]
    lengths = [after - start for start, after in zip(firsts, [*firsts[1:], first + more + 1], strict=True)]
    assert firsts[0] == first
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("pagination", "total_pages"),
    [
        (Pagination(total_items=101, page_size=50), 3),
        (Pagination(total_items=100), 10),
        (Pagination(total_items=100, page_size=-5), 10),
        (Pagination(total_items=101, total_pages=7), 7),
        (Pagination(total_items=0), 0),
    ],
)
def test_missing_number_of_pages_is_computed(pagination: Pagination, total_pages: int) -> None:
    assert totals(Page((), pagination), 10, 1).total_pages == total_pages


@pytest.mark.parametrize(
    ("pagination", "records", "expected"),
    [
        (Pagination(page_size=50, total_items=1000, total_pages=20), 50, 50),
        (Pagination(page_size=200, total_items=1000, total_pages=5), 100, 100),
        (Pagination(page_size=0, total_items=1000, total_pages=10), 100, 100),
        (Pagination(total_items=1000, total_pages=20), 50, 50),
        (Pagination(page_size=100, total_items=1000, total_pages=20), 50, 50),
        (Pagination(total_items=1000, total_pages=10), 99, 100),  # a missing record is no cap
        (Pagination(total_items=60, total_pages=1), 60, 100),
        (Pagination(total_items=1000), 50, 100),
        (Pagination(total_items=1000, total_pages=10), 0, 100),
    ],
)
def test_page_size_is_smaller_if_the_response_shows_a_cap(pagination: Pagination, records: int, expected: int) -> None:
    page = Page(tuple(Track(number) for number in range(records)), pagination)
    assert totals(page, 100, 1).page_size == expected


def test_limit_is_divided_by_the_capped_page_size() -> None:
    first, last = split({**START, "limit": 301}, Pagination(page_size=50, total_items=1000, total_pages=20), 2)
    assert (first["page"], first["end_page"], last["page"], last["limit"]) == (1, 3, 4, 151)
    assert (first["page_size"], last["page_size"]) == (100, 100)


@pytest.mark.parametrize(("total", "what"), [(None, "has no total"), (-1, "total is -1")])
def test_response_without_a_valid_total_is_an_error(total: int | None, what: str) -> None:
    with pytest.raises(DecodeError, match=what) as caught:
        totals(Page((), Pagination(total_items=total), rid="abc"), 100, 2)
    assert (caught.value.page, caught.value.attempts, caught.value.rid) == (1, 2, "abc")
    assert caught.value.path == "$.data.pagination.total_items"
