"""An envelope's data to a `Page`, through cattrs: fast where all is well, exact about the place where it is not.

Two converters. The fast one has a single hook, for the page, and none for a field: msgspec checks the documented fields
in C, and a loop keeps those that this version does not know. Only when that loop stumbles does the exact one structure
the same data again, field by field with cattrs' detailed validation, to say which value is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from ._shape import HIGH, LOW, Documented, Record, Success
from .errors import DecodeError, shown
from .models import NO_FIELDS, Fields, InvalidRecord, Page, Pagination, Track

_EXACT_FLOAT = 2**53
_DEPTH = 100
_T = TypeVar("_T")
_KNOWN = frozenset(("id", "name", "music_url", "duration"))


@attrs.define
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


def decode_page(envelope: Success, number: int, *, skip_invalid: bool) -> Decoded:
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


def _structure_page(envelope: Success, _: type[Page]) -> Page:
    data = envelope.data
    if not isinstance(data, Documented):
        return _structure_loosely(envelope)
    tracks = _documented_tracks(data.music or ())
    numbers = data.pagination
    if numbers is None:
        return Page(tracks, _NO_PAGINATION, envelope.rid)
    pagination = Pagination(numbers.page, numbers.page_size, numbers.total_items, numbers.total_pages)
    return Page(tracks, pagination, envelope.rid)


class _Thawed(Track):
    """A track that takes values: with the layout of `Track`, so that it can become one."""

    __slots__ = ()
    __init__ = object.__init__  # pyright: ignore[reportAssignmentType]
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_blank: Final = cast("Callable[[], Any]", _Thawed)


def _documented_tracks(records: Iterable[Record]) -> tuple[Track, ...]:
    # What Track's own __init__ does, in a quarter of its time: the interpreter stores in an object of a plain class
    # without a call, and a frozen one is not a plain one.
    tracks: list[Track] = []
    for record in records:
        track = _blank()
        track.id = record.id
        track.name = record.name
        track.music_url = record.music_url
        track.duration = record.duration
        track.extra = NO_FIELDS
        track.__class__ = Track
        tracks.append(track)
    return tuple(tracks)


def _structure_loosely(envelope: Success) -> Page:
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


def _untyped(envelope: Success) -> dict[str, Any]:
    try:
        data: dict[str, Any] = msgspec.json.decode(cast("msgspec.Raw", envelope.data))
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
            or not LOW <= id <= HIGH
            or (type(name) is not str and name is not None)
            or (type(url) is not str and url is not None)
            or (duration is not None and (type(duration) is not int or not LOW <= duration <= HIGH))
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
        return LOW <= value <= HIGH
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
        if number is not None and (type(number) is not int or not LOW <= number <= HIGH):
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
    if not LOW <= value <= HIGH:
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


def _decode_exactly(envelope: Success, number: int, skip_invalid: bool) -> Decoded:
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
