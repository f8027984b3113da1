"""Parse a response into its envelope or an error: the service's rules for codes and statuses. No I/O.

The rules are those of the service's reference (https://docs.jogg.ai). If it is ambiguous, both readings are
accepted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs
import msgspec

from jogg_async._api.compression import decompress
from jogg_async._api.limits import MAX_INT, MIN_INT
from jogg_async._api.redaction import short_repr
from jogg_async._api.retry_after import retry_after
from jogg_async._api.schemas import SCHEMA, Envelope, Success
from jogg_async.errors import (
    APIError,
    AuthenticationError,
    DecodeError,
    InsufficientCreditError,
    JoggError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)

_BY_CODE: Final[Mapping[int, type[APIError]]] = {
    429: RateLimitError,
    10104: NotFoundError,
    10105: AuthenticationError,
    18020: InsufficientCreditError,
    18025: PermissionDeniedError,
    40000: ParameterError,
    50000: ServerError,
}
_BY_STATUS: Final[Mapping[int, type[APIError]]] = {
    400: ParameterError,
    401: AuthenticationError,
    402: InsufficientCreditError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: ParameterError,
    429: RateLimitError,
}
_RETRIED_STATUS: Final = 408
_MOST_DIGITS: Final = 400
_QUOTED: Final = 400


@attrs.define
class RawResponse:
    """HTTP response with its body still compressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_raw: Final = msgspec.json.Decoder(Envelope[msgspec.Raw])


def read_envelope(response: RawResponse, now: float, key: str = "") -> Success:
    """Return the envelope of a success: its ``code`` is 0 and its ``data`` an object.

    Data that fits the schema is decoded in the same pass.

    Args:
        response: the response.
        now: the wall clock, in seconds since 1970, for a date in ``Retry-After`` if the response has no ``Date``.
        key: the API key, masked where an error quotes the response.

    Raises:
        APIError: the HTTP status or the code says that the request failed.
        DecodeError: the HTTP status says success, but the body is no valid envelope.
        TransportError: the body is larger than `MAX_BODY` once decompressed.
    """
    if not 200 <= response.status < 300:
        envelope = _envelope_or_none(response)
        raise _refusal(response, envelope, _code(envelope), now, key)
    body = decompress(response.headers.get("Content-Encoding", ""), response.body, key)
    success = _success(body) if _is_text(body) else None
    if success is None or success.code != 0:
        raise _error(response, body, now, key)
    return success


def _is_text(body: bytes) -> bool:
    """Return whether the body is UTF-8: msgspec does not check the bytes of fields that it skips."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _success(body: bytes) -> Success | None:
    try:
        return SCHEMA.decode(body)
    except (ValueError, RecursionError):
        pass
    try:
        envelope = _raw.decode(body)
    except (ValueError, RecursionError):
        return None
    return envelope if memoryview(envelope.data)[:1].tobytes() == b"{" else None


def _error(response: RawResponse, body: bytes, now: float, key: str) -> APIError | DecodeError:
    """Return the error for a response whose HTTP status says success, but whose body does not."""
    envelope = _envelope(body, key)
    code = _code(envelope)
    if code is None:
        return _malformed(envelope, key)
    if code != 0:
        return _refusal(response, envelope, code, now, key)
    if not isinstance(_field(envelope, "data"), dict):
        return _wrong("$.data", _field(envelope, "data"), "an object", envelope, key)
    for name in ("msg", "rid"):
        if not isinstance(_field(envelope, name), str | None):
            return _wrong(f"$.{name}", _field(envelope, name), "a string", envelope, key)
    return DecodeError(
        "a field of the envelope comes twice, once of a wrong type", path="$", rid=_text(envelope, "rid")
    )


def is_retryable(error: JoggError) -> bool:
    """Return whether a retry may help: codes 429 and 50000, HTTP 408, 429 and 5xx, a broken connection or a timeout."""
    if isinstance(error, TransportError):
        return error.transient
    return isinstance(error, RateLimitError | ServerError) or (
        isinstance(error, APIError) and error.http_status == _RETRIED_STATUS and error.code not in _BY_CODE
    )


def _envelope(body: bytes, key: str = "") -> Any:
    try:
        return _parse_leniently(body)
    except RecursionError:
        raise DecodeError("the response's JSON is nested too deep") from None
    except ValueError as fault:
        head = body[: _QUOTED * (1 + len(key))]  # longer than the quote, so that a key cut off at its end is not quoted
        raise DecodeError(f"the response is not JSON ({fault}): {short_repr(head, key)}") from None


def _parse_leniently(body: bytes) -> Any:
    """Return the parsed JSON, with infinity for a number that is too large for msgspec."""
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError:  # well-formed, with a number that msgspec does not take
        # json accepts half a surrogate pair, as bytes and as an escape. An error that quotes it could not be printed.
        # So `decode` refuses the bytes, and `encode` the escape.
        value = json.loads(body.decode(), parse_constant=_not_json, parse_int=_unbounded)
        json.dumps(value, ensure_ascii=False).encode()
        return value


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _unbounded(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf


def _envelope_or_none(response: RawResponse) -> Any:
    try:
        return _envelope(decompress(response.headers.get("Content-Encoding", ""), response.body))
    except (DecodeError, TransportError):
        return None  # a proxy's HTML page, say: the status decides


def _field(envelope: Any, name: str) -> Any:
    return cast("dict[str, Any]", envelope).get(name) if isinstance(envelope, dict) else None


def _code(envelope: Any) -> int | None:
    code = _field(envelope, "code")
    if type(code) is float and code.is_integer() and abs(code) < 2**53:
        return int(code)
    return code if type(code) is int and MIN_INT <= code <= MAX_INT else None


def _text(envelope: Any, name: str) -> str | None:
    value = _field(envelope, name)
    return value if isinstance(value, str) else None


def _wrong(path: str, value: object, wanted: str, envelope: object, key: str) -> DecodeError:
    text = short_repr(value, key)
    return DecodeError(f"{path} is {text}, not {wanted}", path=path, value=text, rid=_text(envelope, "rid"))


def _malformed(envelope: Any, key: str) -> DecodeError:
    if not isinstance(envelope, dict):
        text = short_repr(envelope, key)
        return DecodeError(f"the response is {text}, not an envelope", path="$", value=text)
    return _wrong("$.code", _field(envelope, "code"), "a whole number", cast("Any", envelope), key)


def _refusal(response: RawResponse, envelope: Any, code: int | None, now: float, key: str) -> APIError:
    kind = _BY_CODE.get(code) if code is not None else None
    if kind is None:
        kind = ServerError if response.status >= 500 else _BY_STATUS.get(response.status, APIError)
    error = kind(
        _text(envelope, "msg") or _phrase(response, key),
        code=code,
        http_status=response.status,
        rid=_text(envelope, "rid"),
    )
    if isinstance(error, RateLimitError | ServerError):
        error.retry_after = retry_after(response.headers, envelope, now)
    return error


def _phrase(response: RawResponse, key: str) -> str:
    if 300 <= response.status < 400:
        target = short_repr(response.headers.get("Location", "nowhere"), key)
        return f"the service redirects to {target}; redirects are not followed, to protect the API key"
    return "the response has an error status and no message"
