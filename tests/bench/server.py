"""Server of the benchmark, in a process of its own, with as little work per response as possible.

It reads only the page of a request. Commands are JSON lines on standard input: new settings, which reset the counts, or
`null`. The reply to each is a line with the counts on standard output.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import attrs

from .catalogue import RETRY_AFTER, is_failed, is_refused, is_slow, refusal, render, render_gzipped, system_error

_ASLEEP: Final = 1.9
"""Seconds after the first request during which the consumer of the memory scenario sleeps."""


@attrs.frozen
class Settings:
    """Behaviour of the server.

    Attributes:
        pages: pages in the catalogue.
        latency: seconds from a request's arrival to its response.
        opening: seconds from the start of a connection before a request on it is read. It stands for the time to
            connect, which the kernel makes zero on loopback.
        slow_share: share of the pages that are slow.
        slow_factor: factor of their latency.
        rate: rate limit in requests per second; 0 for no limit.
        burst: burst of the rate limit.
        changes: later rates, each with the seconds from the first request at which it begins.
        refusals: share of the attempts that are refused at random.
        faults: share of the attempts that meet a system error.
        outage: first page of those that always fail; 0 for none.
        undocumented: True to add three undocumented fields to each track.
        gzipped: True to compress bodies with gzip.
    """

    pages: int = 1
    latency: float = 0.0
    opening: float = 0.0
    slow_share: float = 0.0
    slow_factor: float = 10.0
    rate: float = 0.0
    burst: float = 10.0
    changes: Sequence[tuple[float, float]] = ()
    refusals: float = 0.0
    faults: float = 0.0
    outage: int = 0
    undocumented: bool = False
    gzipped: bool = False

    def latency_of(self, page: int) -> float:
        slow = self.slow_share and is_slow(page, self.slow_share)
        return self.latency * self.slow_factor if slow else self.latency

    def rate_at(self, second: float) -> float:
        """Return the rate limit at a time, in seconds from the first request."""
        return next((rate for begin, rate in reversed(self.changes) if second >= begin), self.rate)


@attrs.define
class Counts:
    """Counts since the last settings.

    Attributes:
        requests: all requests.
        refused: those refused by the rate limit, or at random.
        paused: seconds covered by the waits of refusals; overlapping waits count once.
        connections: connections opened.
        most_in_flight: most requests in flight at once.
        in_flight: requests in flight now.
        asleep: requests while the consumer of the memory scenario sleeps.
        server_share: share of a core that the server used.
    """

    requests: int = 0
    refused: int = 0
    paused: float = 0.0
    connections: int = 0
    most_in_flight: int = 0
    in_flight: int = 0
    asleep: int = 0
    server_share: float = 0.0


class Service:
    """Choose the response to each request, and its delay."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.configure(Settings())

    def configure(self, settings: Settings) -> None:
        self.settings = settings
        self.counts = Counts()
        self._attempts: dict[int, int] = {}
        self._first_at: float | None = None
        self._tokens, self._filled_at = settings.burst, self.loop.time()
        self._last_at = self._cpu = self._paused_until = 0.0

    def counts_so_far(self) -> dict[str, Any]:
        if self._first_at is not None and self._last_at > self._first_at:
            self.counts.server_share = (time.process_time() - self._cpu) / (self._last_at - self._first_at)
        return attrs.asdict(self.counts)

    def begin(self, page: int) -> tuple[float, bytes]:
        """Return the seconds to wait, and the response to send then."""
        now = self.loop.time()
        self._count(now)
        settings = self.settings
        if settings.rate and not self._admit(now):
            return settings.latency, self._refuse(now)
        if settings.refusals or settings.faults or settings.outage:
            attempt = self._attempts[page] = self._attempts.get(page, 0) + 1
            if is_refused(page, attempt, settings.refusals):
                return settings.latency, self._refuse(now)
            if is_failed(page, attempt, settings.faults) or 0 < settings.outage <= page:
                return settings.latency, system_error(page, attempt)
        return settings.latency_of(page), self._render(page)

    def end(self, counts: Counts) -> None:
        counts.in_flight -= 1
        self._last_at = self.loop.time()

    def _render(self, page: int) -> bytes:
        settings = self.settings
        if settings.gzipped:
            return render_gzipped(page, settings.pages)
        return render(page, settings.pages, undocumented=settings.undocumented)

    def _count(self, now: float) -> None:
        counts = self.counts
        counts.requests += 1
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        if self._first_at is None:
            self._first_at, self._cpu = now, time.process_time()
        if now - self._first_at < _ASLEEP:
            counts.asleep += 1

    def _admit(self, now: float) -> bool:
        settings = self.settings
        rate = settings.rate_at(now - self._first_at) if self._first_at is not None else settings.rate
        self._tokens = min(settings.burst, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _refuse(self, now: float) -> bytes:
        until = now + RETRY_AFTER
        self.counts.refused += 1
        self.counts.paused += until - max(now, self._paused_until)
        self._paused_until = until
        return refusal()


class Connection(asyncio.Protocol):
    """Keep-alive HTTP/1.1 connection for GET requests."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = service.loop
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._open_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._service.counts.connections += 1
        self._open_at = self._loop.time() + self._service.settings.opening

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            opening = self._open_at - self._loop.time()
            if opening > 0:
                self._loop.call_later(opening, self._begin, head)
            else:
                self._begin(head)

    def _begin(self, head: bytes) -> None:
        counts = self._service.counts  # of this run: the response may be sent after the next run began
        wait, response = self._service.begin(_page_of(head))
        if wait:
            self._loop.call_later(wait, self._send, response, counts)
        else:
            self._send(response, counts)

    def _send(self, response: bytes, counts: Counts) -> None:
        self._service.end(counts)
        if self._transport is not None:
            self._transport.write(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


def _page_of(head: bytes) -> int:
    query = head[: head.index(b" HTTP/")].partition(b"?")[2]
    for pair in query.split(b"&"):
        if pair.startswith(b"page="):
            return int(pair[5:])
    return 1


def _handle_command(service: Service, stopped: asyncio.Event) -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        stopped.set()
        return
    command = json.loads(line)
    if command is not None:
        service.configure(Settings(**command))
    _write(service.counts_so_far())


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def serve() -> None:
    """Print the port, and serve on loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    service, stopped = Service(loop), asyncio.Event()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=512)
    _write(server.sockets[0].getsockname()[1])
    loop.add_reader(sys.stdin.fileno(), _handle_command, service, stopped)
    await stopped.wait()
    server.close()


def main() -> None:
    # epoll waits in whole milliseconds, select in microseconds: responses must not be late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve())


if __name__ == "__main__":
    main()
