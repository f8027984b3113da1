"""Targets of the fuzzer: each takes bytes, and raises if the client does not behave as documented."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from jogg_async import APIError, DecodeError, JoggError, TransportError
from jogg_async._api.decoding import decode_page
from jogg_async._api.envelope import RawResponse, is_retryable, read_envelope
from jogg_async._api.limits import MAX_PAGE_SIZE
from jogg_async._api.redaction import redact_error
from jogg_async._api.retry_after import retry_after
from jogg_async._paging.checkpoint import Checkpoint
from jogg_async.errors import RateLimitError, ServerError
from tests.api.plain_decoder_comparison import compare, require, require_well_formed
from tests.api.random_bodies import Change, body

_STATUS: Final = (200, 201, 204, 301, 400, 401, 402, 403, 404, 408, 418, 422, 429, 500, 502, 503)
_CODINGS: Final = (None, "", "gzip", "x-gzip", "deflate", "identity", "br", " GZIP ")
_NOW: Final = 1_700_000_000.0
_KEY: Final = "secret-key"
_MOST_CHANGES: Final = 12


def bodies(data: bytes) -> None:
    """Decode a body of HTTP 200 in all three ways. The first byte decides if invalid records are skipped."""
    compare(data[1:], skip_invalid=bool(data[:1] and data[0] % 2))


def pages(data: bytes) -> None:
    """Decode a valid page with changes: bytes for its size and its ends, then four bytes for each change."""
    if len(data) < 4:
        return
    form, before, after, cut = data[:4]
    numbers = [data[place : place + 4] for place in range(4, min(len(data) - 3, 4 + 4 * _MOST_CHANGES), 4)]
    changes = [Change(what, place, value * 256 + more) for what, place, value, more in numbers]
    ends = {"before": max(0, before - 247), "after": max(0, after - 247), "cut": max(0, cut - 223)}
    compare(body(form % 4, changes, unknown=bool(form & 4), **ends), skip_invalid=bool(form & 8))


def responses(data: bytes) -> None:
    """Read a response: a byte for the status, one for the encoding, a line each for two headers, then the body."""
    if len(data) < 2:
        return
    wait, _, rest = data[2:].partition(b"\n")
    date, _, body = rest.partition(b"\n")
    headers = {"Retry-After": wait.decode("latin-1"), "Date": date.decode("latin-1")}
    coding = _CODINGS[data[1] % len(_CODINGS)]
    headers |= {"Location": headers["Date"]} if coding is None else {"Content-Encoding": coding}
    response = RawResponse(_STATUS[data[0] % len(_STATUS)], headers, body)
    try:
        decode_page(read_envelope(response, _NOW, _KEY), 1, skip_invalid=bool(data[0] & 128))
    except JoggError as error:
        redact_error(error, _KEY)  # as the page fetcher does
        _require_matching(error, response)
    _require_wait(headers)


def _require_matching(error: JoggError, response: RawResponse) -> None:
    require_well_formed(error)
    if not 200 <= response.status < 300:
        require(isinstance(error, APIError) and error.http_status == response.status, "an error status", error)
    require(isinstance(error, APIError | DecodeError | TransportError), "the kind of error", error)
    require(not (isinstance(error, DecodeError | TransportError) and is_retryable(error)), "is not retried", error)
    require(_KEY not in str(error), "the key shows", error)
    if isinstance(error, RateLimitError | ServerError) and error.retry_after is not None:
        require(0 < error.retry_after < math.inf, "a wait", error.retry_after)


def _require_wait(headers: Mapping[str, str]) -> None:
    """Compare the wait of the headers with a plain parser."""
    found = retry_after(headers, None, _NOW)
    require(found is None or 0 < found < math.inf, "a wait", found)
    value = headers["Retry-After"]
    if value.isascii() and value.isdigit() and len(value) < 300:
        require(found == (float(value) or None), "a wait in seconds", value, found)
    elif found is not None and _number(value) is None:
        then, now = _moment(value), _moment(headers["Date"])
        require(then is not None, "a wait out of nothing", value, found)
        require(then is None or found == then - (now or _NOW), "a wait until a date", value, found)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    try:
        found: datetime = parsedate_to_datetime(text)
        return (found if found.tzinfo else datetime.fromisoformat(f"{found.isoformat()}+00:00")).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def checkpoints(data: bytes) -> None:
    """Parse a checkpoint: the result is valid, or a `ValueError` is raised."""
    try:
        given: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        found = Checkpoint.from_dict(given)
    except ValueError as error:
        require(len(str(error)) < 400, "its text is long", error)
        return
    require(type(found.page) is type(found.place) is type(found.page_size) is int, "whole numbers", found)
    require(found.page >= 1 and found.place >= 0 and 1 <= found.page_size <= MAX_PAGE_SIZE, "bounds", found)
    require(all(type(each) is str for pair in found.filters.items() for each in pair), "filters", found)
    require(Checkpoint.from_dict(json.loads(json.dumps(found.as_dict()))) == found, "there and back", found)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "pages": pages,
    "bodies": bodies,
    "responses": responses,
    "checkpoints": checkpoints,
}
