"""Compare the client with a plain decoder: by the documented schema, by a learnt one, and field by field."""

from __future__ import annotations

import contextlib
import pickle
from typing import Final

from jogg_async import APIError, DecodeError, JoggError
from jogg_async._api.decoding import Decoded, decode_page
from jogg_async._api.envelope import RawResponse, _raw, read_envelope
from jogg_async._api.schemas import SCHEMA, Schema, Success
from tests.api.plain_decoder import Read, Reader, RefusedError

NUMBER: Final = 7
"""The page asked for."""


def compare(body: bytes, *, skip_invalid: bool) -> str:
    """Read a body of HTTP 200 in every way; says what it came to, `AssertionError` where they differ."""
    reader, read = Reader(body, skip_invalid=skip_invalid), None
    with contextlib.suppress(RefusedError):
        read = reader.read()
    Schema.__init__(SCHEMA)
    try:
        found = [_outcome(read_envelope(RawResponse(200, {}, body), 0.0), skip_invalid)]
    except JoggError as error:
        return _failed(error, read, sure=reader.sure)
    found.append(_outcome(_raw.decode(body), skip_invalid))
    found.append(_outcome(read_envelope(RawResponse(200, {}, body), 0.0), skip_invalid))  # with the names learnt by now
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


def _outcome(envelope: Success, skip_invalid: bool) -> Decoded | DecodeError:
    try:
        return decode_page(envelope, NUMBER, skip_invalid=skip_invalid)
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
