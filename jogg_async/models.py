"""Tracks and pages as frozen, slotted, hashable attrs classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import attrs

__all__ = ["InvalidRecord", "Page", "Pagination", "Track"]


class Fields(dict[str, Any]):
    """Read-only `dict` of undocumented fields.

    A `dict`, because `json`, `attrs.asdict`, msgspec and FastAPI encode no other mapping.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers know `Track.extra` as a `Mapping`

        def _refuse(self, *_: object, **__: object) -> NoReturn:
            raise TypeError(
                "the extra fields of a track are read-only; dict(track.extra) is a copy that can be changed"
            )

        __setitem__ = __delitem__ = __ior__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> str | tuple[type[Fields], tuple[dict[str, Any]]]:
        return "NO_FIELDS" if self is NO_FIELDS else (Fields, (dict(self),))


NO_FIELDS: Final = Fields()
"""The `Track.extra` of a track without undocumented fields, shared by all of them."""


def _read_only(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    if type(extra) is Fields:
        return extra
    if documented := sorted(DOCUMENTED & extra.keys()):
        raise ValueError(f"extra must not name the documented field {documented[0]!r}")
    return Fields(extra) if extra else NO_FIELDS


@attrs.frozen
class Track:
    """One piece of background music.

    The service's OpenAPI description of ``GET /v2/musics`` requires no field of a track. `id` is required here, because
    nothing else tells two tracks apart.

    Attributes:
        id: number of the track, a signed 64-bit integer.
        name: title; `None` (the default) where the service sends none.
        music_url: URL of the audio file, as the service sends it; requests for it must not carry the API key. `None` by
            default.
        duration: length in whole seconds, a signed 64-bit integer; `None` by default.
        extra: undocumented fields by name, as JSON values: a read-only `dict`, empty by default, without the four names
            above. Takes no part in the hash.
    """

    id: int
    name: str | None = None
    music_url: str | None = None
    duration: int | None = None
    extra: Mapping[str, Any] = attrs.field(default=NO_FIELDS, hash=False, converter=_read_only)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as the service sends it: the four documented fields, then the undocumented ones.

        A documented field that the service left out is `None`. The result is a copy, down to nested lists and objects,
        and `json.dumps` takes it.
        """
        fields = {"id": self.id, "name": self.name, "music_url": self.music_url, "duration": self.duration}
        return fields | {name: _copied(value) for name, value in self.extra.items()}


DOCUMENTED: Final = frozenset(field.name for field in attrs.fields(Track)) - {"extra"}
"""Names of the documented fields of a track."""


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: _copied(each) for name, each in fields.items()}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in cast("Sequence[Any]", value)]
    return value


@attrs.frozen
class Pagination:
    """Position of a page in the catalogue, as the service states it.

    The service's OpenAPI description requires none of these fields: each is `None` where the service sends none. Each
    is a signed 64-bit integer; the ranges below are the documented ones and are not checked.

    Attributes:
        page: number of the page, from 1.
        page_size: tracks per page, 1 to 100; the service may use a smaller one than was requested.
        total_items: tracks in the whole catalogue, under the requested filters, from 0.
        total_pages: pages in the whole catalogue, under the requested filters, at this page size, from 0.
    """

    page: int | None = None
    page_size: int | None = None
    total_items: int | None = None
    total_pages: int | None = None


@attrs.frozen
class Page:
    """One page of the catalogue.

    Attributes:
        tracks: tracks of the page in catalogue order, up to 100. `TrackList` makes a table or a data frame of them.
        pagination: position of the page in the catalogue; every field is `None` by default.
        rid: request id of the service, 32 hex digits, which its support asks for; `None` (the default) where the
            service sends none. Not part of the OpenAPI description.
    """

    tracks: tuple[Track, ...]
    pagination: Pagination = Pagination()
    rid: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that `json.dumps` takes: ``tracks`` (as `Track.to_dict`), ``pagination`` and ``rid``."""
        tracks = [track.to_dict() for track in self.tracks]
        return {"tracks": tracks, "pagination": attrs.asdict(self.pagination), "rid": self.rid}


@attrs.frozen
class InvalidRecord:
    """Record that is no valid track, skipped under ``on_invalid="skip"``.

    Attributes:
        page: number of its page, from 1.
        place: index in the page's list, from 0.
        message: what is wrong with it, with the path to the value.
        record: the record as the service sent it, a JSON value. Takes no part in the hash.
    """

    page: int
    place: int
    message: str
    record: Any = attrs.field(hash=False)
