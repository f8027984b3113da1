from __future__ import annotations

import pytest

from jogg_async._download.responses import (
    Partial,
    body_offset,
    check_response,
    file_size,
    range_headers,
    strong_validator,
)
from jogg_async._http.transfer_error import TransferError

PARTIAL = Partial("http://host/a.mp3", '"one"', 40, 100)
DATED = Partial("http://host/a.mp3", "Wed, 21 Oct 2026 07:28:00 GMT", 40, None)


def test_a_partial_file_is_requested_with_its_validator() -> None:
    assert range_headers(PARTIAL) == {"Range": "bytes=40-", "If-Range": '"one"'}
    assert range_headers(None) == {}


@pytest.mark.parametrize(
    ("partial", "status", "headers", "offset"),
    [
        (PARTIAL, 206, {"Content-Range": "bytes 40-99/100"}, 40),
        (PARTIAL, 206, {"Content-Range": "bytes 40-99/100", "ETag": '"one"'}, 40),
        (DATED, 206, {"Content-Range": "bytes 40-99/100", "ETag": '"two"'}, 40),
        (PARTIAL, 200, {}, 0),
        (PARTIAL, 503, {}, 0),
        (PARTIAL, 416, {"Content-Range": "bytes */40"}, None),
        (PARTIAL, 206, {}, None),
        (PARTIAL, 206, {"Content-Range": "bytes 0-99/100"}, None),
        (PARTIAL, 206, {"Content-Range": "bytes 40-98/100"}, None),
        (PARTIAL, 206, {"Content-Range": "bytes 40-109/110"}, None),
        (PARTIAL, 206, {"Content-Range": "bytes 40-99/*"}, None),
        (PARTIAL, 206, {"Content-Range": "bytes 40-99/100", "ETag": '"two"'}, None),
        (PARTIAL, 206, {"Content-Type": "multipart/byteranges; boundary=x"}, None),
    ],
)
def test_only_the_requested_rest_of_the_same_file_is_appended(
    partial: Partial, status: int, headers: dict[str, str], offset: int | None
) -> None:
    assert body_offset(status, headers, partial) == offset


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"one"'}, '"one"'),
        ({"ETag": '""'}, '""'),
        ({"ETag": 'W/"one"'}, None),
        ({"ETag": '"'}, None),
        ({"ETag": "one"}, None),
        (
            {"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:01 GMT"},
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ),
        ({"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Last-Modified": "yesterday", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Last-Modified": "Wed, 21 Oct 2026 07:28:00", "Date": "Wed, 21 Oct 2026 07:29:00 GMT"}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_allows_resumption(headers: dict[str, str], validator: str | None) -> None:
    assert strong_validator(headers) == validator


@pytest.mark.parametrize(
    ("length", "offset", "size"), [("60", 40, 100), ("0", 0, 0), ("", 0, None), ("-1", 0, None), ("1e3", 0, None)]
)
def test_the_size_of_a_file_follows_from_the_length_of_the_rest(length: str, offset: int, size: int | None) -> None:
    assert file_size({"Content-Length": length}, offset) == size


@pytest.mark.parametrize(
    ("status", "headers", "transient"),
    [
        (404, {}, False),
        (401, {}, False),
        (206, {}, False),
        (204, {}, False),
        (304, {}, False),
        (408, {}, True),
        (429, {}, True),
        (500, {}, True),
        (503, {}, True),
        (200, {"Content-Encoding": "gzip"}, False),
        (200, {"Content-Type": "text/html; charset=utf-8"}, False),
        (200, {"Content-Type": "application/json"}, False),
    ],
)
def test_a_response_that_is_no_audio_is_refused(status: int, headers: dict[str, str], transient: bool) -> None:
    with pytest.raises(TransferError) as refused:
        check_response(status, headers, ranged=False)
    assert refused.value.transient is transient


def test_error_of_a_refused_response_has_its_retry_after() -> None:
    with pytest.raises(TransferError) as refused:
        check_response(429, {"Retry-After": "7"}, ranged=False)
    assert refused.value.retry_after == 7


@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", "", "Audio/WAV"])
def test_a_whole_file_or_the_requested_range_is_accepted(kind: str) -> None:
    check_response(200, {"Content-Type": kind, "Content-Encoding": "identity"}, ranged=False)
    check_response(206, {"Content-Type": kind}, ranged=True)
