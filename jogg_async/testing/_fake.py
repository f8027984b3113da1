"""`FakeJogg`: the music endpoint as a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from ._arguments import checked_int, checked_number
from ._behaviour import ChangeSchedule, FaultQueue, Latency, RateLimit, RateLimiter, seeded_random
from ._catalogue import Catalogue
from ._endpoint import ENDPOINT, Code, FakeResponse, MusicEndpoint
from ._faults import fault_for
from ._records import RecordedRequest, RequestLog
from ._serving import Listener, ServerThread, send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from aiohttp import web

    from ._faults import Fault

__all__ = ["FakeJogg"]


class FakeJogg:
    """Fake of JoggAI's music endpoint: a real HTTP server on this machine that records its requests.

    `async with FakeJogg() as fake:` serves from the running event loop; `with FakeJogg() as fake:` serves from a thread
    of its own, for tests without asyncio and for any asyncio plugin. Or `await fake.start()` and `await fake.close()`.

    It follows the vendor's documentation; nothing in it was compared with the live service.

    Args:
        tracks: Number of tracks to generate (0 or more; a million start at once), the rows to send, or a `Catalogue`.
        api_key: The only valid key.
        seed: Fixes everything that looks random: tracks, request ids, latencies, errors.
        host: Address to listen on.
        port: Port, 0 to 65535; 0 lets the system choose one, which is kept from a `close` to the next `start`.
        latency: Seconds from a request to its response, 0 or more. Requests wait side by side, not in a queue.
        jitter: Upper bound of the seconds added to it, evenly distributed; 0 or more.
        slow_fraction: Share of responses, 0 to 1, that take `slow_factor` times the latency.
        slow_factor: 1 or more.
        rate_limit: Requests per second above which requests are rejected, or a `RateLimit`; `None` rejects none.
            Rejections are sent at once, without latency.
        error_rate: Share of requests, 0 to 1, that fail with `code` 50000.
        check_key: Reject a missing or wrong `x-api-key` with `code` 10105.
        http_errors: Send errors of the service with a matching HTTP status (401, 400, 404, 500); else with 200, so that
            only `code` shows the error. The vendor documents both.
        null_when_empty: Send `"music": null` for a page without tracks, as a Go back end does, instead of `[]`.
        show_filters: Add `genre` and `mood` to generated tracks, two undocumented fields.
        record: Keep each request in `requests`; turn it off to serve for days.

    Attributes:
        api_key: The valid key.
        catalogue: The tracks served; edit them at any time, from any thread.
        on_request: Function called with each request before its response is made, and awaited if it returns an
            awaitable: the place to delay a response or to change the catalogue. It runs in the server's thread. If it
            raises, the response has `code` 50000, and `close` raises the exception.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range.
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
        rate_limit: RateLimit | float | None = None,
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
        self.on_request: Callable[[RecordedRequest], Awaitable[object] | object] | None = None
        # This lock guards all data that the threads of the test and the server share: recorded requests, counters,
        # queued faults, scheduled changes, and the running server. The catalogue has its own lock, since several fakes
        # may serve it. No code of the test runs while one of them is held.
        self._lock = threading.RLock()
        self._log = RequestLog(self._lock, record=record)
        self._faults = FaultQueue(self._lock)
        self._changes = ChangeSchedule(self._lock)
        self._endpoint = MusicEndpoint(
            self.catalogue,
            api_key=api_key,
            random_bits=seeded_random(seed, "rid").getrandbits,
            check_key=check_key,
            http_errors=http_errors,
            null_when_empty=null_when_empty,
        )
        self._limiter = _rate_limiter(rate_limit)
        self._latency = Latency(latency, jitter, slow_fraction, slow_factor, seeded_random(seed, "latency").random)
        self._error_rate = checked_number("error_rate", error_rate, 0, 1)
        self._draw_error = seeded_random(seed, "errors").random
        self._host, self._port = host, checked_int("port", port, 0, 65535)
        self._url: str | None = None
        self._listener: Listener | None = None
        self._in_thread = False
        self._thread: ServerThread | None = None

    # Running

    async def start(self) -> Self:
        """Start to serve, in the running event loop; in a thread if the fake is used with a plain ``with``.

        Starting a running fake has no effect.

        Raises:
            OSError: The port is in use.
        """
        if self._in_thread:
            self._start_thread()
        else:
            await self._listen()
        return self

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = ServerThread(self._listen, self._close)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = Listener(self._handle, self._log.connection_made)
        port = await listener.listen(self._host, self._port)
        url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"
        with self._lock:
            self._listener, self._port, self._url = listener, port, url
        self.catalogue.base_url = url

    async def close(self) -> None:
        """Stop serving and close every connection at once; open requests are cut off. No effect on a closed fake.

        The recorded requests stay readable, and `start` opens the same port again, as after an outage.

        Raises:
            Exception: The first one raised by `on_request`, a `Fault.patch` or a change of the catalogue.
        """
        if self._in_thread:
            self._stop_thread()
        else:
            await self._close()

    def _stop_thread(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    async def _close(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close_all()
        error = self._log.take_error()
        if error is not None:
            raise error

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Exception as error:  # noqa: BLE001 (raised, or added to the failure of the test)
            _raise_or_add_note(error, exc)

    def __enter__(self) -> Self:
        if self._listener is not None:
            raise RuntimeError("the fake runs already")
        self._in_thread = True
        self._start_thread()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._stop_thread()
        except Exception as error:  # noqa: BLE001 (raised, or added to the failure of the test)
            _raise_or_add_note(error, exc)
        finally:
            self._in_thread = False

    # Observing

    @property
    def url(self) -> str:
        """Base address, such as "http://127.0.0.1:41234".

        Raises:
            RuntimeError: The fake was never started.
        """
        if self._url is None:
            raise RuntimeError("the fake has no address yet: enter it by `async with` or `with`, or await its start()")
        return self._url

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order of arrival. The list is live; copy it to keep it."""
        return self._log.requests

    @property
    def pages(self) -> list[int | None]:
        """Page numbers requested from the endpoint, in order of arrival."""
        return self._log.pages()

    @property
    def in_flight(self) -> int:
        """Number of open requests."""
        return self._log.in_flight

    @property
    def max_in_flight(self) -> int:
        """Highest number of requests open at once. A cancelled request counts until the server has noticed."""
        return self._log.max_in_flight

    @property
    def connections(self) -> int:
        """Number of TCP connections accepted so far."""
        return self._log.connections

    @property
    def open_connections(self) -> int:
        """Number of open TCP connections."""
        listener = self._listener
        return 0 if listener is None else listener.open_connections

    @property
    def refused(self) -> int:
        """Number of responses with `code` 429."""
        return self._log.rejected

    # Faults and changes

    def fail(
        self,
        fault: Fault | int,
        *,
        page: int | None = None,
        times: int | None = 1,
        after: int = 0,
        path: str = ENDPOINT,
    ) -> None:
        """Queue a fault for later requests. A request gets at most one fault: the first queued one that matches it.

        Args:
            fault: A `Fault`, or a number. A documented code (`fail(50000)`), or the HTTP status that belongs to one
                (`fail(500)`), makes the fake send the code's error envelope; another status from 400 to 599
                (`fail(502)`) an HTML page, as a proxy does.
            page: Fail requests for this page only, 1 or more; `None` for any.
            times: Number of matching requests to fail, 1 or more; `None` for all.
            after: Number of matching requests to let through first, 0 or more.
            path: Fail requests for this path only, such as "/music/7.wav".

        Raises:
            TypeError: An argument is of the wrong type.
            ValueError: `page`, `times` or `after` is out of range, or the number is none of those above.
        """
        fault = fault_for(fault, self._endpoint.status_of)
        self._faults.add(fault, path=path, page=page, times=times, after=after)

    def mutate_after(self, pages: int, change: Callable[[Catalogue], object], *, repeat: bool = False) -> None:
        """Change the catalogue after this many more pages; the next page already shows the change.

        `fake.mutate_after(3, lambda catalogue: catalogue.insert())` makes page 4 begin with the last track of page 3.

        Args:
            pages: Number of pages, 1 or more. Errors do not count.
            change: Function that gets the catalogue. It is called in the server's thread.
            repeat: Make the change again after each further `pages` pages.

        Raises:
            TypeError: `pages` is no integer, or `change` no function.
            ValueError: `pages` is below 1.
        """
        self._changes.add(pages, change, repeat=repeat)

    def clear(self) -> None:
        """Remove queued faults, scheduled changes and recorded requests; reset `refused` and `max_in_flight`."""
        with self._lock:
            self._faults.clear()
            self._changes.clear()
            self._log.clear()

    # Serving

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        recorded = RecordedRequest.of(request)
        self._log.request_started(recorded)
        try:
            response, fault = await self._respond(recorded)
            if fault is None or not fault.manner.sends_nothing:
                self._log.response_sent(recorded, response)
            return await send(request, response, fault)
        finally:
            self._log.request_ended()

    async def _respond(self, request: RecordedRequest) -> tuple[FakeResponse, Fault | None]:
        hook = self.on_request
        try:
            if hook is not None:
                result = hook(request)
                if inspect.isawaitable(result):
                    await result
            limiter = self._limiter if request.path == ENDPOINT else None
            if limiter is None:
                return await self._accept(request)
            if not limiter.try_acquire():
                return limiter.rejection(self._endpoint.error), None
            response, fault = await self._accept(request)
            return limiter.with_remaining(response), fault
        except Exception as error:  # noqa: BLE001 (code of the test failed: close() raises it)
            self._log.add_error(error)
            msg = f"on_request, a Fault.patch or a change of the catalogue raised {error!r}"
            return self._endpoint.error(Code.SYSTEM, msg=msg), None

    async def _accept(self, request: RecordedRequest) -> tuple[FakeResponse, Fault | None]:
        # Everything random is drawn at arrival, so that it depends on the order of requests, not of responses.
        fault = self._faults.take(request)
        fails = self._draw_error() < self._error_rate and request.path == ENDPOINT
        seconds = self._latency.draw_seconds() + (fault.delay if fault else 0.0)
        if seconds > 0:
            await asyncio.sleep(seconds)
        response = self._endpoint.error(Code.SYSTEM) if fails else self._endpoint.respond(request)
        if response.code == Code.SUCCESS:
            self._changes.page_sent(self.catalogue)
        return (fault.alter(response) if fault else response), fault


def _rate_limiter(limit: RateLimit | float | None) -> RateLimiter | None:
    if limit is None:
        return None
    return RateLimiter(limit if isinstance(limit, RateLimit) else RateLimit(limit), time.monotonic)


def _raise_or_add_note(error: Exception, failure: BaseException | None) -> None:
    """Raise the exception that a test's hook raised. If the test failed, add it to that error as a note instead."""
    if failure is None:
        raise error
    failure.add_note(f"While the fake served a request, code of the test raised {error!r}.")
