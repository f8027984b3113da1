"""Rules of the music endpoint and its responses, as the vendor documents them. No I/O.

Everything here follows the documentation, not observations of the service. Where the documentation leaves a choice
open (which HTTP status goes with a business code, whether filters are case-sensitive), a comment names our choice.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ._audio import wav_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._catalogue import Catalogue
    from ._records import RecordedRequest

__all__ = [
    "ENDPOINT",
    "ERROR_STATUS",
    "Code",
    "FakeResponse",
    "MusicEndpoint",
    "error_response",
    "json_response",
    "parse_integer",
]

ENDPOINT: Final = "/v2/musics"
"""The path of the one endpoint."""

_MAX_PAGE_SIZE: Final = 100
_MUSIC_PATH: Final = re.compile(r"/music/(\d{1,18})\.wav", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# Python converts up to 640 digits whatever its limit is set to; the vendor names no upper bound for a page.
_INTEGER: Final = re.compile(r"[+-]?\d{1,640}", re.ASCII)
_JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json; charset=utf-8"}


class Code:
    """Business codes that the service documents."""

    SUCCESS: Final = 0
    RATE_LIMIT: Final = 429
    NOT_FOUND: Final = 10104
    INVALID_KEY: Final = 10105
    NO_CREDIT: Final = 18020
    NO_PERMISSION: Final = 18025
    PARAMETER: Final = 40000
    SYSTEM: Final = 50000


ERROR_STATUS: Final[Mapping[int, int]] = {
    Code.RATE_LIMIT: 429,
    Code.NOT_FOUND: 404,
    Code.INVALID_KEY: 401,
    Code.NO_CREDIT: 402,
    Code.NO_PERMISSION: 403,
    Code.PARAMETER: 400,
    Code.SYSTEM: 500,
}
"""HTTP status of each error code. The vendor says "standard HTTP status codes" and no more; these are the closest."""

_MESSAGES: Final[Mapping[int, str]] = {
    Code.RATE_LIMIT: "Rate limit exceeded. Please try again later.",
    Code.NOT_FOUND: "Record not found",
    Code.INVALID_KEY: "Invalid API key",
    Code.NO_CREDIT: "Insufficient credit",
    Code.NO_PERMISSION: "No permission to call APIs",
    Code.PARAMETER: "Parameter error",
    Code.SYSTEM: "System error",
}


@attrs.frozen
class FakeResponse:
    """Whole response of the fake, before a fault truncates or delays it."""

    status: int
    """HTTP status."""
    body: bytes
    """Body as it is sent."""
    headers: Mapping[str, str] = _JSON_HEADERS
    """All headers but those that the HTTP server adds itself (`Content-Length`, `Date`, `Server`)."""
    code: int | None = None
    """Business code in the body; `None` where the body is no envelope."""

    def with_headers(self, headers: Mapping[str, str]) -> FakeResponse:
        """Return a copy with these headers added; one of the same name is replaced."""
        return attrs.evolve(self, headers={**self.headers, **headers})


def json_response(envelope: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> FakeResponse:
    """Return a response with this value as JSON. The `code` of the response is that of the envelope, or `None`."""
    code = cast("dict[str, Any]", envelope).get("code") if isinstance(envelope, dict) else None
    body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
    response = FakeResponse(status, body, code=code if isinstance(code, int) else None)
    return response.with_headers(headers) if headers else response


def error_response(
    code: int, rid: str | None, *, http_status: int, msg: str | None = None, **fields: Any
) -> FakeResponse:
    """Return an error envelope, with `data` null.

    Args:
        code: Business code.
        rid: Request id; `None` leaves it out.
        http_status: HTTP status.
        msg: Text of the error; `None` takes the usual one of the code.
        fields: Further fields of the envelope's top level.
    """
    envelope = {"code": code, "msg": _MESSAGES.get(code, "Error") if msg is None else msg, "data": None, **fields}
    return json_response(envelope if rid is None else {**envelope, "rid": rid}, http_status)


def parse_integer(text: str | None, default: int) -> int | None:
    """Return a query value as an integer: the default if it is absent, `None` if it is no integer."""
    if text is None:
        return default
    return int(text) if _INTEGER.fullmatch(text) else None


class MusicEndpoint:
    """Responses of `GET /v2/musics` and of the music files.

    Args:
        catalogue: Tracks to serve.
        api_key: The valid key.
        random_bits: Returns an integer of so many random bits, like `random.getrandbits`; request ids are made of it.
        check_key: Reject a missing or wrong key.
        http_errors: Send errors with a matching HTTP status; else with 200, so that only `code` shows the error.
        null_when_empty: Send `"music": null` for a page without tracks, as a Go back end does, instead of `[]`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        api_key: str,
        random_bits: Callable[[int], int],
        check_key: bool,
        http_errors: bool,
        null_when_empty: bool,
    ) -> None:
        self._catalogue = catalogue
        self._api_key = api_key
        self._random_bits = random_bits
        self._check_key = check_key
        self._http_errors = http_errors
        self._no_tracks = "null" if null_when_empty else "[]"

    def _new_rid(self) -> str:
        return f"{self._random_bits(128):032x}"

    def error(
        self, code: int, *, msg: str | None = None, http_status: int | None = None, **fields: Any
    ) -> FakeResponse:
        """Return an error envelope with a new request id; `http_status=None` takes the one that matches the code."""
        status = self.status_of(code) if http_status is None else http_status
        return error_response(code, self._new_rid(), http_status=status, msg=msg, **fields)

    def status_of(self, code: int) -> int:
        """Return the HTTP status of an error with this code."""
        return ERROR_STATUS.get(code, 200) if self._http_errors else 200

    def respond(self, request: RecordedRequest) -> FakeResponse:
        """Return the response to a request: a page of tracks, a music file (which needs no key), or an error."""
        on_endpoint = request.path == ENDPOINT
        if on_endpoint and request.method == "GET":
            return self._page(request.query, request.headers)
        file = _MUSIC_PATH.fullmatch(request.path)
        if file is not None and request.method in ("GET", "HEAD"):
            return _audio_response(wav_file(int(file[1])), f'"{int(file[1])}"', request.headers)
        if file is None and not on_endpoint:
            return self.error(Code.NOT_FOUND)
        # No code is documented for a wrong method; "Parameter error" is the closest. HTTP requires Allow.
        response = self.error(Code.PARAMETER, msg="Method not allowed", http_status=405)
        return response.with_headers({"Allow": "GET" if on_endpoint else "GET, HEAD"})

    def _page(self, query: Mapping[str, str], headers: Mapping[str, str]) -> FakeResponse:
        if self._check_key and headers.get("x-api-key") != self._api_key:
            return self.error(Code.INVALID_KEY)
        page, size = parse_integer(query.get("page"), 1), parse_integer(query.get("page_size"), 10)
        if page is None or page < 1:
            return self.error(Code.PARAMETER, msg="Parameter error: page must be an integer from 1")
        if size is None or not 1 <= size <= _MAX_PAGE_SIZE:
            return self.error(Code.PARAMETER, msg="Parameter error: page_size must be an integer from 1 to 100")
        view = self._catalogue.filtered(genre=query.get("genre"), mood=query.get("mood"))
        total, start = len(view), (page - 1) * size
        # Joined from JSON texts: json.dumps of a hundred dicts would cost several times as much.
        texts = view.texts(start, start + size)
        music = f"[{','.join(texts)}]" if texts else self._no_tracks
        pagination = f'{{"page":{page},"page_size":{size},"total_items":{total},"total_pages":{-(-total // size)}}}'
        data = f'{{"music":{music},"pagination":{pagination}}}'
        body = f'{{"code":0,"msg":"Success","data":{data},"rid":"{self._new_rid()}"}}'.encode()
        return FakeResponse(200, body, code=Code.SUCCESS)


def _audio_response(content: bytes, tag: str, request: Mapping[str, str]) -> FakeResponse:
    headers = {"Content-Type": "audio/wav", "Accept-Ranges": "bytes", "ETag": tag}
    range_ = _RANGE.fullmatch(request.get("Range", ""))
    # If-Range names another version of the file: the client wants the whole file (RFC 9110, 13.1.5).
    if range_ is None or range_[0] == "bytes=-" or request.get("If-Range", tag) != tag:
        return FakeResponse(200, content, headers)
    size = len(content)
    # "bytes=-500" is the last 500 bytes; "bytes=500-" is all but the first 500 (RFC 9110, 14.1.2).
    start = int(range_[1]) if range_[1] else max(0, size - int(range_[2]))
    stop = min(size, int(range_[2]) + 1) if range_[1] and range_[2] else size
    if start >= stop:
        return FakeResponse(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return FakeResponse(206, content[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"})
