"""What the fake is about to say: a status, headers and bytes, and how the service's envelopes are made. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MESSAGES", "Answer", "Code", "failure", "json_answer", "wait_header", "wait_value"]

_JSON: Final = "application/json; charset=utf-8"


class Code:
    """The business codes that the service documents."""

    SUCCESS: Final = 0
    RATE_LIMIT: Final = 429
    NOT_FOUND: Final = 10104
    INVALID_KEY: Final = 10105
    NO_CREDIT: Final = 18020
    NO_PERMISSION: Final = 18025
    PARAMETER: Final = 40000
    SYSTEM: Final = 50000


MESSAGES: Final[Mapping[int, str]] = {
    Code.SUCCESS: "Success",
    Code.RATE_LIMIT: "Rate limit exceeded. Please try again later.",
    Code.NOT_FOUND: "Record not found",
    Code.INVALID_KEY: "Invalid API key",
    Code.NO_CREDIT: "Insufficient credit",
    Code.NO_PERMISSION: "No permission to call APIs",
    Code.PARAMETER: "Parameter error",
    Code.SYSTEM: "System error",
}
"""The usual `msg` of each code. Clients must not compare it: the service writes both "Success" and "success"."""


@attrs.frozen
class Answer:
    """One whole answer, before it goes out."""

    status: int
    """The HTTP status."""
    body: bytes
    """The body, as it goes over the wire."""
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"Content-Type": _JSON})
    """Every header but those that the HTTP server adds itself (`Content-Length`, `Date`, `Server`)."""
    code: int | None = None
    """The business code in the body, `None` where the body is no envelope."""

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same answer with these headers added, or put in place of those of the same name."""
        return attrs.evolve(self, headers={**self.headers, **headers})


def json_answer(envelope: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer whose body is this value as JSON; its `code` is read out of it where there is one."""
    code = cast("dict[str, Any]", envelope).get("code") if isinstance(envelope, dict) else None
    body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
    answer = Answer(status, body, code=code if isinstance(code, int) else None)
    return answer.with_headers(headers) if headers else answer


def failure(code: int, rid: str | None, *, http_status: int, msg: str | None = None, **more: Any) -> Answer:
    """An error envelope: `data` is null, `more` goes to its top level, `rid=None` leaves the request id out."""
    envelope = {"code": code, "msg": MESSAGES.get(code, "Error") if msg is None else msg, "data": None, **more}
    return json_answer(envelope if rid is None else {**envelope, "rid": rid}, http_status)


def wait_header(seconds: float | str) -> str:
    """The text of a `Retry-After` header: "1" for 1.0, "0.25" for 0.25; a text (such as an HTTP date) stays itself."""
    return str(wait_value(seconds))


def wait_value(seconds: float | str) -> float | str:
    """The JSON value of `retryAfter`: whole seconds without a decimal point, as a service would write them."""
    return int(seconds) if isinstance(seconds, float) and seconds.is_integer() else seconds
