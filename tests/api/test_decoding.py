from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import DecodeError, Page, Pagination, Track
from jogg_async._api import decoding
from jogg_async._api.decoding import Decoded, decode_page
from jogg_async._api.envelope import RawResponse, read_envelope
from jogg_async._api.schemas import SCHEMA, Schema
from jogg_async.models import NO_FIELDS, Fields

RID = "fedcba9876543210fedcba9876543210"
LOW, HIGH = -(2**63), 2**63 - 1
EMPTY: dict[str, Any] = {}


def envelope(*rows: Any, **pagination: Any) -> dict[str, Any]:
    return {"code": 0, "msg": "success", "data": {"music": list(rows), "pagination": pagination}, "rid": RID}


def decode(given: Any, *, skip_invalid: bool = False, number: int = 1, key: str = "") -> Decoded:
    """Decode a response of HTTP 200 with this body: bytes, or a value to encode as JSON."""
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    return decode_page(read_envelope(RawResponse(200, {}, body), 0.0, key), number, skip_invalid=skip_invalid, key=key)


def decode_learnt(given: Any, *, skip_invalid: bool = False, number: int = 1) -> Decoded:
    """Decode with a schema that has learnt the undocumented fields."""
    with contextlib.suppress(DecodeError):
        decode(given, skip_invalid=True)
    return decode(given, skip_invalid=skip_invalid, number=number)


def decode_exactly(given: Any, *, skip_invalid: bool = False, number: int = 1) -> Decoded:
    """Decode field by field, as if no schema matched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SCHEMA, "decode", msgspec.json.Decoder(int).decode)
        patch.setattr(SCHEMA, "learn", lambda records: None)
        return decode(given, skip_invalid=skip_invalid, number=number)


WAYS = [decode, decode_learnt, decode_exactly]
Way = Callable[..., Decoded]


@pytest.fixture(autouse=True)
def documented_fields_alone() -> None:
    Schema.__init__(SCHEMA)


def tracks_of(*rows: Any) -> tuple[Track, ...]:
    return decode(envelope(*rows)).page.tracks


def fault_of(given: Any, *, skip_invalid: bool = False, key: str = "") -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(given, skip_invalid=skip_invalid, key=key)
    return caught.value


def outcome(way: Way, given: Any, *, skip_invalid: bool) -> Any:
    try:
        return way(given, skip_invalid=skip_invalid, number=7)
    except DecodeError as error:
        return error.args, error.path, error.value, error.rid


ODD = st.sampled_from(
    [LOW - 1, LOW, -1, 0, HIGH, HIGH + 1, 2**64 + 1, 12.0, 12.7, -0.0, 2.0**53, 1e300, True, "12", ""]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), ODD, st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
INTEGERS = st.integers(LOW, HIGH)
GOOD = st.fixed_dictionaries(
    {"id": INTEGERS},
    optional={
        "name": st.none() | st.text(max_size=4),
        "music_url": st.none() | st.text(max_size=4),
        "duration": st.none() | INTEGERS,
        "genre": JSON,
        "name ": JSON,
    },
)
ANY_TRACK = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "name", "music_url", "duration", "mood"), JSON | INTEGERS)
)
ROWS = st.none() | st.lists(GOOD, max_size=4) | st.lists(GOOD | ANY_TRACK | JSON, max_size=4) | JSON
PAGINATION = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["page", "page_size", "total_items", "total_pages", "more"]), st.none() | INTEGERS),
    st.dictionaries(st.sampled_from(["page", "page_size", "total_items", "total_pages"]), JSON),
    JSON,
)
DATA = st.fixed_dictionaries({}, optional={"music": ROWS, "pagination": PAGINATION, "other": JSON})
ENVELOPES = st.builds(lambda data, rid: {"code": 0, "data": data} | rid, DATA, st.sampled_from([{}, {"rid": RID}]))


@settings(deadline=None)
@given(ENVELOPES, st.booleans())
def test_documented_schema_learnt_schema_and_field_by_field_decoding_agree(
    given: dict[str, Any], skip_invalid: bool
) -> None:
    Schema.__init__(SCHEMA)
    fast, learnt, exact = (outcome(way, given, skip_invalid=skip_invalid) for way in WAYS)
    assert fast == learnt == exact
    # Equality lets 12.0 and True pass for 12 and 1; their text does not.
    assert repr(fast) == repr(exact)
    assert sorted(repr(learnt)) == sorted(repr(exact))  # fields that records name in no common order


@settings(deadline=None)
@given(st.lists(GOOD, max_size=4))
def test_valid_records_are_decoded_unchanged(rows: list[dict[str, Any]]) -> None:
    decoded = outcome(decode, envelope(*rows), skip_invalid=True)
    assert isinstance(decoded, Decoded)
    assert decoded.records == len(rows)
    places = range(len(rows)) if decoded.places is None else decoded.places
    for track, place in zip(decoded.page.tracks, places, strict=True):
        row = rows[place]
        assert track.id == row["id"]
        assert (track.name, track.music_url) == (row.get("name"), row.get("music_url"))
        assert dict(track.extra) == {name: row[name] for name in ("genre", "name ") if name in row}


@settings(deadline=None)
@given(ENVELOPES)
def test_tracks_and_invalid_records_add_up_to_the_records_of_the_page(given: dict[str, Any]) -> None:
    fast = outcome(decode, given, skip_invalid=True)
    if isinstance(fast, Decoded):
        assert len(fast.page.tracks) + len(fast.invalid) == fast.records
        assert (fast.places is None) == (not fast.invalid)
        assert all(type(track.id) is int and LOW <= track.id <= HIGH for track in fast.page.tracks)


def test_documented_records_are_not_decoded_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(decoding, "_decode_exactly")
    assert tracks_of({"id": 1, "name": "n", "music_url": None, "duration": 5}, {"id": 2}) == (
        Track(1, "n", None, 5),
        Track(2),
    )


def test_undocumented_fields_are_decoded_field_by_field_on_the_first_page_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"id": 1, "genre": ["x", {"y": [{"z": None}]}], "": 1}, {"id": 2}, {"genre": None, "id": 3, "name": "n"}]
    found = (
        Track(1, extra={"genre": ["x", {"y": [{"z": None}]}], "": 1}),
        Track(2),
        Track(3, "n", extra={"genre": None}),
    )
    assert tracks_of(*rows) == found
    monkeypatch.delattr(decoding, "_decode_exactly")
    assert tracks_of(*rows) == found
    assert tracks_of(rows[1])[0].extra is NO_FIELDS
    assert tracks_of(*reversed(rows)) == found[::-1]
    assert type(tracks_of(rows[0])[0].extra) is Fields


def test_schema_learns_an_undocumented_field_of_a_later_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in ({"id": 1, "genre": "x"}, {"id": 1, "mood": 2, "genre": None}):
        assert tracks_of(row) == (Track(1, extra={name: value for name, value in row.items() if name != "id"}),)
    monkeypatch.delattr(decoding, "_decode_exactly")
    (track,) = tracks_of({"id": 1, "genre": "x", "mood": 2})
    assert list(track.extra.items()) == [("mood", 2), ("genre", "x")]


def test_extra_fields_keep_the_order_of_the_service() -> None:
    whole = {"zebra": 1, "genre": 2, "mood": 3, "bpm": 4}
    parts: list[list[str]] = [["genre", "bpm"], ["genre", "mood", "bpm"], ["zebra", "mood"], [*whole], ["zebra", "bpm"]]
    for names in parts:
        for _ in range(2):
            (track,) = tracks_of({"id": 1} | {name: whole[name] for name in names})
            assert list(track.extra.items()) == [(name, whole[name]) for name in names]


def learnt_from(*names: str) -> tuple[str, ...]:
    schema = Schema()
    schema.learn([dict.fromkeys(names)])
    return schema.names


def test_schema_learns_at_most_32_field_names() -> None:
    names = [f"field{number}" for number in range(33)]
    assert learnt_from(*names[:32]) == tuple(names[:32])
    assert learnt_from(*names) == ()
    schema = Schema()
    schema.learn([{names[0]: 1}])
    decode = schema.decode
    schema.learn([{name: 1} for name in names])
    assert (schema.names, schema.decode) == (("field0",), decode)
    schema.learn([{names[0]: 2}, {}])
    assert schema.decode is decode


@pytest.mark.parametrize("name", ['a"', "\\", "\n", "\x00", "x" * 100], ids=ascii)
def test_schema_does_not_learn_a_field_name_that_msgspec_does_not_accept(name: str) -> None:
    assert learnt_from("genre", name) == ()
    for way in WAYS:
        assert way(envelope({"id": 1, name: 1})).page.tracks == (Track(1, extra={name: 1}),)


@pytest.mark.parametrize(
    "name", ["", " ", "class", "__init__", "extra0", "extra", "Id", "ü\u2028", "x" * 99], ids=ascii
)
def test_schema_learns_unusual_field_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracks_of({"id": 1, name: [1]}) == (Track(1, extra={name: [1]}),)
    monkeypatch.delattr(decoding, "_decode_exactly")
    assert tracks_of({"id": 2, name: None}, {"id": 3}) == (Track(2, extra={name: None}), Track(3))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", ["id", "duration"])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[("12", 12), ("-12", -12), ("0", 0), ("-0", 0), ("12.0", 12), ("1.2e1", 12), ("-0.0", 0), ("-3.0", -3)],
        *[("9007199254740991.0", 2**53 - 1), ("9007199254740993", 2**53 + 1)],
        *[("9223372036854775807", HIGH), ("-9223372036854775808", LOW)],
        *[(each, None) for each in ('"12"', "12.7", "true", "false", '""', "[]", "[12]", "{}", '{"id":12}', '"x"')],
        *[(each, None) for each in ("9007199254740992.0", "-9007199254740992.0", "1e300", "-1e18", "1e-1")],
        *[(each, None) for each in ("9223372036854775808", "-9223372036854775809", "18446744073709551617")],
        *[("1" + "0" * 400, None), ("-1" + "0" * 400, None)],
    ],
    ids=lambda value: str(value)[:24],
)
def test_integer_fields_reject_other_types(way: Way, field: str, written: str, value: int | None) -> None:
    row = f'"{field}":{written}' + ("" if field == "id" else ',"id":1')
    body = f'{{"code":0,"data":{{"music":[{{"id":0}},{{{row}}}]}},"rid":"{RID}"}}'.encode()
    if value is not None:
        _, track = way(body).page.tracks
        assert (getattr(track, field), type(getattr(track, field))) == (value, int)
        return
    with pytest.raises(DecodeError) as caught:
        way(body)
    assert caught.value.path == f"$.data.music[1].{field}"
    assert caught.value.rid == RID
    assert caught.value.value is not None
    assert caught.value.value in str(caught.value)


@pytest.mark.parametrize("field", ["name", "music_url"])
@pytest.mark.parametrize("value", [12, 12.5, True, False, [], ["x"], {}, {"x": 1}], ids=repr)
def test_string_fields_reject_other_types(field: str, value: Any) -> None:
    fault = fault_of(envelope({"id": 1}, {"id": 2}, {"id": 3}, {"id": 4, field: value}))
    assert fault.path == f"$.data.music[3].{field}"
    assert fault.value == repr(value)
    assert f"$.data.music[3].{field} is {value!r}" in str(fault)


@pytest.mark.parametrize("field", ["page", "page_size", "total_items", "total_pages"])
@pytest.mark.parametrize("value", ["1", 1.5, True, [], {}, 2**63, 2.0**53], ids=repr)
def test_invalid_pagination_is_an_error_even_if_invalid_records_are_skipped(field: str, value: Any) -> None:
    for skip_invalid in (True, False):
        fault = fault_of(envelope({"id": 1}, **{field: value}), skip_invalid=skip_invalid)
        assert fault.path == f"$.data.pagination.{field}"


@pytest.mark.parametrize("value", [12, 12.0])
def test_pagination_accepts_whole_numbers(value: float) -> None:
    page = decode(envelope(page=value, page_size=value, total_items=value)).page
    assert repr(page.pagination) == "Pagination(page=12, page_size=12, total_items=12, total_pages=None)"


@pytest.mark.parametrize(
    ("row", "path"),
    [
        *[(row, "$.data.music[0]") for row in (None, 1, "x", [], [1], True, 1.5)],
        *[({}, "$.data.music[0].id"), ({"name": "x"}, "$.data.music[0].id"), ({"id": None}, "$.data.music[0].id")],
        ({"id": 1, "genre": 2**63}, "$.data.music[0].genre"),
        ({"id": 1, "a": 1, "b": [{"c": -(2**63) - 1}]}, "$.data.music[0].b"),
        ({"id": 1, "tags": {"x": {"y": [10**400]}}}, "$.data.music[0].tags"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_error_about_an_invalid_record_has_its_path(row: Any, path: str) -> None:
    fault = fault_of(envelope(row))
    assert (fault.path, fault.rid) == (path, RID)
    assert path in str(fault)
    assert len(str(fault)) < 400


@pytest.mark.parametrize(
    ("data", "path"),
    [
        *[({"music": value}, "$.data.music") for value in (EMPTY, "", "x", 0, 1, True, 1.5, {"id": 1})],
        *[({"pagination": value}, "$.data.pagination") for value in (["x"], [EMPTY], "", "x", 0, 1, True)],
    ],
    ids=repr,
)
def test_error_about_music_or_pagination_of_the_wrong_type_has_its_path(data: dict[str, Any], path: str) -> None:
    for skip_invalid in (True, False):
        fault = fault_of({"code": 0, "data": data, "rid": RID}, skip_invalid=skip_invalid)
        assert (fault.path, fault.rid) == (path, RID)


@pytest.mark.parametrize(
    "data", [{}, {"music": None}, {"music": []}, {"pagination": None}, {"pagination": {}}, {"music": None, "x": [1]}]
)
@pytest.mark.parametrize("rid", [{}, {"rid": None}, {"rid": RID}])
def test_missing_or_null_fields_are_none(data: dict[str, Any], rid: dict[str, Any]) -> None:
    decoded = decode({"code": 0, "data": data} | rid)
    assert decoded == Decoded(Page((), Pagination(), rid.get("rid")), None, 0)


def test_null_numbers_of_a_pagination_are_none() -> None:
    nulls = dict.fromkeys(("page", "page_size", "total_items", "total_pages"))
    assert decode(envelope(**nulls)).page.pagination == Pagination()


def test_only_the_id_of_a_record_is_required() -> None:
    nulls = dict.fromkeys(("name", "music_url", "duration"))
    assert tracks_of({"id": 7}, {"id": 7, **nulls}) == (Track(7), Track(7))


@pytest.mark.parametrize("way", WAYS)
def test_undocumented_fields_are_kept_whole(way: Way) -> None:
    fields: dict[str, Any] = {
        "genre": None,
        "tags": ["a", {"b": [1.5, None, True, LOW, HIGH]}],
        "extra": {},
        "": "",
        "ID": 5,
    }
    (track,) = way(envelope({"id": 1, "name": "n", **fields})).page.tracks
    assert dict(track.extra) == fields
    assert track.name == "n"


def test_nesting_too_deep_is_an_error_and_moderate_nesting_is_not() -> None:
    deep: Any = 1
    for _ in range(60):
        deep = {"x": [deep]}
    assert fault_of(envelope({"id": 1, "deep": deep})).path == "$.data.music[0].deep"
    moderate = {"x": [[[{"y": [[1]]}]]]}
    assert tracks_of({"id": 1, "deep": moderate})[0].extra["deep"] == moderate


@pytest.mark.parametrize("levels", [1, 4, 5, 100, 101])
@pytest.mark.parametrize("way", WAYS)
def test_an_undocumented_field_may_be_nested_100_levels_deep(way: Way, levels: int) -> None:
    value: Any = None
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    if levels <= 100:
        assert way(envelope({"id": 1, "deep": value})).page.tracks[0].extra["deep"] == value
    else:
        with pytest.raises(DecodeError, match="nested at most 100 deep"):
            way(envelope({"id": 1, "deep": value}))


@pytest.mark.parametrize("skip_invalid", [False, True])
def test_page_with_a_record_nested_beyond_the_recursion_limit_is_an_error(skip_invalid: bool) -> None:
    body = b'{"code":0,"data":{"music":[{"id":1,"deep":%s}]},"rid":"%s"}' % (b"[" * 100_000 + b"]" * 9000, RID.encode())
    assert "nested too deep" in str(fault_of(body, skip_invalid=skip_invalid))


def test_skipped_records_are_returned_with_their_positions_on_the_page() -> None:
    rows = [{"id": "1"}, {"id": 2}, None, {"name": "x"}, {"id": 5, "new": 1}, {"id": 6, "duration": 1.5}, {"id": 7.0}]
    decoded = decode(envelope(*rows), number=4, skip_invalid=True)
    assert decoded.page.tracks == (Track(2), Track(5, extra={"new": 1}), Track(7))
    assert decoded.places == (1, 4, 6)
    assert decoded.records == 7
    assert [(each.page, each.place, each.record) for each in decoded.invalid] == [
        (4, place, rows[place]) for place in (0, 2, 3, 5)
    ]
    for each, path in zip(decoded.invalid, ("[0].id", "[2]", "[3].id", "[5].duration"), strict=True):
        assert f"$.data.music{path} is " in each.message


def test_a_page_of_nothing_but_invalid_records_is_not_empty() -> None:
    decoded = decode(envelope(None, None), skip_invalid=True)
    assert (decoded.page.tracks, decoded.places, decoded.records) == ((), (), 2)


KEY = "canary-2b8e64d07c1f93a5-key"
ECHOES: dict[str, Callable[[str], dict[str, Any]]] = {
    "id": lambda text: envelope({"id": text}),
    "name": lambda text: envelope({"id": 1, "name": [text]}),
    "record": lambda text: envelope([text]),
    "undocumented field": lambda text: envelope({"id": 1, "new": [2**64, text]}),
    "name of a field": lambda text: envelope({"id": 1, text: 2**64}),
    "field of a field": lambda text: envelope({"id": {text: 1}}),
    "pagination": lambda text: envelope(page=text),
    "music": lambda text: {"code": 0, "data": {"music": text}},
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("before", [0, 30, 40, 44, 48, 52, 56, 60])
def test_shortened_value_shows_no_part_of_an_echoed_key(echo: Callable[[str], dict[str, Any]], before: int) -> None:
    given = echo("x" * before + KEY + "x" * 300)
    fault = fault_of(given, key=KEY)
    texts = [str(fault), fault.path, fault.value]
    with contextlib.suppress(DecodeError):
        texts += [each.message for each in decode(given, skip_invalid=True, key=KEY).invalid]
        assert len(texts) == 4
    assert not any("canary" in str(text) for text in texts)


def test_skipped_record_that_echoes_the_key_is_kept_unchanged_and_masked_in_the_message() -> None:
    (invalid,) = decode(envelope({"id": KEY}), skip_invalid=True, key=KEY).invalid
    assert invalid.record == {"id": KEY}
    assert invalid.message == "$.data.music[0].id is '***', not a whole number"


@pytest.mark.parametrize("written", ["1e999", "-1e999", "9" * 5000], ids=["1e999", "-1e999", "5000 digits"])
@pytest.mark.parametrize("field", ["id", "duration", "name", "new"])
def test_number_beyond_float_range_or_with_5000_digits_is_a_decode_error(field: str, written: str) -> None:
    body = f'{{"code":0,"data":{{"music":[{{"id":1,"{field}":{written}}}]}},"rid":"{RID}"}}'
    assert fault_of(body.encode()).rid == RID
