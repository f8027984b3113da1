"""Plain decoder to compare with the client's: `json.loads` and explicit checks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final, NoReturn

import attrs

from jogg_async import Pagination, Track
from jogg_async.models import Fields

FIELDS: Final = ("id", "name", "music_url", "duration")
_LOW, _HIGH = -(2**63), 2**63 - 1
_MODERATE: Final = 100
"""Levels of nesting up to which a page must decode; deeper ones may be rejected."""


class RejectedError(Exception):
    """The body is not a valid page."""


@attrs.frozen
class DecodedBody:
    """Result of decoding a body.

    Attributes:
        code: code of the envelope; the other fields are set only if it is 0.
        sure: True if every decoder must get this result. Otherwise it may also reject the body: for deep nesting, a
            repeated field, or a number beyond the range of floats in an unused field.
    """

    code: int
    sure: bool = True
    tracks: tuple[Track, ...] = ()
    pagination: Pagination = attrs.field(factory=Pagination)
    rid: str | None = None
    places: tuple[int, ...] = ()
    records: int = 0


class HugeNumber:
    """Number beyond the range of floats, or with more digits than Python parses."""


class Reader:
    """Decode one body.

    Args:
        body: the uncompressed bytes.
        skip_invalid: True to skip invalid records.
    """

    def __init__(self, body: bytes, *, skip_invalid: bool) -> None:
        self._skip_invalid = skip_invalid
        self.sure: bool = True
        """See `DecodedBody`; also valid if the body was rejected."""
        self._body = body

    def read(self) -> DecodedBody:
        """Return the decoded body; raise `RejectedError` if it is not a valid page."""
        envelope = self._parsed(self._body)
        _require(type(envelope) is dict)
        code = _whole(envelope.get("code"))
        if code != 0:
            return DecodedBody(code, self.sure)
        data = envelope.get("data")
        _require(type(data) is dict)
        rid, _ = _text(envelope.get("rid")), _text(envelope.get("msg"))
        rows = [] if data.get("music") is None else data["music"]
        _require(type(rows) is list)
        pagination = self._pagination(data.get("pagination"))
        self._check_unused(data, ("music", "pagination"))
        found = [(place, track) for place, row in enumerate(rows) if (track := self._track(row)) is not None]
        places, tracks = tuple(place for place, _ in found), tuple(track for _, track in found)
        return DecodedBody(0, self.sure, tracks, pagination, rid, places, len(rows))

    def _parsed(self, body: bytes) -> Any:
        try:
            value = json.loads(
                body.decode(),
                parse_constant=_refuse,
                parse_float=_float,
                parse_int=_int,
                object_pairs_hook=self._object,
            )
        except ValueError:
            raise RejectedError from None
        except RecursionError:
            self.sure = False
            raise RejectedError from None
        _require(not _contains(value, _has_lone_surrogate))
        if _depth(value) > _MODERATE:
            self.sure = False
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # the last one counts, but decoders may also check the others
            self.sure = False
            _require(not any(_contains(value, _has_lone_surrogate) for _, value in pairs))
        return found

    def _check_unused(self, data: dict[str, Any], known: tuple[str, ...]) -> None:
        if any(_contains(value, _is_huge) for name, value in data.items() if name not in known):
            self.sure = False

    def _pagination(self, data: Any) -> Pagination:
        if data is None:
            return Pagination()
        _require(type(data) is dict)
        names = tuple(field.name for field in attrs.fields(Pagination))
        self._check_unused(data, names)
        return Pagination(*(None if data.get(name) is None else _whole(data[name]) for name in names))

    def _track(self, row: Any) -> Track | None:
        _require(not _contains(row, _is_huge))  # msgspec rejects such numbers: the whole page is no JSON
        try:
            return _track(row)
        except RejectedError:
            if not self._skip_invalid:
                raise
            return None


def _track(row: Any) -> Track:
    _require(type(row) is dict)
    extra = {name: value for name, value in row.items() if name not in FIELDS}
    for value in extra.values():
        _require(not _contains(value, _is_long) and _depth(value) <= _MODERATE)
    duration = None if row.get("duration") is None else _whole(row["duration"])
    return Track(_whole(row.get("id")), _text(row.get("name")), _text(row.get("music_url")), duration, Fields(extra))


def _require(holds: bool) -> None:
    if not holds:
        raise RejectedError


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _float(text: str) -> float | HugeNumber:
    value = float(text)
    return value if math.isfinite(value) else HugeNumber()


def _int(text: str) -> int | HugeNumber:
    return int(text) if len(text) <= 4300 else HugeNumber()


def _whole(value: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if type(value) is not int or not _LOW <= value <= _HIGH:
        raise RejectedError
    return value


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise RejectedError
    return value


def _has_lone_surrogate(value: Any) -> bool:
    """Return True for a string with a lone surrogate, which UTF-8 cannot encode."""
    return type(value) is str and any("\ud800" <= character <= "\udfff" for character in value)


def _is_huge(value: Any) -> bool:
    return isinstance(value, HugeNumber)


def _is_long(value: Any) -> bool:
    return type(value) is int and not _LOW <= value <= _HIGH


def _contains(value: Any, bad: Callable[[Any], bool]) -> bool:
    """Return True if anything in a value, including names of fields, is bad. Not recursive: it may be nested deep."""
    pending = [value]
    while pending:
        each = pending.pop()
        if bad(each):
            return True
        if isinstance(each, dict):
            pending += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            pending += each
    return False


def _depth(value: Any) -> int:
    """Return the number of levels of nested lists and objects."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
    return depth
