"""Compare the client's three ways to decode (documented schema, learnt schema, field by field) with a plain decoder."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterable
from typing import Final

import attrs

from jogg_async import APIError, DecodeError, JoggError, Track
from jogg_async._api.decoding import Decoded, decode_page
from jogg_async._api.envelope import RawResponse, _raw, read_envelope
from jogg_async._api.schemas import SCHEMA, Schema, Success
from tests.api.plain_decoder import DecodedBody, Reader, RejectedError

NUMBER: Final = 7
"""Number of the requested page."""


def compare(body: bytes, *, skip_invalid: bool) -> str:
    """Decode a body of HTTP 200 in every way and return the kind of result; raise `AssertionError` if they differ."""
    reader, read = Reader(body, skip_invalid=skip_invalid), None
    with contextlib.suppress(RejectedError):
        read = reader.read()
    Schema.__init__(SCHEMA)
    try:
        found = [_outcome(read_envelope(RawResponse(200, {}, body), 0.0), skip_invalid)]
    except JoggError as error:
        return _failed(error, read, sure=reader.sure)
    found.append(_outcome(_raw.decode(body), skip_invalid))
    found.append(_outcome(read_envelope(RawResponse(200, {}, body), 0.0), skip_invalid))  # with the learnt schema
    for each in found:
        _compare(each, read, sure=reader.sure)
    require(not reader.sure or len(set(map(_text, found))) == 1, "the ways differ", found)
    return "no page" if read is None else "page"


def require(holds: bool, *what: object) -> None:
    """Raise `AssertionError` if a condition is false."""
    if not holds:
        raise AssertionError(what)


def require_well_formed(error: JoggError) -> None:
    """Assert that an error pickles, and that its text is short apart from the service's rid and message."""
    copy = pickle.loads(pickle.dumps(error))
    require((type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error)), "pickled", error)
    quoted = len(error.rid or "") + len(error.msg if isinstance(error, APIError) else "")
    require(len(str(error)) - quoted < 1000, "its text is long", error)


def _failed(error: JoggError, read: DecodedBody | None, *, sure: bool) -> str:
    require_well_formed(error)
    if isinstance(error, APIError):
        require(not sure if read is None else read.code == error.code != 0, "a failure", error, read)
        return "failure"
    require(isinstance(error, DecodeError) and (read is None or not sure), "refused", error, read)
    return "no envelope"


def _outcome(envelope: Success, skip_invalid: bool) -> Decoded | DecodeError:
    try:
        return decode_page(envelope, NUMBER, skip_invalid=skip_invalid)
    except DecodeError as error:
        return error


def _compare(found: Decoded | DecodeError, read: DecodedBody | None, *, sure: bool) -> None:
    if isinstance(found, DecodeError):
        require_well_formed(found)
        require(read is None or not sure, "refused", found, read)
    else:
        require(read is not None and _agree(found, read), "read", found, read)


def _agree(decoded: Decoded, read: DecodedBody) -> bool:
    """Return True if both results are equal, in their `repr` too, since 12.0 and True equal 12 and 1.

    The order of undocumented fields may differ: the learnt schema gives all records of a page the same order.
    """
    page, places = decoded.page, tuple(range(decoded.records)) if decoded.places is None else decoded.places
    theirs = (page.tracks, page.pagination, page.rid, places, decoded.records)
    ours = (read.tracks, read.pagination, read.rid, read.places, read.records)
    shown, wanted = ((_with_sorted_extra(each[0]), *each[1:]) for each in (theirs, ours))
    return theirs == ours and repr(shown) == repr(wanted)


def _text(found: Decoded | DecodeError) -> str:
    if isinstance(found, DecodeError):
        return repr(found)
    page = attrs.evolve(found.page, tracks=_with_sorted_extra(found.page.tracks))
    return repr(attrs.evolve(found, page=page))


def _with_sorted_extra(tracks: Iterable[Track]) -> tuple[Track, ...]:
    return tuple(attrs.evolve(track, extra=dict(sorted(track.extra.items()))) for track in tracks)
