from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import Pagination
from jogg_async._extent import Extent


def extent(page_size: int = 100, first_page: int = 1, end_page: float = math.inf) -> Extent:
    return Extent(page_size, first_page, end_page)


def total(pages: int | None = None, items: int | None = None, **more: Any) -> Pagination:
    return Pagination(total_pages=pages, total_items=items, **more)


def noted(known: Extent, answers: Iterable[tuple[int, Pagination]], *, empty: bool = False) -> Extent:
    for number, pagination in answers:
        known.note(number, pagination, empty=empty)
    return known


@pytest.mark.parametrize("first", [1, 2, 50])
def test_before_any_answer_only_the_first_page_is_worth_asking_for(first: int) -> None:
    known = extent(first_page=first)
    assert known.last == first
    assert not known.known
    assert (known.total_items, known.total_pages, known.drifted, known.ended) == (None, None, False, False)


@pytest.mark.parametrize(
    ("page_size", "pagination", "items", "pages", "last"),
    [
        (100, total(3, 250), 250, 3, 3),
        (100, total(3), None, 3, 3),
        (100, total(0, 0), 0, 0, 0),
        (100, total(9, 250), 250, 9, 9),  # the pages it names count, whatever the items
        (100, total(None, 250), 250, 3, 3),
        (100, total(None, 300), 300, 3, 3),
        (100, total(None, 301), 301, 4, 4),
        (100, total(None, 0), 0, 0, 0),
        (100, total(None, 250, page_size=50), 250, 5, 5),  # the size that the answer names
        (50, total(None, 250, page_size=100), 250, 3, 3),
        (100, total(None, 250, page_size=0), 250, 3, 3),
        (100, total(None, 250, page_size=-5), 250, 3, 3),
        (100, total(10**12, 10**14), 10**14, 10**12, 10**12),
        (1, total(None, 2**63 - 1), 2**63 - 1, 2**63 - 1, 2**63 - 1),
        (100, total(-1, -1), None, None, math.inf),
        (100, total(-1, 250), 250, 3, 3),
        (100, total(3, -250), None, 3, 3),
        (100, total(), None, None, math.inf),
    ],
)
def test_what_one_answer_tells(
    page_size: int, pagination: Pagination, items: int | None, pages: int | None, last: float
) -> None:
    known = noted(extent(page_size), [(1, pagination)])
    assert (known.total_items, known.total_pages, known.last) == (items, pages, last)
    assert known.known is (pages is not None)
    assert not known.drifted


@pytest.mark.parametrize(
    ("answers", "pages", "drifted"),
    [
        ([total(3, 250), total(3, 250)], 3, False),
        ([total(3, 250), total(4, 301)], 4, True),  # grows
        ([total(3, 250), total(2, 200)], 2, True),  # shrinks
        ([total(3, 250), total(4, 301), total(3, 250)], 3, True),
        ([total(3, 250), total(3, 251)], 3, True),
        ([total(3), total(4)], 4, True),
        ([total(None, 250), total(None, 350)], 4, True),
        ([total(3, 250), total()], 3, False),  # says nothing new
        ([total(), total(3, 250)], 3, False),
        ([total(3), total(None, 250)], 3, False),
        ([total(3, 250), total(0, 0)], 0, True),
    ],
)
def test_the_newest_total_wins(answers: list[Pagination], pages: int, drifted: bool) -> None:
    known = noted(extent(), enumerate(answers, 1))
    assert known.total_pages == known.last == pages
    assert known.drifted is drifted


@pytest.mark.parametrize(("end_page", "last"), [(1, 1), (2, 2), (3, 3), (4, 3), (math.inf, 3)])
def test_the_end_page_bounds_the_total(end_page: float, last: float) -> None:
    assert noted(extent(end_page=end_page), [(1, total(3, 250))]).last == last
    assert noted(extent(end_page=end_page), [(1, total())]).last == end_page


@pytest.mark.parametrize(("named", "drifted"), [(None, False), (2, False), (1, True), (3, True), (0, True)])
def test_an_answer_that_names_another_page_is_drift(named: int | None, drifted: bool) -> None:
    assert noted(extent(), [(2, Pagination(page=named))]).drifted is drifted


def test_without_totals_the_first_empty_page_is_the_end() -> None:
    known = noted(extent(), [(1, total()), (2, total()), (3, total())])
    assert known.last == math.inf
    known.note(5, total(), empty=True)
    assert (known.last, known.ended, known.drifted) == (5, True, False)
    known.note(4, total(), empty=True)
    assert known.last == 4
    known.note(9, total(), empty=True)
    assert known.last == 4


@pytest.mark.parametrize(
    ("empty", "last", "drifted"),
    [
        ([4], 20, False),
        ([4, 5], 20, False),
        ([4, 6, 8, 10], 20, False),
        ([4, 5, 7, 8], 20, False),
        ([4, 5, 6], 6, True),
        ([1, 2, 3], 3, True),
        ([18, 19, 20], 20, True),
        ([19, 20, 21, 22, 23], 20, False),  # beyond the total nothing else is to be expected
        ([4, 5, 6, 7, 8, 9], 6, True),
        ([4, 5, 9, 10, 11], 11, True),
    ],
)
def test_three_empty_pages_in_a_row_end_the_pass(empty: list[int], last: int, drifted: bool) -> None:
    for arrived in (empty, empty[::-1], sorted(empty, key=lambda number: (number % 2, number))):
        known = extent()
        for number in (number for number in range(1, 21) if number not in empty):
            known.note(number, total(20), empty=False)
        noted(known, ((number, total(20)) for number in arrived), empty=True)
        assert (known.last, known.drifted, known.ended) == (last, drifted, drifted)


@settings(deadline=None)
@given(st.sets(st.integers(1, 15)), st.integers(1, 15), st.booleans(), st.data())
def test_the_order_of_arrival_does_not_matter(empty: set[int], pages: int, tells: bool, data: st.DataObject) -> None:
    pagination = total(pages) if tells else total()
    numbers = range(1, (pages if tells else 15) + 1)
    by_number, by_arrival = extent(), extent()
    for number in numbers:
        by_number.note(number, pagination, empty=number in empty)
    for number in data.draw(st.permutations(numbers)):
        by_arrival.note(number, pagination, empty=number in empty)
    assert (by_arrival.last, by_arrival.drifted, by_arrival.ended) == (
        *(by_number.last, by_number.drifted),
        by_number.ended,
    )


@settings(deadline=None)
@given(st.sets(st.integers(1, 40)), st.integers(1, 40))
def test_forgetting_what_was_read_changes_no_end(empty: set[int], ahead: int) -> None:
    keeps, forgets = extent(), extent()
    for number in range(1, 41):
        keeps.note(number, total(40), empty=number in empty)
        forgets.note(number, total(40), empty=number in empty)
        forgets.forget_below(max(1, number - ahead))
        assert (keeps.last, keeps.ended, keeps.drifted) == (forgets.last, forgets.ended, forgets.drifted)
        assert len(forgets._empty) <= ahead + 4


def test_an_absurd_total_ends_all_the_same() -> None:
    known = noted(extent(), [(1, total(10**12, 10**14))])
    number = 1
    while number < known.last:
        number += 1
        known.note(number, total(10**12, 10**14), empty=number > 7)
    assert (number, known.drifted) == (10, True)


def test_a_pass_can_be_ended_by_hand_and_begun_again() -> None:
    known = noted(extent(first_page=2), [(2, total(9, 900, page=1))])
    known.stop_at(5)
    known.stop_at(7)
    assert (known.last, known.ended, known.drifted) == (5, True, True)
    known.begin_pass()
    assert (known.last, known.ended, known.drifted) == (2, False, False)
    assert (known.total_pages, known.total_items, known.known) == (9, 900, True)
    noted(known, [(2, total(8, 800))])  # differs from the pass before, not within this one
    assert (known.last, known.drifted) == (8, False)


def test_a_new_pass_counts_empty_pages_anew() -> None:
    known = noted(extent(), [(1, total(9)), (2, total(9))], empty=True)
    known.begin_pass()
    noted(known, [(1, total(9))])
    noted(known, [(3, total(9))], empty=True)
    assert (known.last, known.drifted) == (9, False)


def test_the_newest_empty_pages_are_not_forgotten() -> None:
    known = noted(extent(), [(number, total(20)) for number in (1, 3, 5, 6)], empty=True)
    known.forget_below(7)
    known.note(7, total(20), empty=True)
    assert (known.last, known.drifted) == (7, True)
