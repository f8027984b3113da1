"""What the service documents of a success, for msgspec to check in C while it parses: nothing else fits it."""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeVar

import msgspec

LOW: Final = -(2**63)
HIGH: Final = 2**63 - 1
"""The bounds of every integer, those of 64 bits."""

_Int64 = Annotated[int, msgspec.Meta(ge=LOW, le=HIGH)]
_Data = TypeVar("_Data")


class Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A track without a field that this version does not know."""

    id: _Int64
    name: str | None = None
    music_url: str | None = None
    duration: _Int64 | None = None


class Numbers(msgspec.Struct, gc=False):
    """A page's place in the whole."""

    page: _Int64 | None = None
    page_size: _Int64 | None = None
    total_items: _Int64 | None = None
    total_pages: _Int64 | None = None


class Documented(msgspec.Struct, gc=False):
    """Data without surprises: documented fields alone, each of its type."""

    music: list[Record] | None = None
    pagination: Numbers | None = None


class Envelope(msgspec.Struct, Generic[_Data], frozen=True):
    """The envelope of a success: what is around the data, and the data: `Documented`, or its JSON as it came."""

    code: int | float
    data: _Data
    msg: str | None = None
    rid: str | None = None


Success = Envelope[Documented] | Envelope[msgspec.Raw]
