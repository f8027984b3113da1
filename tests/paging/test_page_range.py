from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import Pagination
from jogg_async._paging.page_range import PageRange


def page_range(page_size: int = 100, first_page: int = 1, end_page: float = math.inf) -> PageRange:
    return PageRange(page_size, first_page, end_page)


def total(pages: int | None = None, items: int | None = None, **more: Any) -> Pagination:
    return Pagination(total_pages=pages, total_items=items, **more)


def with_responses(known: PageRange, responses: Iterable[tuple[int, Pagination]], *, empty: bool = False) -> PageRange:
    for number, pagination in responses:
        known.record_response(number, pagination, records=0 if empty else 100)
    return known


@pytest.mark.parametrize("first", [1, 2, 50])
def test_before_any_response_only_the_first_page_is_in_range(first: int) -> None:
    known = page_range(first_page=first)
    assert known.last == first
    assert not known.has_total
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
        (100, total(None, 250, page_size=50), 250, 5, 5),  # the size that the response names
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
def test_range_follows_from_one_response(
    page_size: int, pagination: Pagination, items: int | None, pages: int | None, last: float
) -> None:
    known = with_responses(page_range(page_size), [(1, pagination)])
    assert (known.total_items, known.total_pages, known.last) == (items, pages, last)
    assert known.has_total is (pages is not None)
    assert not known.drifted


@pytest.mark.parametrize(
    ("responses", "pages", "drifted"),
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
def test_newest_total_sets_the_last_page(responses: list[Pagination], pages: int, drifted: bool) -> None:
    known = with_responses(page_range(), enumerate(responses, 1))
    assert known.total_pages == known.last == pages
    assert known.drifted is drifted


@pytest.mark.parametrize(("end_page", "last"), [(1, 1), (2, 2), (3, 3), (4, 3), (math.inf, 3)])
def test_the_end_page_bounds_the_total(end_page: float, last: float) -> None:
    assert with_responses(page_range(end_page=end_page), [(1, total(3, 250))]).last == last
    assert with_responses(page_range(end_page=end_page), [(1, total())]).last == end_page


@pytest.mark.parametrize(("named", "drifted"), [(None, False), (2, False), (1, True), (3, True), (0, True)])
def test_a_response_that_names_another_page_is_drift(named: int | None, drifted: bool) -> None:
    assert with_responses(page_range(), [(2, Pagination(page=named))]).drifted is drifted


def test_without_totals_the_first_empty_page_is_the_end() -> None:
    known = with_responses(page_range(), [(1, total()), (2, total()), (3, total())])
    assert known.last == math.inf
    known.record_response(5, total(), records=0 if True else 100)
    assert (known.last, known.ended, known.drifted) == (5, True, False)
    known.record_response(4, total(), records=0 if True else 100)
    assert known.last == 4
    known.record_response(9, total(), records=0 if True else 100)
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
        known = page_range()
        for number in (number for number in range(1, 21) if number not in empty):
            known.record_response(number, total(20), records=0 if False else 100)
        with_responses(known, ((number, total(20)) for number in arrived), empty=True)
        assert (known.last, known.drifted, known.ended) == (last, drifted, False)  # pages beyond may be yielded


@settings(deadline=None)
@given(st.sets(st.integers(1, 15)), st.integers(1, 15), st.booleans(), st.data())
def test_the_order_of_responses_does_not_change_the_range(
    empty: set[int], pages: int, tells: bool, data: st.DataObject
) -> None:
    pagination = total(pages) if tells else total()
    numbers = range(1, (pages if tells else 15) + 1)
    by_number, by_arrival = page_range(), page_range()
    for number in numbers:
        by_number.record_response(number, pagination, records=0 if number in empty else 100)
    for number in data.draw(st.permutations(numbers)):
        by_arrival.record_response(number, pagination, records=0 if number in empty else 100)
    assert (by_arrival.last, by_arrival.drifted, by_arrival.ended) == (
        *(by_number.last, by_number.drifted),
        by_number.ended,
    )


@settings(deadline=None)
@given(st.sets(st.integers(1, 40)), st.integers(1, 8))
def test_dropping_empty_pages_behind_the_consumer_does_not_change_the_end(empty: set[int], ahead: int) -> None:
    forgets, keeps = page_range(), page_range()
    for number in range(1, 41):
        for pages in (forgets, keeps):
            pages.record_response(number, total(40), records=0 if number in empty else 100)
        if number > ahead:
            forgets.record_page(number - ahead, 100, valid=1, new=1)
        assert (keeps.last, keeps.ended, keeps.drifted) == (forgets.last, forgets.ended, forgets.drifted)
        assert len(forgets._empty) <= ahead + 4


def test_empty_pages_end_a_crawl_with_an_absurd_total() -> None:
    known = with_responses(page_range(), [(1, total(10**12, 10**14))])
    number = 1
    while number < known.last:
        number += 1
        known.record_response(number, total(10**12, 10**14), records=0 if number > 7 else 100)
    assert (number, known.drifted) == (10, True)


def test_stop_at_ends_the_pass_and_begin_pass_starts_a_new_one() -> None:
    pages = with_responses(page_range(first_page=2), [(2, total(9, 900, page=1))])
    pages.stop_at(5)
    pages.stop_at(7)
    assert (pages.last, pages.ended, pages.drifted) == (5, True, True)
    pages.begin_pass(2)
    assert (pages.last, pages.ended, pages.drifted) == (9, False, False)  # the total of the pass before is a guess
    assert (pages.total_pages, pages.total_items, pages.has_total) == (9, 900, True)
    with_responses(pages, [(2, total(8, 800))])  # differs from the pass before, not within this one
    assert (pages.last, pages.drifted) == (8, False)


def test_empty_pages_of_an_earlier_pass_do_not_count() -> None:
    pages = with_responses(page_range(), [(1, total(9)), (2, total(9))], empty=True)
    pages.begin_pass(1)
    with_responses(pages, [(1, total(9))])
    with_responses(pages, [(3, total(9))], empty=True)
    assert (pages.last, pages.drifted) == (9, False)


def test_empty_pages_just_behind_the_consumer_still_count_towards_the_end() -> None:
    pages = with_responses(page_range(), [(number, total(20)) for number in (1, 3, 5, 6)], empty=True)
    pages.record_page(7, 0, valid=0, new=0)
    pages.record_response(7, total(20), records=0)
    assert (pages.last, pages.drifted) == (7, True)


@pytest.mark.parametrize(
    ("responses", "size", "last"),
    [
        ([(1, total(None, 730), 50)], 50, 15),  # asked 100, and the service caps at 50
        ([(1, total(None, 730, page_size=100), 50)], 50, 15),  # though it says 100
        ([(1, total(15, 730), 50)], 50, 15),
        ([(1, total(None, 730), 100)], 100, 8),
        ([(1, total(None, 730), 99), (2, total(None, 730), 100)], 100, 8),  # one short page is a gap, no cap
        ([(8, total(None, 730), 30)], 100, 8),  # the last page is short by right
        ([(1, total(None, 730), 50), (15, total(None, 730), 30)], 50, 15),
        ([(8, total(None, 730), 29)], 29, 26),  # too short for the last page
        ([(1, total(None, 73), 50)], 50, 2),
        ([(9, total(None, 730), 50)], 50, 15),  # beyond the last page
        ([(8, total(None, 730), 0)], 100, 8),
        ([(9, total(None, 730), 0)], 100, 8),
        ([(8, total(None, 730), 50)], 50, 15),
        ([(1, total(None, 730), 0)], 100, 8),
        ([(1, total(None, 730), 120)], 100, 8),
        ([(1, total(), 50)], 100, math.inf),
    ],
)
def test_a_short_page_shows_the_real_page_size(
    responses: list[tuple[int, Pagination, int]], size: int, last: float
) -> None:
    pages = page_range(100)
    for number, pagination, records in responses:
        pages.record_response(number, pagination, records)
    assert (pages.page_size, pages.last) == (size, last)


@pytest.mark.parametrize(
    ("responses", "last"),
    [
        ([(8, 29), (9, 0)], 9),  # nothing follows the short last page: it lacks a record
        ([(8, 29), (9, 29), (10, 0)], 26),
        ([(7, 100), (8, 29), (9, 0)], 8),
        ([(1, 50), (9, 0)], 15),
    ],
)
def test_empty_page_after_a_short_last_page_ends_the_crawl_without_a_change(
    responses: list[tuple[int, int]], last: float
) -> None:
    pages = page_range(100)
    for number, records in responses:
        pages.record_response(number, total(None, 730), records)
    assert (pages.last, pages.drifted) == (last, False)


@pytest.mark.parametrize(
    ("first_page", "end_page", "taken", "drifted"),
    [
        (1, math.inf, 250, False),
        (1, math.inf, 251, False),
        (1, math.inf, 249, True),
        (1, 3, 249, False),  # not over all pages
        (2, math.inf, 150, False),
    ],
)
def test_fewer_records_than_the_total_over_all_pages_are_drift(
    first_page: int, end_page: float, taken: int, drifted: bool
) -> None:
    pages = with_responses(page_range(first_page=first_page, end_page=end_page), [(first_page, total(3, 250))])
    pages.record_page(first_page, taken, valid=1, new=1)
    pages.finish_pass()
    assert pages.drifted is drifted


def test_without_a_total_no_number_of_records_is_drift() -> None:
    pages = with_responses(page_range(), [(1, total(3))])
    pages.record_page(1, 5, valid=1, new=1)
    pages.finish_pass()
    assert not pages.drifted


@pytest.mark.parametrize(("run", "has_total", "ended"), [(1, False, True), (99, True, False), (100, True, True)])
def test_repeated_pages_in_a_row_end_the_pass(run: int, has_total: bool, ended: bool) -> None:
    pages = with_responses(page_range(), [(1, total(10**6) if has_total else total())])
    for number in range(1, run + 1):
        pages.record_page(number, 100, valid=1, new=0)
    assert (pages.ended, pages.last == run) == (ended, ended)


@pytest.mark.parametrize(("has_total", "most"), [(True, 1000), (False, 100)])
def test_many_pages_in_a_row_without_a_valid_record_end_the_pass(has_total: bool, most: int) -> None:
    pages = with_responses(page_range(), [(1, total(10**6) if has_total else total())])
    for number in range(1, most + 1):
        assert not pages.ended
        pages.record_page(number, 100, valid=0, new=0)
    assert (pages.ended, pages.last) == (True, most)
    assert pages.change == f"{most} pages in a row brought no new track"


def test_run_of_repeated_pages_is_counted_from_the_last_page_with_a_new_id() -> None:
    pages, ended = with_responses(page_range(), [(1, total(10**6))]), list[int]()
    for number in range(1, 152):
        pages.record_page(number, 100, valid=1, new=int(number == 50))
        ended += [number] if pages.ended else []
    assert ended == [150, 151]


def test_a_page_with_a_new_id_resets_the_run_of_repeated_pages() -> None:
    pages = with_responses(page_range(), [(1, total(10**6))])
    for number in range(1, 301):
        pages.record_page(number, 100, valid=1, new=int(number % 100 == 0))
    assert not pages.ended
    pages.begin_pass(1)
    for number in range(1, 100):
        pages.record_page(number, 100, valid=1, new=0)
    assert not pages.ended


@pytest.mark.parametrize(
    ("items", "pages", "drifted"),
    [(250, 3, False), (None, None, False), (249, 3, True), (250, 4, True), (251, None, True)],
)
def test_totals_are_compared_with_those_of_the_checkpoint(items: int | None, pages: int | None, drifted: bool) -> None:
    resumed = PageRange(100, 2, math.inf, total_items=items, total_pages=pages)
    assert (resumed.total_items, resumed.total_pages) == (None, None)
    assert with_responses(resumed, [(2, total(3, 250))]).drifted is drifted


@pytest.mark.parametrize(
    ("expected", "end_page", "last"), [(None, math.inf, 2), (9, math.inf, 9), (9, 4, 4), (1, math.inf, 2), (0, 9, 2)]
)
def test_expected_pages_bound_the_range_until_the_first_response(
    expected: int | None, end_page: float, last: float
) -> None:
    pages = page_range(first_page=2, end_page=end_page)
    pages.expected_pages = expected
    assert pages.last == last
    assert with_responses(pages, [(2, total(3, 250))]).last == 3


@pytest.mark.parametrize(
    ("items", "end_page", "page", "place", "left"),
    [(250, math.inf, 1, 0, 250), (250, 2, 1, 0, 200), (250, 9, 2, 30, 120), (250, math.inf, 9, 0, 0)],
)
def test_tracks_between_counts_from_the_place_to_the_end(
    items: int | None, end_page: float, page: int, place: int, left: int
) -> None:
    pages = page_range(end_page=end_page)
    assert pages.tracks_between(page, place) is None
    assert with_responses(pages, [(1, total(3, items))]).tracks_between(page, place) == left
