"""Whether the client makes of a body what a plain decoder makes of it, in each of its three ways to decode."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from typing import Final

from jogg_async import APIError, DecodeError, JoggError, _convert
from jogg_async._convert import Decoded
from jogg_async._shape import Success
from jogg_async._wire import Answer, _undocumented, read_envelope

from .plain_decoder import Read, Reader, RefusedError

NUMBER: Final = 7
"""The page asked for."""

Way = Callable[[Success, bool], Decoded]


def _fast(envelope: Success, skip_invalid: bool) -> Decoded:
    return _convert.decode_page(envelope, NUMBER, skip_invalid=skip_invalid)


def _loose(envelope: Success, skip_invalid: bool) -> Decoded:
    try:
        page = _convert._structure_loosely(envelope)
    except _convert._StumbleError:
        return _exact(envelope, skip_invalid)
    return Decoded(page, None, len(page.tracks))


def _exact(envelope: Success, skip_invalid: bool) -> Decoded:
    return _convert._decode_exactly(envelope, NUMBER, skip_invalid)


def compare(body: bytes, *, skip_invalid: bool) -> str:
    """Read a body of HTTP 200 in every way; says what it came to, `AssertionError` where they differ."""
    reader, read = Reader(body, skip_invalid=skip_invalid), None
    with contextlib.suppress(RefusedError):
        read = reader.read()
    try:
        envelope = read_envelope(Answer(200, {}, body), 0.0)
    except JoggError as error:
        return _failed(error, read, sure=reader.sure)
    raw = _undocumented.decode(body)  # what the slower ways get where the fastest does not fit
    found = [_outcome(_fast, envelope, skip_invalid), *[_outcome(way, raw, skip_invalid) for way in (_loose, _exact)]]
    for each in found:
        _compare(each, read, sure=reader.sure)
    claim(not reader.sure or len({repr(each) for each in found}) == 1, "the ways differ", found)
    return "no page" if read is None else "page"


def claim(holds: bool, *what: object) -> None:
    """`AssertionError` where it does not hold."""
    if not holds:
        raise AssertionError(what)


def claim_decent(error: JoggError) -> None:
    """An error pickles, and its text is short, but for the rid and the message that the service chose."""
    copy = pickle.loads(pickle.dumps(error))
    claim((type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error)), "pickled", error)
    quoted = len(error.rid or "") + len(error.msg if isinstance(error, APIError) else "")
    claim(len(str(error)) - quoted < 1000, "its text is long", error)


def _failed(error: JoggError, read: Read | None, *, sure: bool) -> str:
    claim_decent(error)
    if isinstance(error, APIError):
        claim(not sure if read is None else read.code == error.code != 0, "a failure", error, read)
        return "failure"
    claim(isinstance(error, DecodeError) and (read is None or not sure), "refused", error, read)
    return "no envelope"


def _outcome(way: Way, envelope: Success, skip_invalid: bool) -> Decoded | DecodeError:
    try:
        return way(envelope, skip_invalid)
    except DecodeError as error:
        return error


def _compare(found: Decoded | DecodeError, read: Read | None, *, sure: bool) -> None:
    if isinstance(found, DecodeError):
        claim_decent(found)
        claim(read is None or not sure, "refused", found, read)
    else:
        claim(read is not None and _agree(found, read), "read", found, read)


def _agree(decoded: Decoded, read: Read) -> bool:
    """By their text too, since 12.0 and True equal 12 and 1."""
    page = decoded.page
    places = tuple(range(decoded.records)) if decoded.places is None else decoded.places
    theirs = (page.tracks, page.pagination, page.rid, places, decoded.records)
    ours = (read.tracks, read.pagination, read.rid, read.places, read.records)
    return theirs == ours and repr(theirs) == repr(ours)
