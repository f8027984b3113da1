"""Requests that a fake received, and its counters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import attrs

from ._endpoint import ENDPOINT, Code, parse_integer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from aiohttp import web

    from ._endpoint import FakeResponse

__all__ = ["RecordedRequest", "RequestLog"]


@attrs.define(eq=False)
class RecordedRequest:
    """One request that reached the fake."""

    at: float
    """Time of arrival, on the clock of `time.monotonic`."""
    method: str
    """HTTP method, such as "GET"."""
    path: str
    """Path, decoded, such as "/v2/musics"."""
    query: dict[str, str]
    """Query parameters, decoded; the first value of a repeated one."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """Headers as they were sent; names are looked up without regard to case. Not in the `repr`: one is the API key."""
    page: int | None = None
    """Requested page, 1 if the request names none; `None` for another path, or where it is no integer."""
    page_size: int | None = None
    """Requested page size, 10 if the request names none; `None` as for `page`."""
    status: int | None = None
    """HTTP status of the response; `None` while the request is open, or if the connection ended without a response."""
    code: int | None = None
    """Business code of the response; `None` as for `status`, and where the response was no envelope."""

    @classmethod
    def of(cls, request: web.BaseRequest) -> Self:
        """Return the record of an aiohttp request that arrives now."""
        query = dict(request.query)
        path = request.path
        on_endpoint = path == ENDPOINT
        return cls(
            time.monotonic(),
            request.method,
            path,
            query,
            request.headers,
            parse_integer(query.get("page"), 1) if on_endpoint else None,
            parse_integer(query.get("page_size"), 10) if on_endpoint else None,
        )


class RequestLog:
    """Recorded requests and counters. The server writes them; a test reads and clears them, maybe in another thread.

    Args:
        lock: Guards every write, and every read of more than one value.
        record: Keep the requests; otherwise they are only counted.

    Attributes:
        requests: Every request since the last `clear`, in order of arrival. The list is live.
        in_flight: Number of open requests.
        max_in_flight: Highest number of requests that were open at once.
        rejected: Number of responses with `code` 429.
        connections: Number of TCP connections accepted.
    """

    def __init__(self, lock: AbstractContextManager[Any], *, record: bool) -> None:
        self._lock = lock
        self._record = record
        self.requests: list[RecordedRequest] = []
        self.in_flight = self.max_in_flight = self.rejected = self.connections = 0
        self._error: Exception | None = None

    def connection_made(self) -> None:
        """Count a connection."""
        with self._lock:
            self.connections += 1

    def request_started(self, request: RecordedRequest) -> None:
        """Record and count a request."""
        with self._lock:
            if self._record:
                self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def response_sent(self, request: RecordedRequest, response: FakeResponse) -> None:
        """Record the status and code of a request's response."""
        with self._lock:
            # Set the status last: a thread that reads it without the lock then also reads the right code.
            request.code = response.code
            request.status = response.status
            self.rejected += response.code == Code.RATE_LIMIT

    def request_ended(self) -> None:
        """Decrease the number of open requests."""
        with self._lock:
            self.in_flight -= 1

    def add_error(self, error: Exception) -> None:
        """Keep an exception that code of the test raised while a request was served, if it is the first one."""
        with self._lock:
            self._error = self._error or error

    def take_error(self) -> Exception | None:
        """Return the exception kept by `add_error`, if there is one, and forget it."""
        with self._lock:
            error, self._error = self._error, None
            return error

    def pages(self) -> list[int | None]:
        """Return the page number of each recorded request for tracks."""
        with self._lock:
            return [request.page for request in self.requests if request.path == ENDPOINT]

    def clear(self) -> None:
        """Forget the requests, and reset `rejected` and `max_in_flight`."""
        with self._lock:
            self.requests.clear()
            self.rejected = 0
            self.max_in_flight = self.in_flight
