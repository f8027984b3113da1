"""An envelope's data to a `Page`, through cattrs: fast where all is well, exact about the place where it is not.

Two converters. The fast one has a single hook, for the page, and none for a field: msgspec checks the documented fields
in C, and a loop keeps those that this version does not know. Only when that loop stumbles does the exact one structure
the same data again, field by field with cattrs' detailed validation, to say which value is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar, cast

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from ._wire import Envelope, shown
from .errors import DecodeError
from .models import NO_FIELDS, Fields, InvalidRecord, Page, Pagination, Track

_LOW, _HIGH = -(2**63), 2**63 - 1
_EXACT_FLOAT = 2**53
_DEPTH = 100
_Int64 = Annotated[int, msgspec.Meta(ge=_LOW, le=_HIGH)]
_T = TypeVar("_T")
_KNOWN = frozenset(("id", "name", "music_url", "duration"))


@attrs.frozen
class Decoded:
    """A page as the pager needs it.

    Attributes:
        page: the valid tracks, with the pagination and the rid.
        places: the place of each track among the page's records; `None` where the two agree.
        records: how many records came, valid or not.
        invalid: the records passed over.
    """

    page: Page
    places: tuple[int, ...] | None
    records: int
    invalid: tuple[InvalidRecord, ...] = ()


class _StumbleError(Exception):
    """The fast loop met a value that it does not take."""


class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: _Int64
    name: str | None = None
    music_url: str | None = None
    duration: _Int64 | None = None


class _Numbers(msgspec.Struct, gc=False):
    page: _Int64 | None = None
    page_size: _Int64 | None = None
    total_items: _Int64 | None = None
    total_pages: _Int64 | None = None


class _KnownShape(msgspec.Struct, gc=False):
    """Data without surprises: documented fields alone, each of its type, integers of 64 bits."""

    music: list[_Record] | None = None
    pagination: _Numbers | None = None


_known_shape: Final = msgspec.json.Decoder(_KnownShape)


def decode_page(envelope: Envelope, number: int, *, skip_invalid: bool) -> Decoded:
    """The page that an envelope holds.

    Args:
        envelope: that of a success.
        number: the page asked for, for errors and invalid records.
        skip_invalid: pass over records that are no tracks, instead of raising.

    Raises:
        DecodeError: a value has a wrong type, with its path and rendering.
    """
    try:
        page = _fast.structure(envelope, Page)
    except _StumbleError:
        return _decode_exactly(envelope, number, skip_invalid)
    return Decoded(page, None, len(page.tracks))


def _structure_page(envelope: Envelope, _: type[Page]) -> Page:
    try:
        data = _known_shape.decode(envelope.data)
    except (ValueError, RecursionError):
        return _structure_loosely(envelope)
    tracks = _checked_tracks(data.music or ())
    numbers = data.pagination
    if numbers is None:
        return Page(tracks, _NO_PAGINATION, envelope.rid)
    pagination = Pagination(numbers.page, numbers.page_size, numbers.total_items, numbers.total_pages)
    return Page(tracks, pagination, envelope.rid)


def _checked_tracks(records: Iterable[_Record]) -> tuple[Track, ...]:
    # What Track's own __init__ does, in two thirds of its time: frozen, that looks each setter up again.
    tracks: list[Track] = []
    for record in records:
        track = _new(Track)
        _set_id(track, record.id)
        _set_name(track, record.name)
        _set_music_url(track, record.music_url)
        _set_duration(track, record.duration)
        _set_extra(track, NO_FIELDS)
        tracks.append(track)
    return tuple(tracks)


_new: Final = object.__new__
_set_id, _set_name, _set_music_url, _set_duration, _set_extra = (
    Track.__dict__[field.name].__set__ for field in attrs.fields(Track)
)


def _structure_loosely(envelope: Envelope) -> Page:
    """A page with fields that this version does not know."""
    data = _untyped(envelope)
    rows = data.get("music")
    if rows is None:
        tracks: tuple[Track, ...] = ()
    elif type(rows) is list:
        tracks = _tracks(cast("list[dict[str, Any]]", rows))
    else:
        raise _StumbleError
    return Page(tracks, _pagination(data.get("pagination")), envelope.rid)


def _untyped(envelope: Envelope) -> dict[str, Any]:
    try:
        data: dict[str, Any] = msgspec.json.decode(envelope.data)
    except RecursionError:
        raise DecodeError("the answer's JSON is nested too deep", rid=envelope.rid) from None
    except ValueError as fault:
        raise DecodeError(f"the answer is not JSON ({fault})", rid=envelope.rid) from None
    return data


def _tracks(rows: list[dict[str, Any]]) -> tuple[Track, ...]:
    tracks: list[Track] = []
    add = tracks.append
    for row in rows:
        if type(row) is not dict:
            raise _StumbleError
        get = row.get
        id, name, url, duration = get("id"), get("name"), get("music_url"), get("duration")
        if (
            type(id) is not int
            or not _LOW <= id <= _HIGH
            or (type(name) is not str and name is not None)
            or (type(url) is not str and url is not None)
            or (duration is not None and (type(duration) is not int or not _LOW <= duration <= _HIGH))
        ):
            raise _StumbleError
        add(Track(id, name, url, duration, NO_FIELDS if row.keys() <= _KNOWN else _extra(row)))
    return tuple(tracks)


def _extra(row: dict[str, Any]) -> Mapping[str, Any]:
    extra = _unknown(row)
    for value in extra.values():
        if type(value) is not str and not _representable(value):
            raise _StumbleError
    return Fields(extra)


def _unknown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _KNOWN}


def _representable(value: Any, depth: int = 0) -> bool:
    """Whether an unknown value holds no integer beyond 64 bits and is not nested too deep."""
    if type(value) is int:
        return _LOW <= value <= _HIGH
    if type(value) is not list and type(value) is not dict:
        return True
    inner = cast("list[Any] | dict[str, Any]", value)
    each = inner.values() if isinstance(inner, dict) else inner
    return depth < _DEPTH and all(_representable(one, depth + 1) for one in each)


def _pagination(data: dict[str, Any] | None) -> Pagination:
    if data is None:
        return _NO_PAGINATION
    if type(data) is not dict:
        raise _StumbleError
    numbers = [data.get(name) for name in _PAGINATION]
    for number in numbers:
        if number is not None and (type(number) is not int or not _LOW <= number <= _HIGH):
            raise _StumbleError
    return Pagination(*numbers)


_NO_PAGINATION: Final = Pagination()
_PAGINATION: Final = tuple(field.name for field in attrs.fields(Pagination))


# The exact way: cattrs' generated code, one strict hook a type, errors with their place.


def _strict_int(value: Any, _: type[int]) -> int:
    if type(value) is float and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if type(value) is not int:
        raise _unlike(value, "a whole number")
    if not _LOW <= value <= _HIGH:
        raise _unlike(value, "a whole number of 64 bits")
    return value


def _strict_str(value: Any, _: type[str]) -> str:
    if type(value) is not str:
        raise _unlike(value, "a string")
    return value


def _unlike(value: object, wanted: str) -> DecodeError:
    return DecodeError(f"not {wanted}", value=shown(value))


def _exact_track(row: Any, _: type[Track]) -> Track:
    if type(row) is not dict:
        raise _unlike(row, "an object")
    track: Track = _known_fields(row, Track)
    extra = _unknown(cast("dict[str, Any]", row))
    for name, value in extra.items():
        if not _representable(value):
            error = _unlike(value, "a value of 64-bit numbers and moderate depth")
            error.path = f".{name}"
            raise error
    return attrs.evolve(track, extra=Fields(extra) if extra else NO_FIELDS)


def _exact_pagination(data: Any, _: type[Pagination]) -> Pagination:
    if type(data) is not dict:
        raise _unlike(data, "an object")
    pagination: Pagination = _known_numbers(data, Pagination)
    return pagination


def _decode_exactly(envelope: Envelope, number: int, skip_invalid: bool) -> Decoded:
    data, rid = _untyped(envelope), envelope.rid
    rows: list[Any] = [] if data.get("music") is None else data["music"]
    if not isinstance(rows, list):
        raise _located(_unlike(rows, "a list"), "$.data.music", rid)
    pagination = data.get("pagination")
    if pagination is not None:
        pagination = _structured(pagination, Pagination, "$.data.pagination", rid)
    tracks: list[Track] = []
    places: list[int] = []
    invalid: list[InvalidRecord] = []
    for place, row in enumerate(rows):
        try:
            tracks.append(_structured(row, Track, f"$.data.music[{place}]", rid))
            places.append(place)
        except DecodeError as error:
            if not skip_invalid:
                raise
            invalid.append(InvalidRecord(number, place, error.args[0], row))
    page = Page(tuple(tracks), pagination or _NO_PAGINATION, rid)
    return Decoded(page, tuple(places) if invalid else None, len(rows), tuple(invalid))


def _structured(value: Any, kind: type[_T], path: str, rid: str | None) -> _T:
    try:
        return _exact.structure(value, kind)
    except DecodeError as error:
        raise _located(error, path + (error.path or ""), rid) from None
    except cattrs.ClassValidationError as group:
        raise _first_of(group, path, rid) from None


def _first_of(group: cattrs.ClassValidationError, path: str, rid: str | None) -> DecodeError:
    fault, note = group.group_exceptions()[0][0]
    place = f"{path}.{note.name}"
    if isinstance(fault, DecodeError):
        return _located(fault, place, rid)
    return DecodeError(f"{place} is missing", path=place, rid=rid)


def _located(error: DecodeError, path: str, rid: str | None) -> DecodeError:
    return DecodeError(f"{path} is {error.value}, {error.args[0]}", path=path, value=error.value, rid=rid)


def _fast_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(Page, _structure_page)
    return converter


def _exact_converter() -> tuple[cattrs.Converter, Any, Any]:
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(int, _strict_int)
    converter.register_structure_hook(str, _strict_str)
    known_fields = make_dict_structure_fn(Track, converter, extra=override(omit=True))
    known_numbers = make_dict_structure_fn(Pagination, converter)
    converter.register_structure_hook(Track, _exact_track)
    converter.register_structure_hook(Pagination, _exact_pagination)
    return converter, known_fields, known_numbers


_fast = _fast_converter()
_exact, _known_fields, _known_numbers = _exact_converter()
