"""Everything that can be made to go wrong with an answer.

A fault changes what is said (`alter`), how it is put on the wire (`manner`), or when (`delay`). Faults are plain
values: build one by a constructor such as `Fault.drop()`, join two by `+`, hand it to `FakeJogg.fail`.
"""

from __future__ import annotations

import enum
import gzip
import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from .answers import Answer, failure, json_answer, wait_header, wait_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Fault", "Manner"]

_RID: Final = "0123456789abcdef0123456789abcdef"


class Manner(enum.Enum):
    """How an answer is put on the wire."""

    WHOLE = "whole"
    DROP = "drop"
    RESET = "reset"
    STALL = "stall"
    STALL_BODY = "stall_body"
    DRIP = "drip"
    TRUNCATE = "truncate"
    TRUNCATE_CHUNKED = "truncate_chunked"


def _unchanged(answer: Answer) -> Answer:
    return answer


@attrs.frozen
class Fault:
    """One fault. Use the constructors below.

    `a + b` is both: `a` changes the answer first, then `b`; delays add up; only one of the two may be about the wire.
    """

    name: str
    """What it is called in a `repr`."""
    alter: Callable[[Answer], Answer] = attrs.field(default=_unchanged, repr=False)
    """Makes the answer that is sent out of the one the service would give."""
    manner: Manner = Manner.WHOLE
    """How it is put on the wire."""
    seconds: float = 0.0
    """How long the manner takes: the silence of a stall, the length of a drip."""
    delay: float = 0.0
    """Seconds to wait before anything is sent, on top of the latency of the fake."""

    def __add__(self, other: Fault) -> Fault:
        """Both faults at once.

        Raises:
            ValueError: Both say how the answer goes on the wire.
        """
        if Manner.WHOLE not in (self.manner, other.manner):
            raise ValueError(f"an answer cannot be sent in two ways: {self.name} and {other.name}")
        wire = self if other.manner is Manner.WHOLE else other
        return Fault(
            f"{self.name} + {other.name}",
            alter=lambda answer: other.alter(self.alter(answer)),
            manner=wire.manner,
            seconds=wire.seconds,
            delay=self.delay + other.delay,
        )

    # On the wire

    @classmethod
    def drop(cls) -> Fault:
        """Close the connection in good order before the first byte.

        aiohttp's client sends a GET once more, by itself, when a connection ends like this: it takes `times=2` to make
        one attempt fail.
        """
        return cls("drop", manner=Manner.DROP)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection (TCP RST) before the first byte. What is said of `drop` holds here too."""
        return cls("reset", manner=Manner.RESET)

    @classmethod
    def stall(cls, seconds: float = 3600.0) -> Fault:
        """Send nothing for so many seconds, then close the connection."""
        return cls("stall", manner=Manner.STALL, seconds=seconds)

    @classmethod
    def stall_body(cls, seconds: float = 3600.0) -> Fault:
        """Send the headers and half the body, then nothing for so many seconds, then close the connection."""
        return cls("stall_body", manner=Manner.STALL_BODY, seconds=seconds)

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """Send the whole answer, its body in ten pieces spread over so many seconds."""
        return cls("drip", manner=Manner.DRIP, seconds=seconds)

    @classmethod
    def truncate(cls, *, chunked: bool = False) -> Fault:
        """Send half the body and close the connection.

        Args:
            chunked: Whether the body has no announced length, so that only the missing last chunk tells; else
                `Content-Length` promised the whole.
        """
        manner = Manner.TRUNCATE_CHUNKED if chunked else Manner.TRUNCATE
        return cls(manner.value, manner=manner)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Answer as usual, so many seconds later."""
        return cls("slow", delay=seconds)

    # What is said instead

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
        """Answer with an error envelope.

        Args:
            code: The business code, such as 50000; codes that nobody documents are fine.
            msg: Its text; `None` takes the usual one.
            http_status: The HTTP status; errors come with 200 as well as with one that fits.
            retry_after: The wait to name, in seconds; a text (such as an HTTP date) is sent as it is.
            header: Whether it is named in the header `Retry-After`.
            body: Whether it is named as `retryAfter` at the top level.
            data: Whether it is named as `retryAfter` inside `data`.
            rid: The request id; `None` leaves it out.
        """
        more: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if retry_after is not None:
            headers = {"Retry-After": wait_header(retry_after)} if header else {}
            more |= {"retryAfter": wait_value(retry_after)} if body else {}
            more |= {"data": {"retryAfter": wait_value(retry_after)}} if data else {}
        answer = failure(code, rid, http_status=http_status, msg=msg, **more).with_headers(headers)
        return cls(f"business {code}", alter=lambda _: answer)

    @classmethod
    def html(cls, status: int = 502, text: str = "<html><body><h1>Bad Gateway</h1></body></html>") -> Fault:
        """Answer with a proxy's HTML page and no envelope."""
        return attrs.evolve(cls.raw(text.encode(), status=status, content_type="text/html"), name=f"html {status}")

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Fault:
        """Answer with a redirect to another address."""
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
        """Answer with exactly these bytes."""
        answer = Answer(status, body, {"Content-Type": content_type, **(headers or {})})
        return cls(f"raw {status}", alter=lambda _: answer)

    # What is changed in it

    @classmethod
    def patch(cls, change: Callable[[Any], Any]) -> Fault:
        """Change the envelope in any way: wrong totals, another page, no pagination, `music: null`, a row twice.

        Args:
            change: Takes the decoded envelope and returns the one to send; returning `None` means that it was changed
                in place. An exception out of it is raised again when the fake closes.
        """

        def alter(answer: Answer) -> Answer:
            envelope = json.loads(answer.body)
            changed = change(envelope)
            return json_answer(envelope if changed is None else changed, answer.status, answer.headers)

        return cls("patch", alter=alter)

    @classmethod
    def wrong_types(cls, field: str = "id", value: Any = "12", *, record: int | None = 0) -> Fault:
        """Put a value of the wrong type into a field.

        Args:
            field: The field of the record.
            value: What to put there, anything that JSON can hold.
            record: Which record of the page, from 0; -1 is the last, `None` means each. One that the page does not have
                changes nothing.
        """

        def change(envelope: Any) -> None:
            data: dict[str, Any] = envelope["data"] or {}
            rows: list[dict[str, Any]] = data.get("music") or []
            chosen = range(len(rows)) if record is None else [record]
            for row in (rows[place] for place in chosen if -len(rows) <= place < len(rows)):
                row[field] = value

        return attrs.evolve(cls.patch(change), name=f"wrong_types {field}={value!r}")

    @classmethod
    def gzip(cls, *, padding: int = 0) -> Fault:
        """Send the body compressed, with `Content-Encoding: gzip`, whatever the client accepts.

        Args:
            padding: So many bytes of white space behind the JSON, before compression; they compress a thousandfold.
        """

        def alter(answer: Answer) -> Answer:
            body = gzip.compress(answer.body + b" " * padding, compresslevel=1, mtime=0)
            return attrs.evolve(answer, body=body).with_headers({"Content-Encoding": "gzip"})

        return cls("gzip", alter=alter)
