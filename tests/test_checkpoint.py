from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import JoggSession
from jogg_async._checkpoint import Checkpoint, Standing

GIVEN: dict[str, Any] = {"page": 3, "place": 7, "page_size": 50, "filters": {"mood": "Calm"}}


@settings(deadline=None)
@given(
    st.integers(1),
    st.integers(0),
    st.integers(1, 100),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_a_checkpoint_survives_json(page: int, place: int, page_size: int, filters: dict[str, str]) -> None:
    checkpoint = Checkpoint(page, place, page_size, filters)
    assert Checkpoint.of(json.loads(json.dumps(checkpoint.as_dict()))) == checkpoint


def test_it_is_a_plain_dict_of_its_own() -> None:
    filters = {"mood": "Calm"}
    given = Checkpoint(3, 7, 50, filters).as_dict()
    assert given == GIVEN
    assert type(given) is dict
    given["filters"]["mood"] = "Loud"
    assert filters == {"mood": "Calm"}


@pytest.mark.parametrize(
    "resume",
    [
        *[{name: value for name, value in GIVEN.items() if name != left_out} for left_out in GIVEN],
        *[{}, [], "page", 3, [1, 2, 3, 4], GIVEN["filters"]],
        *[GIVEN | {"page": value} for value in (0, -1, "3", 3.0, None, True, math.inf, [3])],
        *[GIVEN | {"place": value} for value in (-1, "7", 7.0, None, True, False, math.nan)],
        *[GIVEN | {"page_size": value} for value in (0, 101, "50", 50.0, None, True)],
        *[
            GIVEN | {"filters": value}
            for value in (None, [], "mood", {"mood": None}, {"mood": 1}, {1: "x"}, [["a", "b"]])
        ],
    ],
    ids=repr,
)
def test_what_is_no_checkpoint_is_refused(resume: Any) -> None:
    with pytest.raises(ValueError, match="resume"):
        Checkpoint.of(resume)
    with pytest.raises(ValueError, match="resume"):
        JoggSession("k").tracks(resume=resume)


def test_fields_of_a_later_version_are_no_fault() -> None:
    assert Checkpoint.of({"version": 2, **GIVEN}).as_dict() == GIVEN


def resumed(**arguments: Any) -> dict[str, Any]:
    """The checkpoint of a pager that goes on from `GIVEN`, before its first step."""
    return JoggSession("k").tracks(resume=GIVEN, **arguments).checkpoint()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"mood": "Calm"},
        {"page_size": 50},
        {"start_page": 3},
        {"mood": "Calm", "page_size": 50, "start_page": 3},
        {"end_page": 3},
        {"end_page": 9},
        {"limit": 5, "ordered": False, "on_drift": "raise"},
    ],
    ids=repr,
)
def test_a_pager_stands_where_its_checkpoint_says(arguments: dict[str, Any]) -> None:
    assert resumed(**arguments) == GIVEN


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
        {"end_page": 1},
    ],
    ids=repr,
)
def test_arguments_that_contradict_a_checkpoint_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments)) if "params" not in arguments else "sort"):
        resumed(**arguments)


def test_without_a_checkpoint_a_pager_stands_where_its_arguments_say() -> None:
    pager = JoggSession("k").tracks(start_page=4, page_size=20, genre="Jazz", mood="Calm", params={"new": True, "n": 5})
    filters = {"genre": "Jazz", "mood": "Calm", "new": "true", "n": "5"}
    assert pager.checkpoint() == {"page": 4, "place": 0, "page_size": 20, "filters": filters}


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
def test_where_a_consumer_stands(
    places: Any, after: int | None, unread: int, lowest: int, position: tuple[int, int]
) -> None:
    standing = Standing(Checkpoint(1, 0, 50, {"mood": "Calm"}))
    standing.enter(3, places, after)
    assert standing.position(lowest, unread) == Checkpoint(*position, 50, {"mood": "Calm"})


def test_before_its_first_step_a_consumer_stands_where_it_began() -> None:
    start = Checkpoint(3, 7, 50, {})
    standing = Standing(start)
    assert standing.position(3, 0) == start
    standing.enter(5, range(50), None)
    assert standing.position(3, 12) == start  # unordered, and its own page still to come
    standing.enter(3, range(7, 50), None)
    assert standing.position(4, 40) == Checkpoint(3, 10, 50, {})
    assert standing.position(4, 0) == Checkpoint(4, 0, 50, {})
