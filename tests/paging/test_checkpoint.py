from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import JoggSession
from jogg_async._paging.checkpoint import Checkpoint, Cursor

POSITION: dict[str, Any] = {"page": 3, "place": 7, "page_size": 50, "filters": {"mood": "Calm"}}
BOUNDS: dict[str, Any] = {"start_page": 2, "end_page": 9, "limit": 40, "total_items": 500, "total_pages": 10}
NO_BOUNDS: dict[str, Any] = {"start_page": 1, "end_page": None, "limit": None, "total_items": None, "total_pages": None}
GIVEN = POSITION | BOUNDS


@settings(deadline=None)
@given(
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(1, 100),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_a_checkpoint_survives_json(page: int, place: int, page_size: int, filters: dict[str, str]) -> None:
    checkpoint = Checkpoint(page, place, page_size, filters)
    assert Checkpoint.from_dict(json.loads(json.dumps(checkpoint.as_dict()))) == checkpoint


def test_checkpoint_as_dict_is_a_plain_copy() -> None:
    filters = {"mood": "Calm"}
    given = Checkpoint(3, 7, 50, filters).as_dict()
    assert given == POSITION | NO_BOUNDS
    assert type(given) is dict
    given["filters"]["mood"] = "Loud"
    assert filters == {"mood": "Calm"}


@pytest.mark.parametrize(
    "resume",
    [
        *[{name: value for name, value in GIVEN.items() if name != left_out} for left_out in POSITION],
        *[{}, [], "page", 3, [1, 2, 3, 4], POSITION["filters"]],
        *[GIVEN | {"page": value} for value in (0, -1, "3", 3.0, None, True, math.inf, [3], 1, 2**63)],
        *[GIVEN | {"place": value} for value in (-1, "7", 7.0, None, True, False, math.nan)],
        *[GIVEN | {"page_size": value} for value in (0, 101, "50", 50.0, None, True)],
        *[
            GIVEN | {"filters": value}
            for value in (None, [], "mood", {"mood": None}, {"mood": 1}, {1: "x"}, [["a", "b"]], {"page": "3"})
        ],
        GIVEN | {"filters": {"page_size": "50"}},
        *[GIVEN | {"start_page": value} for value in (0, 4, "1", 1.0, True)],
        *[GIVEN | {"end_page": value} for value in (0, "9", 9.0, True, 2**63)],
        *[GIVEN | {"limit": value} for value in (-1, "9", 9.0, True, 2**63)],
        *[GIVEN | {name: value} for name in ("total_items", "total_pages") for value in ("9", 9.0, True, 2**63)],
        *[GIVEN | {"drifted": value} for value in (0, 1, "true")],
    ],
    ids=repr,
)
def test_a_malformed_checkpoint_is_rejected(resume: Any) -> None:
    with pytest.raises(ValueError, match="resume"):
        Checkpoint.from_dict(resume)
    with pytest.raises(ValueError, match="resume"):
        JoggSession("k").tracks(resume=resume)


def test_unknown_fields_of_a_checkpoint_are_ignored() -> None:
    assert Checkpoint.from_dict({"version": 2, **GIVEN}).as_dict() == GIVEN


def test_a_checkpoint_without_bounds_and_totals_is_accepted() -> None:
    assert Checkpoint.from_dict(POSITION).as_dict() == POSITION | NO_BOUNDS


@pytest.mark.parametrize(("drifted", "kept"), [(True, {"drifted": True}), (False, {}), (None, {})])
def test_checkpoint_names_a_change_only_if_there_was_one(drifted: bool | None, kept: dict[str, bool]) -> None:
    checkpoint = Checkpoint.from_dict(GIVEN | {"drifted": drifted})
    assert checkpoint.drifted is bool(drifted)
    assert checkpoint.as_dict() == GIVEN | kept


@pytest.mark.parametrize("total", [-(2**63), 2**63 - 1])
def test_checkpoint_with_the_lowest_bounds_and_extreme_totals_is_accepted(total: int) -> None:
    bounds = {"start_page": 1, "end_page": 1, "limit": 0, "total_items": total, "total_pages": total}
    first = POSITION | {"page": 1, "place": 0, "page_size": 1} | bounds
    assert Checkpoint.from_dict(first).as_dict() == first


def test_error_about_the_page_of_a_checkpoint_names_the_page() -> None:
    with pytest.raises(ValueError, match="the page in resume must be a whole number of at least 1, not 0"):
        Checkpoint.from_dict(GIVEN | {"page": 0})


@pytest.mark.parametrize(
    ("arguments", "pages"),
    [
        ({}, math.inf),
        ({"limit": 150}, 2),
        ({"limit": 200}, 2),
        ({"limit": 201}, 3),
        ({"start_page": 2, "end_page": 3}, 2),
        ({"start_page": 2, "end_page": 9, "limit": 1}, 1),
        ({"resume": POSITION | {"place": 49}, "limit": 1}, 1),
        ({"resume": POSITION | {"place": 49}, "limit": 2}, 2),
    ],
)
def test_maximum_number_of_pages_follows_from_the_bounds_before_any_request(
    arguments: dict[str, Any], pages: float
) -> None:
    assert JoggSession("k").tracks(**arguments)._crawl.options.max_pages() == pages


def test_checkpoint_from_dict_copies_the_filters() -> None:
    filters = {"mood": "Calm"}
    checkpoint = Checkpoint.from_dict(POSITION | {"filters": filters})
    filters["mood"] = "Loud"
    assert checkpoint.filters == {"mood": "Calm"}


def resumed(**arguments: Any) -> dict[str, Any]:
    """Return the checkpoint of a pager resumed from `GIVEN`, before its first step."""
    return JoggSession("k").tracks(resume=GIVEN, **arguments).checkpoint()


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({}, {}),
        ({"mood": "Calm"}, {}),
        ({"page_size": 50}, {}),
        ({"start_page": 3}, {}),
        ({"start_page": 2}, {}),
        ({"mood": "Calm", "page_size": 50, "start_page": 3}, {}),
        ({"end_page": 3}, {"end_page": 3}),
        ({"end_page": 12}, {"end_page": 12}),
        ({"limit": 5, "ordered": False, "on_drift": "raise"}, {"limit": 5}),
        ({"limit": 0}, {"limit": 0}),
    ],
    ids=repr,
)
def test_checkpoint_of_a_resumed_pager_has_the_newly_given_bounds(
    arguments: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert resumed(**arguments) == GIVEN | changed


@pytest.mark.parametrize(
    "arguments",
    [
        {"mood": "Loud"},
        {"genre": "Corporate"},
        {"params": {"sort": "name"}},
        {"page_size": 51},
        {"page_size": int("100")},  # the default's number, but given
        {"start_page": 4},
        {"start_page": int("1")},
        {"end_page": 2},
        {"end_page": 1},
        {"end_page": 0},
    ],
    ids=repr,
)
def test_arguments_that_contradict_a_checkpoint_are_rejected(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments)) if "params" not in arguments else "sort"):
        resumed(**arguments)


@pytest.mark.parametrize("end_page", [0, -1])
def test_an_end_page_below_one_is_out_of_range_for_any_checkpoint(end_page: int) -> None:
    with pytest.raises(ValueError, match="end_page must be a whole number of at least 1, not"):
        JoggSession("k").tracks(resume=POSITION | {"page": 1, "place": 0}, end_page=end_page)


def test_error_about_an_end_page_before_the_checkpoint_names_the_page_of_the_checkpoint() -> None:
    with pytest.raises(ValueError, match=r"end_page \(2\) contradicts resume, which is at page 3 already"):
        resumed(end_page=2)


def test_checkpoint_at_the_start_of_the_page_after_end_page_is_accepted() -> None:
    done = POSITION | {"place": 0}
    assert JoggSession("k").tracks(resume=done, end_page=2).checkpoint() == done | NO_BOUNDS | {"end_page": 2}
    with pytest.raises(ValueError, match="end_page"):
        JoggSession("k").tracks(resume=done, end_page=1)


def test_the_checkpoint_of_a_new_pager_holds_its_arguments() -> None:
    pager = JoggSession("k").tracks(
        start_page=4, page_size=20, genre="Jazz", mood="Calm", params={"new": True, "n": 5}, end_page=8, limit=30
    )
    assert pager.checkpoint() == {
        "page": 4,
        "place": 0,
        "page_size": 20,
        "filters": {"genre": "Jazz", "mood": "Calm", "new": "true", "n": "5"},
        "start_page": 4,
        "end_page": 8,
        "limit": 30,
        "total_items": None,
        "total_pages": None,
    }


@pytest.mark.parametrize(
    ("places", "after", "unread", "lowest", "position"),
    [
        (range(50), None, 50, 4, (3, 0)),
        (range(50), None, 49, 4, (3, 1)),
        (range(50), None, 1, 4, (3, 49)),
        (range(50), None, 0, 4, (4, 0)),
        ((2, 5, 9), None, 3, 4, (3, 2)),  # invalid and known records left out
        ((2, 5, 9), None, 1, 4, (3, 9)),
        ((), None, 0, 4, (4, 0)),
        ((0, 1), 2, 0, 4, (3, 2)),  # cut off by the limit
        ((0, 1), 2, 1, 4, (3, 1)),
        (range(50), None, 20, 2, (2, 0)),  # unordered: a lower page is not read yet
        (range(50), 7, 0, 1, (1, 0)),
    ],
)
def test_cursor_is_at_the_next_track(
    places: Any, after: int | None, unread: int, lowest: int, position: tuple[int, int]
) -> None:
    cursor = Cursor(1, 0)
    cursor.enter(3, places, after)
    assert cursor.position(lowest, unread) == position


def test_cursor_before_the_first_page_is_at_its_start() -> None:
    cursor = Cursor(3, 7)
    assert cursor.position(3, 0) == (3, 7)
    cursor.enter(5, range(50), None)
    assert cursor.position(3, 12) == (3, 7)  # unordered, and its first page still to come
    cursor.enter(3, range(7, 50), None)
    assert cursor.position(4, 40) == (3, 10)
    assert cursor.position(4, 0) == (4, 0)
