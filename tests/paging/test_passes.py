"""Passes over the catalogue, without I/O: changes, repeated ids, and how often it is crawled again."""

from __future__ import annotations

import linecache
import warnings
from typing import Any, Final

import attrs
import pytest

from jogg_async import CatalogueChangedError, CatalogueChangedWarning
from jogg_async._paging.page_range import PageRange
from jogg_async._paging.passes import History, Passes
from jogg_async._paging.seen_ids import SeenIds
from jogg_async.models import Pagination
from jogg_async.settings import OnDrift

UNCHANGED: Final = History(
    changed=False, drifted=False, recrawls=0, records=0, ordered=True, covers_all=True, ids=SeenIds()
)


def passes_of(on_drift: OnDrift = "recrawl") -> tuple[PageRange, Passes]:
    """Return a range of 20 pages of 10 tracks, and the passes over it."""
    pages = PageRange(10, 1, 1000)
    pages.record_response(1, Pagination(total_items=200, total_pages=20), 10)
    return pages, Passes(pages, on_drift)


def history(*ids: int, **facts: Any) -> History:
    """Return the history of an interrupted crawl that yielded these ids."""
    seen = SeenIds()
    seen.add_all(ids)
    return attrs.evolve(UNCHANGED, ids=seen, **facts)


def test_new_passes_have_counted_nothing() -> None:
    _, passes = passes_of()
    facts = passes.recrawls, passes.duplicates, passes.skipped, passes.drifted, passes.changed, passes.wants_recrawl
    assert facts == (0, 0, [], False, False, False)


def test_catalogue_that_keeps_changing_is_crawled_again_five_times() -> None:
    pages, passes = passes_of()
    recrawls: list[int] = []
    pages.note_change(1, "a change")
    while passes.wants_recrawl and len(recrawls) < 10:
        passes.begin_recrawl(1)
        recrawls.append(passes.recrawls)
        pages.note_change(1, "a change")
    assert recrawls == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("on_drift", ["ignore", "warn", "raise"])
def test_other_policies_want_no_recrawl(on_drift: OnDrift) -> None:
    pages, passes = passes_of(on_drift)
    pages.note_change(1, "a change")
    assert (passes.changed, passes.wants_recrawl) == (True, False)


def test_pass_without_a_change_ends_the_recrawls_and_the_crawl_stays_drifted() -> None:
    pages, passes = passes_of()
    pages.note_change(1, "a change")
    assert (passes.changed, passes.drifted, passes.wants_recrawl) == (True, True, True)
    passes.begin_recrawl(1)
    assert (passes.changed, passes.drifted, passes.wants_recrawl) == (False, True, False)


def test_ids_of_an_earlier_pass_are_neither_yielded_again_nor_a_change() -> None:
    pages, passes = passes_of()
    assert passes.new_indexes(1, [1, 2, 3], 3) is None
    assert passes.new_indexes(2, [3, 4, 4, 5], 4) == [1, 3]
    assert (passes.duplicates, pages.change) == (2, "an id came twice")
    passes.begin_recrawl(1)
    assert passes.new_indexes(1, [1, 2, 6], 3) == [2]
    assert passes.new_indexes(2, [7], 1) is None
    assert (passes.duplicates, passes.changed) == (2, False)
    assert passes.new_indexes(3, [6, 8], 2) == [1]
    assert (passes.duplicates, passes.changed) == (3, True)


def test_skipped_ids_are_yielded_by_the_first_recrawl_alone() -> None:
    _, passes = passes_of()
    passes.new_indexes(1, [1, 2, 3], 3)
    passes.skipped = [1, 2]
    passes.begin_recrawl(1)
    assert passes.new_indexes(1, [1, 2, 3], 3) == [0, 1]
    passes.begin_recrawl(1)
    assert passes.new_indexes(1, [1, 2, 3], 3) == []


@pytest.mark.parametrize(
    ("first", "again", "records", "ends"),
    [([1], [1], 1, True), ([1], [1, 2], 2, False), ([1], [2], 1, False), ([1], [], 1, False), ([1], [1], 9, True)],
)
def test_page_without_a_new_id_ends_a_pass_without_totals(
    first: list[int], again: list[int], records: int, ends: bool
) -> None:
    pages = PageRange(10, 1, 1000)
    passes = Passes(pages, "ignore")
    passes.new_indexes(1, first, len(first))
    passes.new_indexes(2, again, records)
    assert (pages.ended, pages.records) == (ends, len(first) + records)


RESUMED: Final[dict[str, tuple[History, bool]]] = {
    "in order": (history(1), True),
    "out of order": (history(1, ordered=False), False),
    "in a recrawl": (history(1, recrawls=1), False),
    "in a recrawl, out of order": (history(1, recrawls=1, ordered=False), False),
}


@pytest.mark.parametrize(("past", "is_change"), RESUMED.values(), ids=RESUMED)
def test_id_of_the_interrupted_crawl_is_a_change_only_if_its_page_cannot_come_again(
    past: History, is_change: bool
) -> None:
    _, passes = passes_of()
    passes.resume(past)
    assert passes.new_indexes(2, [1, 5], 2) == [1]
    assert (passes.changed, passes.duplicates, passes.recrawls) == (is_change, int(is_change), past.recrawls)
    assert passes.new_indexes(3, [5, 6], 2) == [1]
    assert passes.changed


@pytest.mark.parametrize(
    ("past", "changed", "drifted"),
    [
        (history(), False, False),
        (history(drifted=True), False, True),
        (history(changed=True, drifted=True), True, True),
    ],
    ids=["neither", "an earlier pass", "the interrupted pass"],
)
def test_change_before_the_interruption_is_kept(past: History, changed: bool, drifted: bool) -> None:
    _, passes = passes_of()
    passes.resume(past)
    assert (passes.changed, passes.drifted, passes.wants_recrawl) == (changed, drifted, changed)


def test_recrawls_before_the_interruption_count_towards_the_five() -> None:
    pages, passes = passes_of()
    passes.resume(history(recrawls=4))
    pages.note_change(1, "a change")
    assert passes.wants_recrawl
    passes.begin_recrawl(1)
    pages.note_change(1, "a change")
    assert (passes.recrawls, passes.wants_recrawl) == (5, False)


def test_history_without_ids_has_seen_none() -> None:
    _, passes = passes_of()
    passes.resume(History(changed=False, drifted=False, recrawls=0, records=0, ordered=True, covers_all=True))
    assert passes.new_indexes(1, [1, 2], 2) is None


@pytest.mark.parametrize("on_drift", ["ignore", "warn", "raise", "recrawl"])
def test_pass_without_a_change_reports_no_drift(on_drift: OnDrift) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passes_of(on_drift)[1].report_drift()


def test_ignored_change_is_not_reported() -> None:
    pages, passes = passes_of("ignore")
    pages.note_change(1, "a change")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passes.report_drift()


def test_change_raises_where_it_must() -> None:
    pages, passes = passes_of("raise")
    pages.note_change(1, "a change")
    with pytest.raises(CatalogueChangedError):
        passes.report_drift()


@pytest.mark.parametrize("on_drift", ["warn", "recrawl"])
def test_warning_of_a_change_points_at_the_first_line_outside_of_the_package(on_drift: OnDrift) -> None:
    pages, passes = passes_of(on_drift)
    pages.note_change(1, "a change")
    with pytest.warns(CatalogueChangedWarning, match="the catalogue changed during the crawl") as caught:
        passes.report_drift()
    (warning,) = caught
    assert warning.filename == __file__
    assert linecache.getline(warning.filename, warning.lineno).strip() == "passes.report_drift()"
