from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
import pytest

from jogg_async import InvalidRecord, Page, Pagination, Track
from jogg_async.models import NO_FIELDS, Fields

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
    assert (dict(extra), len(extra), list(extra)) == ({"tags": ["a", {"b": None}]}, 1, ["tags"])
    assert "tags" in extra
    assert extra.get("more", 3) == 3
    assert repr(extra) == "{'tags': ['a', {'b': None}]}"
    with pytest.raises(KeyError):
        extra["more"]


def combine_in_place(fields: Any) -> None:
    fields |= {"tags": 1}


CHANGES: dict[str, Callable[[Any], object]] = {
    "set": lambda extra: operator.setitem(extra, "tags", 1),
    "delete": lambda extra: operator.delitem(extra, "tags"),
    "in-place or": combine_in_place,
    "clear": lambda extra: extra.clear(),
    "pop": lambda extra: extra.pop("tags"),
    "pop with a default": lambda extra: extra.pop("none", None),
    "popitem": lambda extra: extra.popitem(),
    "setdefault": lambda extra: extra.setdefault("more", 1),
    "update": lambda extra: extra.update({"more": 1}),
    "update with keywords": lambda extra: extra.update(more=1),
    "update without changes": lambda extra: extra.update(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("track", [Track(1), TRACK])
def test_extra_cannot_be_changed(track: Track, change: Callable[[Any], object]) -> None:
    before = dict(track.extra)
    with pytest.raises(TypeError, match="read-only"):
        change(track.extra)
    assert track.extra == before


def test_extra_rejects_every_method_that_changes_a_dict() -> None:
    reading = {*dir(Mapping), "copy", "fromkeys", "__or__", "__ror__", "__reversed__"}
    assert set(dir(dict)) - set(dir(object)) - reading <= vars(Fields).keys()


def test_copies_of_extra_can_be_changed_and_do_not_change_it() -> None:
    extra: Any = TRACK.extra
    for mutable in (extra.copy(), extra | {}, dict(extra)):
        mutable["more"] = 1
    assert extra == {"tags": ["a", {"b": None}]}


def test_extra_given_as_a_dict_is_copied_and_read_only() -> None:
    given = {"mood": "Calm"}
    track = Track(1, extra=given)
    given["mood"] = "Dark"
    assert track.extra == {"mood": "Calm"}
    assert type(track.extra) is Fields
    assert Track(1, extra=track.extra).extra is track.extra


def test_tracks_without_undocumented_fields_share_one_extra() -> None:
    tracks = [Track(1), Track(2, extra={}), attrs.evolve(TRACK, extra={})]
    tracks += [pickle.loads(pickle.dumps(Track(3))), copy.copy(Track(4)), copy.deepcopy(Track(5))]
    assert all(track.extra is NO_FIELDS for track in tracks)


def test_extra_without_fields_pickles_and_copies() -> None:
    for twin in (pickle.loads(pickle.dumps(Fields())), copy.copy(Fields()), copy.deepcopy(Fields())):
        assert twin == {}
        assert type(twin) is Fields


@pytest.mark.parametrize("name", ["id", "name", "music_url", "duration"])
def test_extra_cannot_name_a_documented_field(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'"):
        Track(1, extra={"mood": "Calm", name: 1})


RECORD = {
    "id": 7,
    "name": "Night",
    "music_url": "https://cdn.example/7.mp3",
    "duration": 61,
    "extra": None,
    "mood": "Calm",
    "tags": ["a", {"b": [None, 1.5]}],
}


def test_a_track_as_a_dict_is_the_record_of_the_service() -> None:
    track = Track(
        7, "Night", "https://cdn.example/7.mp3", 61, {name: RECORD[name] for name in ("extra", "mood", "tags")}
    )
    assert list(track.to_dict().items()) == list(RECORD.items())
    assert track.to_dict() is not track.to_dict()
    assert json.loads(json.dumps(track.to_dict())) == RECORD


def test_documented_fields_that_are_missing_are_none_in_a_dict() -> None:
    assert Track(7).to_dict() == {"id": 7, "name": None, "music_url": None, "duration": None}


def test_changing_the_dict_of_a_track_does_not_change_the_track() -> None:
    found = TRACK.to_dict()
    found["tags"][1]["b"] = found["tags"].append("c")
    assert found["tags"] == ["a", {"b": None}, "c"]
    assert TRACK.extra == {"tags": ["a", {"b": None}]}


def test_any_mapping_and_tuple_in_extra_becomes_json() -> None:
    extra = {"artist": MappingProxyType({"names": ("a", "b")})}
    assert json.dumps(Track(1, extra=extra).to_dict()["artist"]) == '{"names": ["a", "b"]}'


def test_a_page_as_a_dict_has_tracks_pagination_and_rid() -> None:
    page = Page((TRACK, Track(1)), Pagination(1, 100, 2**40, 3), "0" * 32)
    assert list(page.to_dict().items()) == [
        ("tracks", [TRACK.to_dict(), Track(1).to_dict()]),
        ("pagination", {"page": 1, "page_size": 100, "total_items": 2**40, "total_pages": 3}),
        ("rid", "0" * 32),
    ]
    empty = {"page": None, "page_size": None, "total_items": None, "total_pages": None}
    assert Page(()).to_dict() == {"tracks": [], "pagination": empty, "rid": None}


ENCODERS: dict[str, Callable[[Any], Any]] = {
    "json": lambda value: json.loads(json.dumps(value)),
    "msgspec": lambda value: json.loads(msgspec.json.encode(value)),
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("value", [Track(1), TRACK, Page((TRACK, Track(1)), Pagination(1), "0" * 32)], ids=repr)
def test_models_can_be_encoded_as_json(encode: Callable[[Any], Any], value: Track | Page) -> None:
    assert encode(value.to_dict()) == value.to_dict()
    fields = attrs.asdict(value)
    assert encode(fields) == fields | ({"tracks": list(fields["tracks"])} if isinstance(value, Page) else {})


@pytest.mark.parametrize("value", [Track(1), TRACK, Page((TRACK, Track(1)), Pagination(1), "0" * 32)], ids=repr)
def test_msgspec_encodes_models_themselves(value: Track | Page) -> None:
    assert json.loads(msgspec.json.encode(value)) == json.loads(json.dumps(attrs.asdict(value)))


def test_fastapi_encodes_the_dicts_of_models() -> None:
    jsonable_encoder = pytest.importorskip("fastapi.encoders").jsonable_encoder
    page = Page((TRACK, Track(1)), Pagination(1), "0" * 32)
    assert jsonable_encoder(page.to_dict()) == page.to_dict()
    assert jsonable_encoder(attrs.asdict(TRACK)) == attrs.asdict(TRACK)
    assert jsonable_encoder(TRACK.extra) == TRACK.extra


def test_a_page_is_hashable_whatever_its_tracks_hold() -> None:
    assert len({Page((TRACK,)), Page((TRACK,)), Page(())}) == 2


def test_an_invalid_record_is_hashable_whatever_it_holds() -> None:
    record = InvalidRecord(1, 2, "bad", {"id": []})
    assert hash(record) == hash(InvalidRecord(1, 2, "bad", ["else"]))
    assert record != InvalidRecord(1, 2, "bad", ["else"])
    assert (record.page, record.place, record.message, record.record) == (1, 2, "bad", {"id": []})
