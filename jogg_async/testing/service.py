"""What the endpoint answers to a request, by the rules that the vendor documents. No I/O.

Everything here is documented, not observed. Where the documents leave a choice (which HTTP status goes with a business
code, whether filters mind case), the choice is named at the place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from .answers import Answer, Code, failure
from .sound import melody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .catalogue import Catalogue

__all__ = ["ENDPOINT", "MusicService"]

ENDPOINT: Final = "/v2/musics"
"""The path of the one endpoint."""

_MAX_PAGE_SIZE: Final = 100
_MUSIC_PATH: Final = re.compile(r"/music/(\d{1,18})\.wav", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# So many digits Python reads and writes whatever its limit is set to; the vendor names no upper bound for a page.
_INTEGER: Final = re.compile(r"[+-]?\d{1,640}", re.ASCII)

# The vendor says "standard HTTP status codes" and no more; these are the ones that fit.
_HTTP_STATUS: Final[Mapping[int, int]] = {
    Code.NOT_FOUND: 404,
    Code.INVALID_KEY: 401,
    Code.PARAMETER: 400,
    Code.SYSTEM: 500,
}


def integer(text: str | None, default: int) -> int | None:
    """A query value as an integer: absent is the default, anything else that is no integer is `None`."""
    if text is None:
        return default
    return int(text) if _INTEGER.fullmatch(text) else None


class MusicService:
    """The answers of `GET /v2/musics` and of the music files.

    Args:
        catalogue: The tracks.
        api_key: The key that is right.
        bits: Gives so many random bits, like `random.getrandbits`; request ids are made of them.
        check_key: Whether a wrong key is refused.
        http_errors: Whether errors come with a fitting HTTP status; else with 200, so that only `code` tells.
        null_when_empty: Whether a page without tracks says `"music": null`, as a Go back end does, instead of `[]`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        api_key: str,
        bits: Callable[[int], int],
        check_key: bool,
        http_errors: bool,
        null_when_empty: bool,
    ) -> None:
        self._catalogue = catalogue
        self._api_key = api_key
        self._bits = bits
        self._check_key = check_key
        self._http_errors = http_errors
        self._nothing = b"null" if null_when_empty else b"[]"

    def _new_rid(self) -> str:
        return f"{self._bits(128):032x}"

    def failure(self, code: int, *, msg: str | None = None, http_status: int | None = None, **more: Any) -> Answer:
        """An error envelope with a new request id; `http_status=None` takes the one that fits the code."""
        fitting = _HTTP_STATUS.get(code, 200) if self._http_errors else 200
        status = fitting if http_status is None else http_status
        return failure(code, self._new_rid(), http_status=status, msg=msg, **more)

    def page(self, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """One page of tracks, or why not. The key is looked at first; parameters that it does not know are ignored."""
        if self._check_key and headers.get("x-api-key") != self._api_key:
            return self.failure(Code.INVALID_KEY)
        page, size = integer(query.get("page"), 1), integer(query.get("page_size"), 10)
        if page is None or page < 1:
            return self.failure(Code.PARAMETER, msg="Parameter error: page must be an integer from 1")
        if size is None or not 1 <= size <= _MAX_PAGE_SIZE:
            return self.failure(Code.PARAMETER, msg="Parameter error: page_size must be an integer from 1 to 100")
        return Answer(200, self._page_body(page, size, query), code=Code.SUCCESS)

    def _page_body(self, page: int, size: int, query: Mapping[str, str]) -> bytes:
        view = self._catalogue.filtered(genre=query.get("genre"), mood=query.get("mood"))
        total, start = len(view), (page - 1) * size
        # Joined from ready texts: json.dumps of a hundred dicts would cost several times as much.
        texts = view.texts(start, start + size)
        music = f"[{','.join(texts)}]".encode() if texts else self._nothing
        return b'{"code":0,"msg":"Success","data":{"music":%b,"pagination":%b},"rid":"%b"}' % (
            music,
            b'{"page":%d,"page_size":%d,"total_items":%d,"total_pages":%d}' % (page, size, total, -(-total // size)),
            self._new_rid().encode(),
        )

    def other(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Everything besides `GET /v2/musics`: a music file (no key needed), or an error."""
        file = _MUSIC_PATH.fullmatch(path)
        if file is None and path != ENDPOINT:
            return self.failure(Code.NOT_FOUND)
        if file is not None and method in ("GET", "HEAD"):
            return _file(melody(int(file[1])), headers.get("Range"))
        # No code is documented for a wrong method; "Parameter error" is the nearest. HTTP asks for Allow.
        answer = self.failure(Code.PARAMETER, msg="Method not allowed", http_status=405)
        return answer.with_headers({"Allow": "GET" if file is None else "GET, HEAD"})


def _file(content: bytes, asked: str | None) -> Answer:
    headers = {"Content-Type": "audio/wav", "Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(asked) if asked else None
    if wanted is None or wanted[0] == "bytes=-":
        return Answer(200, content, headers)
    size = len(content)
    # "bytes=-500" is the last 500 bytes; "bytes=500-" is all but the first 500 (RFC 9110, 14.1.2).
    start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
    stop = min(size, int(wanted[2]) + 1) if wanted[1] and wanted[2] else size
    if start >= stop:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return Answer(206, content[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"})
