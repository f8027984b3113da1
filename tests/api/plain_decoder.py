"""A plain decoder, to hold the client's against: `json.loads`, and every check written out."""

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
"""Levels of nesting up to which a page must decode; beyond, it may be refused."""


class RefusedError(Exception):
    """The body is no page."""


@attrs.frozen
class Read:
    """What a body says.

    Attributes:
        code: the envelope's, where it is a failure; else 0, and what follows is the page.
        sure: whether it must be read so. Else it may be refused as well: nested deep, or with numbers beyond all bounds
            or values that do not count where nobody looks.
    """

    code: int
    sure: bool = True
    tracks: tuple[Track, ...] = ()
    pagination: Pagination = attrs.field(factory=Pagination)
    rid: str | None = None
    places: tuple[int, ...] = ()
    records: int = 0


class Beyond:
    """A number that neither 64 bits nor a float can hold, nor Python's limit on digits."""


class Reader:
    """Reads one body.

    Args:
        body: the bytes, not compressed.
        skip_invalid: whether records that are no tracks are passed over.
    """

    def __init__(self, body: bytes, *, skip_invalid: bool) -> None:
        self._skip_invalid = skip_invalid
        self.sure: bool = True
        """See `Read`; it tells of a refusal too."""
        self._body = body

    def read(self) -> Read:
        """What the body says; `RefusedError` where it says nothing."""
        envelope = self._parsed(self._body)
        _require(type(envelope) is dict)
        code = _whole(envelope.get("code"))
        if code != 0:
            return Read(code, self.sure)
        data = envelope.get("data")
        _require(type(data) is dict)
        rid, _ = _text(envelope.get("rid")), _text(envelope.get("msg"))
        rows = [] if data.get("music") is None else data["music"]
        _require(type(rows) is list)
        pagination = self._pagination(data.get("pagination"))
        self._look_aside(data, ("music", "pagination"))
        found = [(place, track) for place, row in enumerate(rows) if (track := self._track(row)) is not None]
        places, tracks = tuple(place for place, _ in found), tuple(track for _, track in found)
        return Read(0, self.sure, tracks, pagination, rid, places, len(rows))

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
            raise RefusedError from None
        except RecursionError:
            self.sure = False
            raise RefusedError from None
        _require(not _holds(value, _is_cut))
        if _depth(value) > _MODERATE:
            self.sure = False
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # the last one counts, and the others may spoil it
            self.sure = False
            _require(not any(_holds(value, _is_cut) for _, value in pairs))
        return found

    def _look_aside(self, data: dict[str, Any], known: tuple[str, ...]) -> None:
        if any(_holds(value, _is_beyond) for name, value in data.items() if name not in known):
            self.sure = False

    def _pagination(self, data: Any) -> Pagination:
        if data is None:
            return Pagination()
        _require(type(data) is dict)
        names = tuple(field.name for field in attrs.fields(Pagination))
        self._look_aside(data, names)
        return Pagination(*(None if data.get(name) is None else _whole(data[name]) for name in names))

    def _track(self, row: Any) -> Track | None:
        _require(not _holds(row, _is_beyond))  # no number that msgspec takes: the page as a whole is no JSON
        try:
            return _track(row)
        except RefusedError:
            if not self._skip_invalid:
                raise
            return None


def _track(row: Any) -> Track:
    _require(type(row) is dict)
    extra = {name: value for name, value in row.items() if name not in FIELDS}
    for value in extra.values():
        _require(not _holds(value, _is_long) and _depth(value) <= _MODERATE)
    duration = None if row.get("duration") is None else _whole(row["duration"])
    return Track(_whole(row.get("id")), _text(row.get("name")), _text(row.get("music_url")), duration, Fields(extra))


def _require(holds: bool) -> None:
    if not holds:
        raise RefusedError


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _float(text: str) -> float | Beyond:
    value = float(text)
    return value if math.isfinite(value) else Beyond()


def _int(text: str) -> int | Beyond:
    return int(text) if len(text) <= 4300 else Beyond()


def _whole(value: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if type(value) is not int or not _LOW <= value <= _HIGH:
        raise RefusedError
    return value


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise RefusedError
    return value


def _is_cut(value: Any) -> bool:
    """Whether it is a text with half a surrogate pair, which UTF-8 cannot hold."""
    return type(value) is str and any("\ud800" <= character <= "\udfff" for character in value)


def _is_beyond(value: Any) -> bool:
    return isinstance(value, Beyond)


def _is_long(value: Any) -> bool:
    return type(value) is int and not _LOW <= value <= _HIGH


def _holds(value: Any, bad: Callable[[Any], bool]) -> bool:
    """Whether anything in a value is bad, names of fields included; without recursion, for it may be deep."""
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
    """How many lists and objects lie within each other."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
    return depth
