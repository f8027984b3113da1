"""Faults that a fake can inject into a response.

A fault changes the content (`alter`), the way it is sent (`manner`), or the time (`delay`). Faults are plain values:
make one by a constructor such as `Fault.drop()`, combine two by `+`, pass it to `FakeJogg.fail`.
"""

from __future__ import annotations

import enum
import gzip
import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from ._arguments import checked_int, checked_number
from ._endpoint import ERROR_STATUS, FakeResponse, error_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Fault", "Manner", "fault_for", "retry_after_header", "retry_after_value"]

_RID: Final = "0123456789abcdef0123456789abcdef"
_CODE_OF_STATUS: Final = {status: code for code, status in ERROR_STATUS.items()}


class Manner(enum.Enum):
    """How a response is sent; `Fault` has a constructor for each that explains it."""

    WHOLE = "whole"
    DROP = "drop"
    RESET = "reset"
    STALL = "stall"
    STALL_BODY = "stall_body"
    DRIP = "drip"
    TRUNCATE = "truncate"
    TRUNCATE_CHUNKED = "truncate_chunked"

    @property
    def sends_nothing(self) -> bool:
        """Return whether the connection ends before the client receives a status."""
        return self in (Manner.DROP, Manner.RESET, Manner.STALL)


def _seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    checked_number(attribute.name, value, 0)


def _unchanged(response: FakeResponse) -> FakeResponse:
    return response


@attrs.frozen
class Fault:
    """One fault. Use the constructors below.

    `a + b` is both: `a` changes the response first, then `b`; delays add up. Only one of the two may change how the
    response is sent.

    Raises:
        TypeError: `seconds` or `delay` is no number.
        ValueError: `seconds` or `delay` is negative or infinite.
    """

    name: str
    """Name shown in a `repr`."""
    alter: Callable[[FakeResponse], FakeResponse] = attrs.field(default=_unchanged, repr=False)
    """Function that turns the usual response into the one to send."""
    manner: Manner = Manner.WHOLE
    """How the response is sent."""
    seconds: float = attrs.field(default=0.0, validator=_seconds)
    """Duration of the manner in seconds, 0 or more: the silence of a stall, the length of a drip."""
    delay: float = attrs.field(default=0.0, validator=_seconds)
    """Seconds to wait before anything is sent, 0 or more, on top of the latency of the fake."""

    def __add__(self, other: Fault) -> Fault:
        """Return one fault that combines both.

        Raises:
            ValueError: Both change how the response is sent.
        """
        if Manner.WHOLE not in (self.manner, other.manner):
            raise ValueError(f"a response cannot be sent in two ways: {self.name} and {other.name}")
        sending = self if other.manner is Manner.WHOLE else other
        return Fault(
            f"{self.name} + {other.name}",
            alter=lambda response: other.alter(self.alter(response)),
            manner=sending.manner,
            seconds=sending.seconds,
            delay=self.delay + other.delay,
        )

    # How the response is sent

    @classmethod
    def drop(cls) -> Fault:
        """Close the connection before the first byte (TCP FIN).

        aiohttp's client sends a GET once more, by itself, when a connection ends like this: it takes `times=2` to make
        one attempt fail.
        """
        return cls("drop", manner=Manner.DROP)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection before the first byte (TCP RST). aiohttp sends a GET once more, as for `drop`."""
        return cls("reset", manner=Manner.RESET)

    @classmethod
    def stall(cls, seconds: float = 3600.0) -> Fault:
        """Send nothing for this many seconds, then close the connection."""
        return cls("stall", manner=Manner.STALL, seconds=seconds)

    @classmethod
    def stall_body(cls, seconds: float = 3600.0) -> Fault:
        """Send the headers and half the body, then nothing for this many seconds, then close the connection."""
        return cls("stall_body", manner=Manner.STALL_BODY, seconds=seconds)

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """Send the whole response, its body in ten parts spread over this many seconds."""
        return cls("drip", manner=Manner.DRIP, seconds=seconds)

    @classmethod
    def truncate(cls, *, chunked: bool = False) -> Fault:
        """Send half the body and close the connection.

        Args:
            chunked: Send the body chunked, without its last chunk. By default a `Content-Length` promises the whole.
        """
        manner = Manner.TRUNCATE_CHUNKED if chunked else Manner.TRUNCATE
        return cls(manner.value, manner=manner)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Send the usual response this many seconds later."""
        return cls("slow", delay=seconds)

    # Another response

    @classmethod
    def business(
        cls,
        code: int,
        msg: str | None = None,
        *,
        http_status: int = 200,
        retry_after: float | str | None = None,
        header: bool = True,
        body: bool = True,
        data: bool = False,
        rid: str | None = _RID,
    ) -> Fault:
        """Send an error envelope.

        Args:
            code: Business code, such as 50000; undocumented ones are allowed.
            msg: Text of the error; `None` takes the usual one of the code.
            http_status: HTTP status, 100 to 999. The service sends errors with 200 as well as with a matching status.
            retry_after: Wait to announce, in seconds; a string (such as an HTTP date) is sent as it is.
            header: Announce the wait in the header `Retry-After`.
            body: Announce it as `retryAfter` at the top level of the envelope.
            data: Announce it as `retryAfter` inside `data`.
            rid: Request id; `None` leaves it out.

        Raises:
            TypeError: `http_status` is no integer.
            ValueError: `http_status` is out of range.
        """
        checked_int("http_status", http_status, 100, 999)
        fields: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if retry_after is not None:
            headers = {"Retry-After": retry_after_header(retry_after)} if header else {}
            fields |= {"retryAfter": retry_after_value(retry_after)} if body else {}
            fields |= {"data": {"retryAfter": retry_after_value(retry_after)}} if data else {}
        response = error_response(code, rid, http_status=http_status, msg=msg, **fields).with_headers(headers)
        return cls(f"business {code}", alter=lambda _: response)

    @classmethod
    def html(cls, status: int = 502, text: str = "<html><body><h1>Bad Gateway</h1></body></html>") -> Fault:
        """Send a proxy's HTML page, without an envelope.

        Args:
            status: HTTP status, 100 to 999.
            text: The page.
        """
        return attrs.evolve(cls.raw(text.encode(), status=status, content_type="text/html"), name=f"html {status}")

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Fault:
        """Send a redirect to another address.

        Args:
            location: The address.
            status: HTTP status, 100 to 999.
        """
        return attrs.evolve(cls.raw(b"", status=status, headers={"Location": location}), name=f"redirect {status}")

    @classmethod
    def raw(
        cls,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Fault:
        """Send exactly these bytes.

        Args:
            body: The bytes.
            status: HTTP status, 100 to 999.
            headers: Further headers.
            content_type: The header `Content-Type`.

        Raises:
            TypeError: `body` is no bytes, or `status` no integer.
            ValueError: `status` is out of range.
        """
        if not isinstance(body, bytes):
            raise TypeError(f"body must be bytes, not {type(body).__name__}")
        checked_int("status", status, 100, 999)
        response = FakeResponse(status, body, {"Content-Type": content_type, **(headers or {})})
        return cls(f"raw {status}", alter=lambda _: response)

    # The usual response, changed

    @classmethod
    def patch(cls, change: Callable[[Any], Any]) -> Fault:
        """Change the envelope in any way: wrong totals, another page, no pagination, `music: null`, a row twice.

        Args:
            change: Function that gets the decoded envelope and returns the one to send, or changes it in place and
                returns `None`. If the function raises an exception, `FakeJogg.close` raises it again.

        Raises:
            TypeError: `change` is not callable.
        """
        if not callable(change):
            raise TypeError(f"change must be a function that takes the envelope, not {change!r:.80}")

        def alter(response: FakeResponse) -> FakeResponse:
            envelope = json.loads(response.body)
            changed = change(envelope)
            return json_response(envelope if changed is None else changed, response.status, response.headers)

        return cls("patch", alter=alter)

    @classmethod
    def wrong_types(cls, field: str = "id", value: Any = "12", *, record: int | None = 0) -> Fault:
        """Put a value of the wrong type into a field of a record.

        Args:
            field: Name of the field.
            value: Anything that JSON can hold.
            record: Index of the record on the page, from 0; -1 is the last, `None` means each. A page without such a
                record stays as it is.
        """

        def change(envelope: Any) -> None:
            data: dict[str, Any] = envelope["data"] or {}
            rows: list[dict[str, Any]] = data.get("music") or []
            indexes = range(len(rows)) if record is None else [record]
            for row in (rows[index] for index in indexes if -len(rows) <= index < len(rows)):
                row[field] = value

        return attrs.evolve(cls.patch(change), name=f"wrong_types {field}={value!r}")

    @classmethod
    def gzip(cls, *, padding: int = 0) -> Fault:
        """Compress the body with gzip, whatever encodings the client accepts.

        Args:
            padding: Spaces to append to the JSON before compression, which makes about 1,000 of them one byte.
        """
        checked_int("padding", padding, 0)

        def alter(response: FakeResponse) -> FakeResponse:
            body = gzip.compress(response.body + b" " * padding, compresslevel=1, mtime=0)
            return attrs.evolve(response, body=body).with_headers({"Content-Encoding": "gzip"})

        return cls("gzip", alter=alter)


def fault_for(fault: object, status_of: Callable[[int], int]) -> Fault:
    """Return the fault that an argument of `FakeJogg.fail` means.

    Args:
        fault: A fault, a business code that the service documents, or an HTTP status from 400 to 599.
        status_of: Returns the HTTP status that the fake sends with a business code.

    Raises:
        TypeError: `fault` is neither a fault nor an integer.
        ValueError: `fault` is an integer, but neither a documented code nor such a status.
    """
    if isinstance(fault, Fault):
        return fault
    if isinstance(fault, bool) or not isinstance(fault, int):
        raise TypeError(f"fail() takes a Fault such as Fault.drop(), an HTTP status or a code, not {fault!r:.80}")
    if fault in _CODE_OF_STATUS:
        return Fault.business(_CODE_OF_STATUS[fault], http_status=fault)
    if fault in ERROR_STATUS:
        return Fault.business(fault, http_status=status_of(fault))
    if 400 <= fault <= 599:
        return Fault.html(fault, f"<html><body><h1>HTTP {fault}</h1></body></html>")
    codes = ", ".join(map(str, ERROR_STATUS))
    raise ValueError(
        f"fail() takes an HTTP status from 400 to 599 or one of the codes {codes}, not {fault}:"
        f" use Fault.business({fault}) for another code, Fault.raw() for another status"
    )


def retry_after_header(seconds: float | str) -> str:
    """Return the text of a `Retry-After` header: "1" for 1.0, "0.25" for 0.25; a string stays as it is."""
    return str(retry_after_value(seconds))


def retry_after_value(seconds: float | str) -> float | str:
    """Return the JSON value of `retryAfter`: whole seconds without a decimal point, as a service would write them."""
    return int(seconds) if isinstance(seconds, float) and seconds.is_integer() else seconds
