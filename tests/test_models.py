from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from jogg_async import InvalidRecord, Page, Pagination, Track
from jogg_async.models import Fields

TRACK = Track(7, "Night", "https://cdn.example/7.mp3", 61, Fields({"tags": ["a", {"b": None}]}))
VALUES = [
    Track(1),
    TRACK,
    Pagination(),
    Pagination(1, 100, 2**40, 3),
    Page(()),
    Page((TRACK, Track(1)), Pagination(1), "0" * 32),
    InvalidRecord(3, 0, "$.data.music[0].id is missing", {"name": ["x"]}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_models_are_frozen_and_slotted(value: Any) -> None:
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(value, field.name)
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        value.something_else = 1
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_models_pickle_copy_and_hash(value: Any, protocol: int) -> None:
    for twin in (pickle.loads(pickle.dumps(value, protocol)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert type(twin) is type(value)
        assert hash(twin) == hash(value)
        assert repr(twin) == repr(value)


@pytest.mark.parametrize(
    "change", [{"id": 8}, {"name": None}, {"music_url": "x"}, {"duration": 62}, {"extra": Fields({"tags": []})}]
)
def test_every_field_takes_part_in_equality(change: dict[str, Any]) -> None:
    assert attrs.evolve(TRACK, **change) != TRACK
    assert {TRACK, attrs.evolve(TRACK, **change), TRACK} == {TRACK, attrs.evolve(TRACK, **change)}


def test_extra_takes_no_part_in_the_hash() -> None:
    assert hash(TRACK) == hash(attrs.evolve(TRACK, extra=Fields({}))) == hash(attrs.evolve(TRACK, extra={"x": []}))
    assert hash(TRACK) != hash(attrs.evolve(TRACK, id=8))
    assert hash(TRACK) != hash(attrs.evolve(TRACK, name="Day"))


def test_only_the_id_of_a_track_is_required() -> None:
    assert attrs.astuple(Track(5), recurse=False) == (5, None, None, None, {})
    with pytest.raises(TypeError):
        Track()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert Track(5) == Track(5, None, None, None, {})


def test_extra_is_a_read_only_mapping() -> None:
    extra = TRACK.extra
    assert isinstance(extra, Mapping)
    assert not hasattr(extra, "__setitem__")
    assert not hasattr(extra, "update")
    assert (dict(extra), len(extra), list(extra)) == ({"tags": ["a", {"b": None}]}, 1, ["tags"])
    assert "tags" in extra
    assert extra.get("more", 3) == 3
    assert repr(extra) == "{'tags': ['a', {'b': None}]}"
    with pytest.raises(KeyError):
        extra["more"]
    assert Track(1).extra is Track(2).extra


def test_a_page_is_hashable_whatever_its_tracks_hold() -> None:
    assert len({Page((TRACK,)), Page((TRACK,)), Page(())}) == 2


def test_an_invalid_record_is_hashable_whatever_it_holds() -> None:
    record = InvalidRecord(1, 2, "bad", {"id": []})
    assert hash(record) == hash(InvalidRecord(1, 2, "bad", ["else"]))
    assert record != InvalidRecord(1, 2, "bad", ["else"])
    assert (record.page, record.place, record.message, record.record) == (1, 2, "bad", {"id": []})
