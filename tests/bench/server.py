"""The server of the benchmark, in a process of its own: as little work for an answer as can be.

It reads from a request no more than its page. Commands come as JSON lines on standard input, each answered by a line:
new settings, which start the counting anew, or a question for the counts.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import time
from typing import Any, Final

import attrs

from .catalogue import fails, is_slow, refusal, render, system_error

_ASLEEP: Final = 1.9
"""Seconds from the first request in which the consumer of the memory scenario sleeps."""


@attrs.frozen
class Settings:
    """How the server behaves.

    Attributes:
        pages: pages in the catalogue.
        latency: seconds from a request's arrival to its answer.
        opening: seconds from a connection's arrival before a request on it is looked at. The kernel completes a
            connection to loopback by itself, so the wait for it is put where a client that sends at once feels it.
        slow_share: share of the pages that are slower.
        slow_factor: how much slower.
        rate: requests a second; 0 for no limit.
        burst: how many may come at once.
        faults: share of the attempts that meet a system error.
    """

    pages: int = 1
    latency: float = 0.0
    opening: float = 0.0
    slow_share: float = 0.0
    slow_factor: float = 10.0
    rate: float = 0.0
    burst: float = 10.0
    faults: float = 0.0

    def latency_of(self, page: int) -> float:
        slow = self.slow_share and is_slow(page, self.slow_share)
        return self.latency * self.slow_factor if slow else self.latency


@attrs.define
class Counts:
    """What was counted since the settings came."""

    requests: int = 0
    refused: int = 0
    connections: int = 0
    most_in_flight: int = 0
    in_flight: int = 0
    asleep: int = 0
    server_share: float = 0.0


class Service:
    """Decides what answer a request gets, and when."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.configure(Settings())

    def configure(self, settings: Settings) -> None:
        self.settings = settings
        self.counts = Counts()
        self._attempts: dict[int, int] = {}
        self._first_at: float | None = None
        self._tokens, self._filled_at = settings.burst, self.loop.time()
        self._last_at = self._cpu = 0.0

    def counted(self) -> dict[str, Any]:
        if self._first_at is not None and self._last_at > self._first_at:
            self.counts.server_share = (time.process_time() - self._cpu) / (self._last_at - self._first_at)
        return attrs.asdict(self.counts)

    def begin(self, page: int) -> tuple[float, bytes]:
        """The seconds to wait, and the answer."""
        now = self.loop.time()
        self._count(now)
        settings = self.settings
        if settings.rate and not self._admit(now):
            self.counts.refused += 1
            return settings.latency, refusal()
        if settings.faults:
            attempt = self._attempts[page] = self._attempts.get(page, 0) + 1
            if fails(page, attempt, settings.faults):
                return settings.latency, system_error()
        return settings.latency_of(page), render(page, settings.pages)

    def end(self, counts: Counts) -> None:
        counts.in_flight -= 1
        self._last_at = self.loop.time()

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
        self._tokens = min(settings.burst, self._tokens + (now - self._filled_at) * settings.rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Connection(asyncio.Protocol):
    """One keep-alive connection of HTTP/1.1, GET requests alone."""

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
        counts = self._service.counts  # those of this run: the answer may come after the next one began
        wait, answer = self._service.begin(_page_of(head))
        if wait:
            self._loop.call_later(wait, self._answer, answer, counts)
        else:
            self._answer(answer, counts)

    def _answer(self, answer: bytes, counts: Counts) -> None:
        self._service.end(counts)
        if self._transport is not None:
            self._transport.write(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None


def _page_of(head: bytes) -> int:
    query = head[: head.index(b" HTTP/")].partition(b"?")[2]
    for pair in query.split(b"&"):
        if pair.startswith(b"page="):
            return int(pair[5:])
    return 1


def _obey(service: Service, stopped: asyncio.Event) -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        stopped.set()
        return
    command = json.loads(line)
    if command is not None:
        service.configure(Settings(**command))
    _say(service.counted())


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def serve() -> None:
    """Serve on loopback until standard input ends; the port comes first on standard output."""
    loop = asyncio.get_running_loop()
    service, stopped = Service(loop), asyncio.Event()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=512)
    _say(server.sockets[0].getsockname()[1])
    loop.add_reader(sys.stdin.fileno(), _obey, service, stopped)
    await stopped.wait()
    server.close()


def main() -> None:
    # epoll waits in whole milliseconds, select in microseconds: answers must not be late.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve())


if __name__ == "__main__":
    main()
