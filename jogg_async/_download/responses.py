"""Rules of HTTP for a file that is fetched in pieces: ranges, validators, refused responses. No I/O."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

from jogg_async._api.retry_after import retry_after
from jogg_async._http.transfer_error import TransferError

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_TRANSIENT: Final = (408, 425, 429)
_NO_AUDIO: Final = ("text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml")
"""Media types of error pages and login forms, which some servers send with status 200."""


@attrs.frozen
class Partial:
    """First bytes of a file that an earlier attempt stored.

    Attributes:
        address: URL that they came from, without the query, which may hold a signature that changes.
        validator: strong ``ETag`` or ``Last-Modified`` of the file.
        size: number of bytes stored.
        total: size of the whole file in bytes; `None` if the response did not name it.
    """

    address: str
    validator: str
    size: int
    total: int | None


def range_headers(partial: Partial | None) -> dict[str, str]:
    """Return the headers that ask for the rest of a file, or for all of it if it has changed (RFC 9110, 13.1.5)."""
    if partial is None:
        return {}
    return {"Range": f"bytes={partial.size}-", "If-Range": partial.validator}


def body_offset(status: int, headers: Mapping[str, str], partial: Partial) -> int | None:
    """Return where the body of the response to `range_headers` begins in the file.

    `None` if the response cannot be used, so that the whole file must be requested: the requested range lies beyond the
    file, or the response has another range.
    """
    if status == 416:
        return None
    if status != 206:
        return 0
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None:
        return None
    first, last, total = map(int, match.groups())
    is_rest = (first, last + 1) == (partial.size, total) and partial.total in (None, total)
    is_same = not partial.validator.startswith('"') or headers.get("ETag", partial.validator) == partial.validator
    return first if is_rest and is_same else None


def file_size(headers: Mapping[str, str], offset: int) -> int | None:
    """Return the size of the whole file, if the response names the length of its body; else `None`."""
    length = headers.get("Content-Length", "")
    return offset + int(length) if _DIGITS.fullmatch(length) else None


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """Return the value for ``If-Range``: a strong ``ETag``, or a ``Last-Modified`` at least a second before ``Date``.

    A later ``Last-Modified`` could stand for two different files (RFC 9110, 8.8.2.2). `None` if there is neither.
    """
    tag = headers.get("ETag", "")
    if len(tag) > 1 and tag[0] == tag[-1] == '"':
        return tag
    modified = headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(modified)
    except (TypeError, ValueError, OverflowError):
        return None
    return modified if age >= timedelta(seconds=1) else None


def check_response(status: int, headers: Mapping[str, str], *, ranged: bool) -> None:
    """Raise `TransferError` unless the body of the response is the file.

    Args:
        status: HTTP status.
        headers: headers.
        ranged: the body is the requested range of the file, so that 206 is the status of success.
    """
    if status != (206 if ranged else 200):
        transient = status in _TRANSIENT or status >= 500
        wait = retry_after(headers, None, time.time()) if transient else None
        raise TransferError(f"HTTP {status}", transient=transient, retry_after=wait)
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise TransferError(f"the file came compressed ({encoding!r:.40}), although it was requested as it is")
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _NO_AUDIO:
        raise TransferError(f"a document of type {kind} came instead of audio")
