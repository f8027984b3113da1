"""What the service answers, as plain values: frozen, slotted, hashable attrs classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

__all__ = ["InvalidRecord", "Page", "Pagination", "Track"]


class Fields(Mapping[str, Any]):
    """Unknown fields: a read-only mapping that, unlike `types.MappingProxyType`, pickles and copies."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


NO_FIELDS: Mapping[str, Any] = Fields({})
"""The `Track.extra` of a track without unknown fields: one for all, so that a million tracks share it."""


@attrs.frozen
class Track:
    """One piece of background music.

    The service's description marks no field of a track as required; without an `id` a track could be neither
    addressed nor told from another, so that one is.

    Attributes:
        id: the track's number, a signed 64-bit integer.
        name: its title.
        music_url: where its audio lies; asked for without the key.
        duration: its length in whole seconds.
        extra: the fields that this version does not know, read-only, JSON values; takes no part in the hash.
    """

    id: int
    name: str | None = None
    music_url: str | None = None
    duration: int | None = None
    extra: Mapping[str, Any] = attrs.field(default=NO_FIELDS, hash=False)


@attrs.frozen
class Pagination:
    """What an answer says of its place in the whole. The service's description requires none of it.

    Attributes:
        page: the page's number, from 1.
        page_size: tracks per page, 1 to 100.
        total_items: tracks in the whole catalogue, under the filters asked for.
        total_pages: pages in the whole catalogue, at this page size.
    """

    page: int | None = None
    page_size: int | None = None
    total_items: int | None = None
    total_pages: int | None = None


@attrs.frozen
class Page:
    """One answer of the service.

    Attributes:
        tracks: the page's tracks, in the order of the catalogue.
        pagination: what the answer says of its place in the whole.
        rid: the service's request id, 32 hex digits; `None` where none came.
    """

    tracks: tuple[Track, ...]
    pagination: Pagination = Pagination()
    rid: str | None = None


@attrs.frozen
class InvalidRecord:
    """A record that is no track, passed over under ``on_invalid="skip"``.

    Attributes:
        page: the page that held it, from 1.
        place: its place in the page's list, from 0.
        message: what is wrong with it, with the path to the value.
        record: the record as it came.
    """

    page: int
    place: int
    message: str
    record: Any = attrs.field(hash=False)
