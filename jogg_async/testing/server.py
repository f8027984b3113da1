"""`FakeJogg`: the music endpoint as a real HTTP server on loopback."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, Self

from .answers import Answer, Code
from .catalogue import Catalogue
from .delivery import deliver, is_heard
from .limits import Latency, RateLimit
from .listener import Listener
from .record import SeenRequest
from .responder import Responder, dice
from .service import ENDPOINT, MusicService, integer
from .thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from aiohttp import web

    from .faults import Fault

__all__ = ["FakeJogg"]


class FakeJogg:
    """A fake of JoggAI's music endpoint that speaks HTTP on a port of this machine, and records what it is asked.

    `async with FakeJogg() as fake:` serves from the running event loop; `with FakeJogg() as fake:` serves from a thread
    of its own, for tests without asyncio and for any asyncio plugin. Or `await fake.start()` and `await fake.close()`.

    It keeps to what the vendor documents; nothing in it was compared with the live service.

    Args:
        tracks: How many tracks to generate (a million start at once), or the rows to send, or a `Catalogue`.
        api_key: The one key that is let in.
        seed: Decides everything that looks random: tracks, request ids, latencies, errors.
        host: The address to listen on.
        port: The port; 0 lets the system pick one, which is kept over a `close` and a new `start`.
        latency: Seconds from a request to its answer, 0 or more. Requests wait side by side, not in a queue.
        jitter: Up to so many seconds more, evenly spread.
        slow_fraction: The share of answers, 0 to 1, that take `slow_factor` times the latency.
        slow_factor: See there; 1 or more.
        rate_limit: Refuses requests above a rate; `None` never does. Refusals come at once, without latency.
        error_rate: The share of requests, 0 to 1, answered with `code` 50000.
        check_key: Whether a missing or wrong `x-api-key` is refused with `code` 10105.
        http_errors: Whether errors of the service come with a fitting HTTP status (401, 400, 404, 500); else with 200,
            so that only `code` tells. The vendor documents both.
        null_when_empty: Whether a page without tracks says `"music": null`, as a Go back end does, instead of `[]`.
        show_filters: Whether generated tracks also carry `genre` and `mood`, two fields that nobody documents.
        record: Whether `requests` is kept; turn it off to serve for days.

    Attributes:
        api_key: The key that is let in.
        catalogue: What is served; edit it at any time, from any thread.
        requests: Every request so far, in order of arrival.
        on_request: Called with each request before its answer is made, and awaited if it gives an awaitable: the place
            to hold an answer back or to change the catalogue. It runs in the server's thread. What it raises is
            answered with `code` 50000 and raised again by `close`.

    Raises:
        ValueError: A share is outside 0 to 1, or a time is negative.
    """

    def __init__(
        self,
        tracks: int | Iterable[Mapping[str, Any]] | Catalogue = 2500,
        *,
        api_key: str = "fake-jogg-key",
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        jitter: float = 0.0,
        slow_fraction: float = 0.0,
        slow_factor: float = 10.0,
        rate_limit: RateLimit | None = None,
        error_rate: float = 0.0,
        check_key: bool = True,
        http_errors: bool = True,
        null_when_empty: bool = False,
        show_filters: bool = False,
        record: bool = True,
    ) -> None:
        self.api_key = api_key
        self.catalogue: Catalogue = (
            tracks if isinstance(tracks, Catalogue) else Catalogue(tracks, seed=seed, show_filters=show_filters)
        )
        self.requests: list[SeenRequest] = []
        self.on_request: Callable[[SeenRequest], Awaitable[object] | object] | None = None
        self._service = MusicService(
            self.catalogue,
            api_key=api_key,
            bits=dice(seed, "rid").getrandbits,
            check_key=check_key,
            http_errors=http_errors,
            null_when_empty=null_when_empty,
        )
        self._responder = Responder(
            self.catalogue,
            service=self._service,
            latency=Latency(latency, jitter, slow_fraction, slow_factor, dice(seed, "latency").random),
            rate_limit=rate_limit,
            error_rate=error_rate,
            seed=seed,
        )
        self._record = record
        self._refused = self._in_flight = self._max_in_flight = self._past_connections = 0
        self._host, self._port = host, port
        self._url: str | None = None
        self._listener: Listener | None = None
        self._thread: LoopThread | None = None
        self._hook_error: Exception | None = None

    # Running

    async def start(self) -> Self:
        """Listen, from the running event loop. A fake that runs already goes on.

        Raises:
            OSError: The port is taken.
        """
        if self._listener is None:
            listener = Listener(self._handle)
            self._port = await listener.listen(self._host, self._port)
            self._listener = listener
            self._url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"
            self.catalogue.base_url = self._url
        return self

    async def close(self) -> None:
        """Hang up on everybody at once and stop listening; open requests are cut off. Closing twice is closing once.

        What was recorded stays readable, and `start` opens the same port again, as after an outage.

        Raises:
            Exception: What `on_request`, a `Fault.patch` or a change of the catalogue raised while the fake served.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()
        else:
            await self._close()

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.hang_up()
            self._past_connections += listener.accepted
        error, self._hook_error = self._hook_error, None
        if error is not None:
            raise error

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Exception as error:  # noqa: BLE001 (raised again, or noted on the failure of the test)
            _tell(exc, error)

    def __enter__(self) -> Self:
        if self._listener is not None:
            raise RuntimeError("the fake runs already")
        self._thread = LoopThread(self.start, self._close)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        try:
            if thread is not None:
                thread.stop()
        except Exception as error:  # noqa: BLE001 (raised again, or noted on the failure of the test)
            _tell(exc, error)

    # Looking

    @property
    def url(self) -> str:
        """The base address, such as "http://127.0.0.1:41234".

        Raises:
            RuntimeError: The fake was never started.
        """
        if self._url is None:
            raise RuntimeError("the fake has no address yet: enter it by `async with` or `with`, or await its start()")
        return self._url

    @property
    def pages(self) -> list[int | None]:
        """The page numbers that the endpoint was asked for, in order of arrival."""
        return [seen.page for seen in self.requests if seen.path == ENDPOINT]

    @property
    def in_flight(self) -> int:
        """How many requests are open now."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int:
        """The most that were ever open at once. A client that gives up on a request may be seen a moment too late."""
        return self._max_in_flight

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._past_connections + (self._listener.accepted if self._listener else 0)

    @property
    def open_connections(self) -> int:
        """How many of them are open now."""
        return self._listener.open if self._listener else 0

    @property
    def refused(self) -> int:
        """How many answers had `code` 429."""
        return self._refused

    # Directing

    def fail(
        self,
        fault: Fault,
        *,
        page: int | None = None,
        times: int | None = 1,
        after: int = 0,
        path: str = ENDPOINT,
    ) -> None:
        """Let something go wrong. Several faults in waiting are used in the order they were given, one a request.

        Args:
            fault: What goes wrong.
            page: Only in requests for this page; `None` is any.
            times: In how many matching requests, 1 or more; `None` is for ever.
            after: How many matching requests to let through before, 0 or more.
            path: Only in requests for this path, such as "/music/7.wav".

        Raises:
            ValueError: `times` or `after` is out of range.
        """
        self._responder.faults.add(fault, path=path, page=page, times=times, after=after)

    def mutate_after(self, answers: int, change: Callable[[Catalogue], object], *, repeat: bool = False) -> None:
        """Change the catalogue after so many more pages were answered with success, before the next one is made.

        `fake.mutate_after(3, lambda catalogue: catalogue.insert())` makes page 4 begin with the last track of page 3.

        Args:
            answers: How many; 1 or more.
            change: Gets the catalogue, in the server's thread.
            repeat: Whether to change it again after each further `answers` pages.

        Raises:
            ValueError: `answers` is below 1.
        """
        self._responder.changes.add(answers, change, repeat=repeat)

    def clear(self) -> None:
        """Forget the faults and changes in waiting, the recorded requests, `refused` and `max_in_flight`."""
        self._responder.faults.clear()
        self._responder.changes.clear()
        self.requests.clear()
        self._refused = 0
        self._max_in_flight = self._in_flight

    # Serving

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = _seen(request)
        if self._record:
            self.requests.append(seen)
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            answer, fault = await self._respond(seen)
            if is_heard(fault):
                seen.status, seen.code = answer.status, answer.code
                self._refused += answer.code == Code.RATE_LIMIT
            return await deliver(request, answer, fault)
        finally:
            self._in_flight -= 1

    async def _respond(self, seen: SeenRequest) -> tuple[Answer, Fault | None]:
        try:
            if self.on_request is not None:
                result = self.on_request(seen)
                if inspect.isawaitable(result):
                    await result
            return await self._responder.respond(seen)
        except Exception as error:  # noqa: BLE001 (the test's own code failed: close() tells the test)
            self._hook_error = self._hook_error or error
            return self._service.failure(Code.SYSTEM, msg=f"a hook of the fake raised {error!r}"), None


def _seen(request: web.BaseRequest) -> SeenRequest:
    query = dict(request.query)
    on_endpoint = request.path == ENDPOINT
    return SeenRequest(
        time.monotonic(),
        request.method,
        request.path,
        query,
        request.headers,
        integer(query.get("page"), 1) if on_endpoint else None,
        integer(query.get("page_size"), 10) if on_endpoint else None,
    )


def _tell(failure: BaseException | None, error: Exception) -> None:
    # The test's own failure goes first; what a hook raised may well be its cause.
    if failure is None:
        raise error
    failure.add_note(f"A hook of the fake raised {error!r}.")
