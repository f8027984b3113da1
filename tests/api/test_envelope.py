from __future__ import annotations

import gzip
import json
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    InsufficientCreditError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)
from jogg_async._api.compression import MAX_BODY, too_large
from jogg_async._api.envelope import RawResponse, is_retryable, read_envelope
from jogg_async._api.redaction import Secret, short_repr
from jogg_async._api.schemas import SCHEMA, DataSchema, Schema, TrackSchema

NOW = 1_800_000_000.0
RID = "0123456789abcdef0123456789abcdef"
EMPTY: dict[str, Any] = {}
KINDS: dict[int, tuple[type[APIError], bool]] = {
    429: (RateLimitError, True),
    50000: (ServerError, True),
    10104: (NotFoundError, False),
    10105: (AuthenticationError, False),
    18020: (InsufficientCreditError, False),
    18025: (PermissionDeniedError, False),
    40000: (ParameterError, False),
}
STATUSES: dict[int, tuple[type[APIError], bool]] = {
    **dict.fromkeys((300, 301, 302, 304, 307, 308, 405, 409, 418, 451), (APIError, False)),
    **dict.fromkeys((500, 501, 502, 503, 504, 599), (ServerError, True)),
    **dict.fromkeys((400, 422), (ParameterError, False)),
    401: (AuthenticationError, False),
    402: (InsufficientCreditError, False),
    403: (PermissionDeniedError, False),
    404: (NotFoundError, False),
    408: (APIError, True),
    429: (RateLimitError, True),
}


@pytest.fixture(autouse=True)
def documented_fields_alone() -> None:
    Schema.__init__(SCHEMA)


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def response(body: Any, status: int = 200, **headers: str) -> RawResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def error_of(body: Any, status: int = 200, **headers: str) -> Any:
    with pytest.raises((APIError, DecodeError, TransportError)) as caught:
        read_envelope(response(body, status, **headers), NOW)
    return caught.value


@pytest.mark.parametrize("code", [0, 0.0, -0.0])
@pytest.mark.parametrize("status", [200, 201, 203, 299])
@pytest.mark.parametrize("msg", ["Success", "success", "", "anything", None])
def test_code_0_with_data_is_a_success(code: float, status: int, msg: str | None) -> None:
    body = {"code": code, "msg": msg, "data": {"music": None}, "rid": RID}
    envelope = read_envelope(response(body, status), NOW)
    assert (envelope.data, envelope.rid) == (DataSchema(), RID)


@pytest.mark.parametrize("indent", [None, 0, 1, "\t"])
@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({}, DataSchema()),
        ({"music": []}, DataSchema(music=[])),
        ({"x": "\u00e4", "y": [1.5, {"z": None}]}, DataSchema()),
        ({"music": [{"id": 2, "name": ""}], "x": []}, DataSchema(music=[TrackSchema(2, "")])),
    ],
)
def test_white_space_and_unknown_fields_of_an_envelope_are_ignored(
    indent: int | str | None, data: Any, wanted: DataSchema
) -> None:
    body = {"more": [{"x": 2**70}], "data": data, "rid": RID, "msg": "ok", "code": 0, "": 1}
    text = f" \r\n\t{json.dumps(body, indent=indent, separators=(' ,  ', ' :  '))} \n"
    envelope = read_envelope(response(text.encode()), NOW)
    assert (envelope.data, envelope.rid) == (wanted, RID)


@pytest.mark.parametrize(
    "data", [{"music": 1}, {"music": [{"id": 1, "new": 2}]}, {"music": [{"id": 2**63}]}, {"pagination": {"page": "1"}}]
)
def test_data_that_differs_from_the_schema_is_returned_as_raw_json(data: Any) -> None:
    envelope = read_envelope(response({"code": 0, "data": data, "rid": RID}), NOW)
    assert isinstance(envelope.data, msgspec.Raw)
    assert (json.loads(bytes(envelope.data)), envelope.rid) == (data, RID)


@pytest.mark.parametrize("status", [200, 202, *STATUSES])
@pytest.mark.parametrize("code", KINDS)
def test_known_code_takes_precedence_over_the_http_status(code: int, status: int) -> None:
    kind, retried = KINDS[code]
    for written in (code, float(code)):
        error = error_of({"code": written, "msg": "no", "data": None, "rid": RID}, status)
        assert type(error) is kind
        assert is_retryable(error) is retried
        assert (error.code, error.msg, error.http_status, error.rid) == (code, "no", status, RID)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "body",
    [
        *[
            {"code": 0, "msg": "success", "data": {"music": []}},
            {"code": 77777, "msg": "?"},
            {"code": -1},
            {},
            [],
            None,
        ],
        *[{"code": "429"}, {"code": True}, {"code": None}, {"error": "x"}, {"code": 1.5}, {"code": [429]}, 429, "429"],
        *[b"", b"{", HTML, b"\xff\xfe", b"[" * 100_000],
    ],
    ids=lambda body: repr(body)[:30],
)
def test_http_status_determines_the_error_without_a_known_code(body: Any, status: int) -> None:
    kind, retried = STATUSES[status]
    error = error_of(body, status)
    assert type(error) is kind
    assert is_retryable(error) is retried
    assert error.http_status == status
    assert error.code == (body["code"] if isinstance(body, dict) and type(body.get("code")) is int else None)
    assert error.msg


@pytest.mark.parametrize("code", [1, -1, 100, 404, 500, 40001, 50001, 2**63 - 1])
def test_an_unknown_code_is_a_plain_error_and_not_retried(code: int) -> None:
    error = error_of({"code": code, "msg": "new", "data": None, "rid": RID})
    assert type(error) is APIError
    assert not is_retryable(error)
    assert (error.code, error.msg, error.http_status, error.rid) == (code, "new", 200, RID)


@pytest.mark.parametrize("status", [300, 302, 399])
def test_error_of_a_redirect_names_its_target_and_that_it_is_not_followed(status: int) -> None:
    error = error_of(b"", status, Location="https://elsewhere.example/")
    assert type(error) is APIError
    assert "https://elsewhere.example/" in str(error)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        *[([], "$"), (None, "$"), (0, "$"), ("ok", "$"), (True, "$"), (1.5, "$")],
        *[({}, "$.code"), ({"data": {}}, "$.code"), ({"code": None, "data": {}}, "$.code")],
        *[
            ({"code": each, "data": {}}, "$.code")
            for each in ("0", "", True, False, 0.5, [0], EMPTY, float(2**53), 1e300)
        ],
        *[({"code": 0}, "$.data"), ({"code": 0, "data": None}, "$.data"), ({"code": 0, "data": []}, "$.data")],
        *[({"code": 0, "data": each}, "$.data") for each in ("", "x", 0, 1, True, [EMPTY])],
        *[({"code": 0, "data": {}, "msg": each}, "$.msg") for each in (0, True, ["x"], EMPTY)],
        *[({"code": 0, "data": {}, "rid": each}, "$.rid") for each in (7, True, ["x"])],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_error_about_a_malformed_envelope_has_the_path(body: Any, path: str) -> None:
    error = error_of(body)
    assert isinstance(error, DecodeError)
    assert error.path == path
    assert path == "$" or path in str(error)
    assert not is_retryable(error)


@pytest.mark.parametrize("code", [-(2**63), 2**63 - 1])
def test_a_code_may_be_any_integer_of_64_bits(code: int) -> None:
    error = error_of({"code": code})
    assert isinstance(error, APIError)
    assert error.code == code
    assert isinstance(error_of({"code": code + (1 if code > 0 else -1)}), DecodeError)


@pytest.mark.parametrize("field", [b'"code":"x"', b'"msg":1', b'"rid":[]'])
def test_error_about_a_repeated_field_does_not_blame_another_field(field: bytes) -> None:
    error = error_of(b'{%s,"code":0,"msg":"","rid":"%s","data":{}}' % (field, RID.encode()))
    assert isinstance(error, DecodeError)
    assert (error.path, error.rid) == ("$", RID)
    assert "twice" in str(error)


def test_a_malformed_envelope_keeps_its_rid() -> None:
    assert error_of({"code": 0, "data": None, "rid": RID}).rid == RID
    assert error_of({"code": "0", "rid": RID}).rid == RID
    assert error_of({"code": 0, "data": {}, "rid": 5}).rid is None


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b" ", b"{", b'{"code":0,"data":{"music":[', b"null x", b"{}{}", HTML, b"'x'", b"\x00", b"{'code':0}"],
        *[b'\xef\xbb\xbf{"code":0,"data":{}}', '{"code":0,"data":{}}'.encode("utf-16")],
        *[b'{"code":0,"msg":"\xff","data":{}}', b'{"code":0,"msg":"\\ud800","data":{}}', b'{"code":0,"msg":"\xc3"}'],
        *[b'{"code":NaN,"data":{}}', b'{"code":0,"data":{"x":Infinity}}', b'{"code":0,"data":{"x":-NaN}}'],
        *[b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"code":0,"data":' + b'{"a":' * 100_000],
    ],
    ids=lambda body: repr(body)[:40],
)
def test_body_that_is_not_json_is_a_decode_error(body: bytes) -> None:
    error = error_of(body)
    assert isinstance(error, DecodeError)
    assert not is_retryable(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    "where", [b'{"code":0,"data":{},"x":%s}', b'{"code":0,"data":{"x":%s}}', b'{"code":0,"data":{%s:1}}']
)
def test_invalid_utf_8_in_an_unused_field_is_a_decode_error(where: bytes) -> None:
    for text in (b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"'):
        assert isinstance(error_of(where % text), DecodeError)


@pytest.mark.parametrize("status", [200, 500])
def test_error_text_has_no_lone_surrogate_even_if_a_number_is_beyond_float_range(status: int) -> None:
    error = error_of(b'{"x":1e999,"code":1,"msg":"\\ud800"}', status)
    assert isinstance(error, DecodeError if status == 200 else ServerError)
    assert str(error).encode()


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_nan_and_infinity_are_rejected_even_if_a_number_is_beyond_float_range(constant: bytes) -> None:
    error = error_of(b'{"x":1e999,"code":429,"y":%s}' % constant)
    assert isinstance(error, DecodeError)
    assert "not JSON" in str(error)


def test_code_determines_the_error_even_if_a_number_is_beyond_float_range() -> None:
    assert isinstance(error_of(b'{"x":1e999,"code":429,"msg":""}'), RateLimitError)


def test_invalid_utf_8_is_rejected_even_if_a_number_is_beyond_float_range() -> None:
    assert isinstance(error_of(b'{"x":1e999,"code":1,"y":"\xed\xa0\x80","y":1}'), DecodeError)


@settings(deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from([200, 302, 400, 429, 500]), st.sampled_from(["", "gzip", "deflate", "br"])
)
def test_any_body_ends_in_an_envelope_or_a_jogg_error(body: bytes, status: int, coding: str) -> None:
    assert error_of(body, status, Content_Encoding=coding).args


KEY = "Canary-2b8e64d07c1f93a5-Key"
QUOTES: dict[str, Callable[[str], RawResponse]] = {
    "not JSON": lambda text: response(text.encode()),
    "cut short": lambda text: response(f'{{"code": 0, "msg": "{text}'.encode()),
    "no envelope": lambda text: response([text]),
    "code": lambda text: response({"code": text}),
    "data": lambda text: response({"code": 0, "data": text}),
    "msg": lambda text: response({"code": 0, "data": {}, "msg": [text]}),
    "rid": lambda text: response({"code": 0, "data": {}, "rid": {"x": text}}),
    "redirect": lambda text: response(b"", 302, Location=text),
    "content coding": lambda text: response(b"{}", Content_Encoding=text),
}


@pytest.mark.parametrize("quote", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("before", [0, *range(14, 66, 2)])
def test_shortened_quotation_shows_no_part_of_an_echoed_key(quote: Callable[[str], RawResponse], before: int) -> None:
    with pytest.raises((APIError, DecodeError)) as caught:
        read_envelope(quote("x" * before + KEY + "x" * 300), NOW, Secret(KEY))
    texts = (str(caught.value), *vars(caught.value).values())
    assert not any(KEY[:4].casefold() in str(text).casefold() for text in texts)
    assert "xxx" in str(caught.value)


@pytest.mark.parametrize("length", [8, 20, 300])
def test_error_about_a_body_of_repeated_api_keys_shows_no_part_of_the_key(length: int) -> None:
    key = ("Canary" * 50)[:length]
    with pytest.raises(DecodeError) as caught:
        read_envelope(response(key.encode() * (40_000 // length)), NOW, key)
    assert "Can" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("key", ["4", "429", "code", "x", "retryAfter", "data", "0123456789"])
@pytest.mark.parametrize("status", [200, 429, 503])
def test_api_key_that_occurs_in_a_body_does_not_change_how_it_is_decoded(key: str, status: int) -> None:
    body = {"code": 429, "msg": f"wait x {key}", "data": {"retryAfter": 4.25}, "rid": RID, "x": 0.0123456789}
    with pytest.raises(RateLimitError) as caught:
        read_envelope(response(body, status), NOW, key)
    error = caught.value
    assert (error.code, error.http_status, error.retry_after, is_retryable(error)) == (429, status, 4.25, True)
    success = response({"code": 0, "data": {"music": [{"id": 4, "name": key}]}, "rid": RID})
    assert read_envelope(success, NOW, key).data == DataSchema(music=[TrackSchema(4, key)])


@pytest.mark.parametrize("date", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "x"])
def test_malformed_date_in_retry_after_or_date_header_is_ignored(date: str) -> None:
    body = {"code": 429, "msg": "wait"}
    assert error_of(body, 429, Retry_After=date).retry_after is None
    soon = "Fri, 15 Jan 2027 08:00:30 GMT"
    assert error_of(body, 429, Retry_After=soon, Date=date).retry_after == 30


@pytest.mark.parametrize("transient", [True, False])
def test_only_transient_transport_errors_are_retryable(transient: bool) -> None:
    assert is_retryable(TransportError("broken", transient=transient)) is transient
    assert not is_retryable(too_large())


def test_error_shortens_long_and_deep_values() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(short_repr("x" * 10_000)) < 100
    assert short_repr(deep) == "a deeply nested list"
    while deep:  # taken apart step by step: its destructor need not recurse
        deep = deep[0]


PLAIN = json.dumps({"code": 0, "msg": "success", "data": {"music": [{"id": n} for n in range(300)]}}).encode()


def test_gzip_with_a_reference_over_its_whole_window_is_decompressed() -> None:
    text = "".join(random.Random(1).choices("0123456789abcdef", k=20_000))
    body = json.dumps({"code": 1, "msg": text + text}).encode()
    assert error_of(gzip.compress(body), Content_Encoding="gzip").msg == text + text


def deflated(body: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return packer.compress(body) + packer.flush()


def stored(body: bytes, first: int, length: int) -> bytes:
    """Return a raw deflate stream of two stored blocks; the upper five bits of its first byte are ignored."""
    blocks = [(first, body[:length]), (1, body[length:])]
    return b"".join(
        bytes([head]) + len(block).to_bytes(2, "little") + (len(block) ^ 0xFFFF).to_bytes(2, "little") + block
        for head, block in blocks
    )


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("gzip", gzip.compress(PLAIN, mtime=0)),
        (" GZip ", gzip.compress(PLAIN, mtime=0)),
        ("x-gzip", gzip.compress(PLAIN, mtime=0)),
        ("gzip", gzip.compress(PLAIN[:50], mtime=0) + gzip.compress(PLAIN[50:], mtime=0)),
        ("gzip", b"".join(gzip.compress(PLAIN[at : at + 7], mtime=0) for at in range(0, len(PLAIN), 7))),
        ("gzip", gzip.compress(b"", mtime=0) + gzip.compress(PLAIN, mtime=0)),
        *[("gzip", gzip.compress(PLAIN, mtime=0) + bytes(zeros)) for zeros in (1, 511, 5000)],
        ("gzip", gzip.compress(PLAIN[:50], mtime=0) + gzip.compress(PLAIN[50:], mtime=0) + bytes(3)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", deflated(PLAIN, 9)),
        ("deflate", deflated(PLAIN, -15)),
        ("Deflate", deflated(PLAIN, -9)),
        ("deflate", stored(PLAIN, 0x00, 62)),  # divisible by 31, as a zlib header is
        ("deflate", stored(PLAIN, 0x08, 62)),  # deflate's number in the first byte, as in a zlib header
    ],
)
def test_requested_content_encodings_are_decompressed(coding: str, body: bytes) -> None:
    envelope = read_envelope(response(body, Content_Encoding=coding), NOW)
    assert envelope.data == DataSchema(music=[TrackSchema(number) for number in range(300)])


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        *[("gzip", gzip.compress(PLAIN, mtime=0)[:end]) for end in (1, 5, 10, 50, -9, -8, -1)],
        *[("deflate", zlib.compress(PLAIN)[:end]) for end in (1, 2, 50, -4, -1)],
        *[("deflate", deflated(PLAIN, -15)[:end]) for end in (1, 50, -1)],
        ("gzip", b""),
        ("deflate", b""),
        ("gzip", PLAIN),
        ("gzip", zlib.compress(PLAIN)),
        ("deflate", gzip.compress(PLAIN, mtime=0)),
        ("gzip", gzip.compress(PLAIN, mtime=0)[:-8] + bytes(8)),  # checksum and length
        ("deflate", zlib.compress(PLAIN)[:-4] + bytes(4)),
        ("gzip", gzip.compress(PLAIN, mtime=0)[:40] + b"damage" + gzip.compress(PLAIN, mtime=0)[46:]),
        ("gzip", gzip.compress(PLAIN, mtime=0) + b"trailing"),
        ("gzip", gzip.compress(PLAIN, mtime=0) + bytes(9) + b"x"),
        ("gzip", gzip.compress(PLAIN[:50], mtime=0) + bytes(9) + gzip.compress(PLAIN[50:], mtime=0)),
        ("gzip", bytes(9) + gzip.compress(PLAIN, mtime=0)),
        ("gzip", bytes(9)),
        ("deflate", zlib.compress(PLAIN) + bytes(9)),
        ("gzip", gzip.compress(PLAIN, mtime=0) + gzip.compress(PLAIN, mtime=0)[:12]),
    ],
)
def test_a_damaged_body_is_a_decode_error_that_is_not_retried(coding: str, body: bytes) -> None:
    error = error_of(body, Content_Encoding=coding)
    assert isinstance(error, DecodeError)
    assert not is_retryable(error)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "deflate, gzip", "x", "identity, gzip"])
def test_error_names_a_content_encoding_that_was_not_requested(coding: str) -> None:
    error = error_of(PLAIN, Content_Encoding=coding)
    assert isinstance(error, DecodeError)
    assert repr(coding) in str(error)
    assert type(error_of(PLAIN, 502, Content_Encoding=coding)) is ServerError


@pytest.mark.parametrize(("coding", "bits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
@pytest.mark.parametrize("status", [200, 502])
def test_decompression_stops_at_32_mib(coding: str, bits: int, status: int, bombs: dict[int, bytes]) -> None:
    tracemalloc.start()
    started = time.process_time()
    try:
        error = error_of(bombs[bits], status, Content_Encoding=coding)
        spent = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, TransportError if status == 200 else ServerError)
    assert is_retryable(error) is (status == 502)
    assert spent < 2
    assert peak < 3 * MAX_BODY


@pytest.fixture(scope="module")
def bombs() -> dict[int, bytes]:
    """Return a gigabyte of zeros compressed to a megabyte, for each format."""
    packed: dict[int, bytes] = {}
    for bits in (31, 15, -15):
        packer = zlib.compressobj(1, zlib.DEFLATED, bits)
        chunk = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
        again = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
        packed[bits] = chunk + again * 1023
    return packed


@pytest.mark.parametrize("over", [0, 1])
def test_decompressed_body_of_exactly_32_mib_is_accepted(over: int) -> None:
    body = PLAIN + b" " * (MAX_BODY - len(PLAIN) + over)
    packed = response(gzip.compress(body[: 2**20], 1) + gzip.compress(body[2**20 :], 1), Content_Encoding="gzip")
    if over:
        with pytest.raises(TransportError, match="than 32 MiB"):
            read_envelope(packed, NOW)
    else:
        assert read_envelope(packed, NOW).code == 0


def test_decompression_time_is_linear_in_the_number_of_gzip_members() -> None:
    member = gzip.compress(b"", mtime=0)

    def seconds(members: int) -> float:
        body = member * members
        started = time.process_time()
        assert isinstance(error_of(body, Content_Encoding="gzip"), DecodeError)
        return time.process_time() - started

    assert seconds(60_000) < 6 * min(seconds(20_000), seconds(20_000))
