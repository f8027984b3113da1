"""Structure the data of a response as a `Page` with cattrs.

There are two converters. The fast one is for data that fits msgspec's schema, which is checked in C while the JSON is
parsed: it has a single hook, for the page, and fills the tracks in a loop. The exact one is for all other data: it
structures each field with cattrs' detailed validation, and its errors name the wrong value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, override

from jogg_async._api.limits import MAX_INT, MIN_INT
from jogg_async._api.redaction import redact, short_repr
from jogg_async._api.schemas import SCHEMA, DataSchema, Envelope, Success, TrackSchema
from jogg_async.errors import DecodeError
from jogg_async.models import DOCUMENTED, NO_FIELDS, Fields, InvalidRecord, Page, Pagination, Track

_EXACT_FLOAT = 2**53
_DEPTH = 100
_T = TypeVar("_T")


@attrs.define
class Decoded:
    """A page as the pager needs it.

    Attributes:
        page: the valid tracks, with the pagination and the rid.
        places: index of each track among the page's records; `None` if no record was skipped.
        records: number of records on the page, invalid ones included.
        invalid: the skipped records.
    """

    page: Page
    places: tuple[int, ...] | None
    records: int
    invalid: tuple[InvalidRecord, ...] = ()


def decode_page(envelope: Success, number: int, *, skip_invalid: bool, key: str = "") -> Decoded:
    """Return the page that an envelope holds.

    Args:
        envelope: envelope of a success.
        number: the requested page, for errors and invalid records.
        skip_invalid: skip records that are no valid tracks, instead of raising.
        key: the API key, masked where an error or an invalid record's message quotes the response.

    Raises:
        DecodeError: a value is missing or has a wrong type. The error names its path.
    """
    data = envelope.data
    if isinstance(data, DataSchema):
        page = _fast.structure(envelope, Page)
        return Decoded(page, None, len(page.tracks))
    return _decode_exactly(data, _Errors(envelope.rid, key), number, skip_invalid)


def _structure_page(envelope: Envelope[DataSchema], _: type[Page]) -> Page:
    data = envelope.data
    records = data.music or ()
    tracks = _tracks(records)
    if data.extra is not None:
        _add_extra(tracks, records, data.extra)
    numbers = data.pagination
    if numbers is None:
        return Page(tracks, _NO_PAGINATION, envelope.rid)
    pagination = Pagination(numbers.page, numbers.page_size, numbers.total_items, numbers.total_pages)
    return Page(tracks, pagination, envelope.rid)


class _MutableTrack(Track):
    """Track under construction: writable, with the layout of `Track`, so that `__class__` can be set to `Track`."""

    __slots__ = ()
    __init__ = object.__init__  # pyright: ignore[reportAssignmentType]
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_blank: Final = cast("Callable[[], Any]", _MutableTrack)


def _tracks(records: Iterable[TrackSchema]) -> tuple[Track, ...]:
    # The same as Track's own __init__, in a quarter of its time: with the default __setattr__, the interpreter sets an
    # attribute without a function call. A frozen class has a __setattr__ of its own.
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


def _add_extra(tracks: Iterable[Track], records: Iterable[TrackSchema], extra: Any) -> None:
    # msgspec makes a dict of the undocumented fields of each record in C, without those that the record does not have.
    found: list[dict[str, Any]] = msgspec.to_builtins(msgspec.convert(records, extra, from_attributes=True))
    for track, fields in zip(tracks, found, strict=True):
        if fields:
            _set_extra(track, Fields(fields))


_set_extra: Final = cast("Any", Track.extra).__set__
_NO_PAGINATION: Final = Pagination()


# The exact converter: cattrs' generated code, a strict hook for each type, and errors that name the path.


class _WrongTypeError(Exception):
    """Raised by a hook for a value of the wrong type. `path` leads to it from the value given to the hook."""

    def __init__(self, value: object, wanted: str, path: str = "") -> None:
        super().__init__(f"not {wanted}")
        self.value = value
        self.path = path


@attrs.frozen
class _Errors:
    """Factory of the errors for one response: sets its request id and masks the API key."""

    rid: str | None
    key: str

    def wrong_type(self, fault: _WrongTypeError, path: str) -> DecodeError:
        path, value = redact(path + fault.path, self.key), short_repr(fault.value, self.key)
        return DecodeError(f"{path} is {value}, {fault}", path=path, value=value, rid=self.rid)


def _untyped(raw: msgspec.Raw, rid: str | None) -> dict[str, Any]:
    try:
        data: dict[str, Any] = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as fault:
        raise DecodeError(f"the response is not JSON ({fault})", rid=rid) from None
    return data


def _unknown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in DOCUMENTED}


def _representable(value: Any, depth: int = 0) -> bool:
    """Return whether all integers in an undocumented value fit in 64 bits and it is not nested too deep."""
    if type(value) is int:
        return MIN_INT <= value <= MAX_INT
    if type(value) is not list and type(value) is not dict:
        return True
    inner = cast("list[Any] | dict[str, Any]", value)
    each = inner.values() if isinstance(inner, dict) else inner
    return depth < _DEPTH and all(_representable(one, depth + 1) for one in each)


def _strict_int(value: Any, _: type[int]) -> int:
    if type(value) is float and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if type(value) is not int:
        raise _WrongTypeError(value, "a whole number")
    if not MIN_INT <= value <= MAX_INT:
        raise _WrongTypeError(value, "a whole number of 64 bits")
    return value


def _strict_str(value: Any, _: type[str]) -> str:
    if type(value) is not str:
        raise _WrongTypeError(value, "a string")
    return value


def _exact_track(row: Any, _: type[Track]) -> Track:
    if type(row) is not dict:
        raise _WrongTypeError(row, "an object")
    track: Track = _known_fields(row, Track)
    extra = _unknown(cast("dict[str, Any]", row))
    for name, value in extra.items():
        if not _representable(value):
            raise _WrongTypeError(value, f"a value with 64-bit integers, nested at most {_DEPTH} deep", f".{name}")
    return attrs.evolve(track, extra=Fields(extra) if extra else NO_FIELDS)


def _exact_pagination(data: Any, _: type[Pagination]) -> Pagination:
    if type(data) is not dict:
        raise _WrongTypeError(data, "an object")
    pagination: Pagination = _known_numbers(data, Pagination)
    return pagination


def _decode_exactly(raw: msgspec.Raw, errors: _Errors, number: int, skip_invalid: bool) -> Decoded:
    data = _untyped(raw, errors.rid)
    rows: list[Any] = [] if data.get("music") is None else data["music"]
    if not isinstance(rows, list):
        raise errors.wrong_type(_WrongTypeError(rows, "a list"), "$.data.music")
    pagination = data.get("pagination")
    if pagination is not None:
        pagination = _structured(pagination, Pagination, "$.data.pagination", errors)
    tracks: list[Track] = []
    places: list[int] = []
    invalid: list[InvalidRecord] = []
    for place, row in enumerate(rows):
        try:
            tracks.append(_structured(row, Track, f"$.data.music[{place}]", errors))
            places.append(place)
        except DecodeError as error:
            if not skip_invalid:
                raise
            invalid.append(InvalidRecord(number, place, error.args[0], row))
    SCHEMA.learn(track.extra for track in tracks)
    page = Page(tuple(tracks), pagination or _NO_PAGINATION, errors.rid)
    return Decoded(page, tuple(places) if invalid else None, len(rows), tuple(invalid))


def _structured(value: Any, kind: type[_T], path: str, errors: _Errors) -> _T:
    try:
        return _exact.structure(value, kind)
    except _WrongTypeError as fault:
        raise errors.wrong_type(fault, path) from None
    except cattrs.ClassValidationError as group:
        first, note = group.group_exceptions()[0][0]
        path = f"{path}.{note.name}"
        if isinstance(first, _WrongTypeError):
            raise errors.wrong_type(first, path) from None
        raise DecodeError(f"{path} is missing", path=path, rid=errors.rid) from None


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
