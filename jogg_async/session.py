"""`JoggSession`: the client, from which crawls and single requests start."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from yarl import URL

from ._api.arguments import (
    check_policy,
    checked_int,
    checked_page_size,
    checked_retry,
    checked_timeout,
    query_filters,
)
from ._api.page_url import PageUrl
from ._api.redaction import as_secret
from ._http.addresses import register_origin
from ._http.transport import Transport
from ._paging.crawl import Crawl
from ._paging.options import PAGE_SIZE, START_PAGE, crawl_options
from ._requests.page_fetcher import PageFetcher, RequestStats
from ._requests.throttle import RequestQueue, Throttle
from .errors import ConfigurationError, DecodeError, SessionClosedError
from .models import Page
from .pager import TrackPager
from .retry import RetryPolicy
from .settings import OnDrift, OnInvalid, api_key_from, base_url_from

if TYPE_CHECKING:
    from typing import Self

    import aiohttp

__all__ = ["JoggSession"]

_T = TypeVar("_T")

_USES: Final = (
    ("await jogg.count()", "returns the number of tracks"),
    ("await jogg.page(1)", "returns one page"),
    ("await jogg.tracks(limit=50).collect()", "returns tracks, which a notebook shows as a table"),
    ("await jogg.aclose()", "closes the session"),
)
"""Text that a notebook shows for an open session."""


class JoggSession:
    """Client of JoggAI's background-music catalogue, with one API key and one limit on requests in flight.

    Use it as ``async with JoggSession() as jogg``, or call `aclose` at the end. It belongs to the event loop of its
    first request.

    Args:
        api_key: the API key, visible ASCII; `None` for the environment variable ``JOGG_API_KEY``.
        base_url: URL of the service, with a path prefix if there is one; `None` for the environment variable
            ``JOGG_BASE_URL``, else ``https://api.jogg.ai``. Plain http is allowed for a loopback host only. `download`
            may fetch files from its origin even if that has a private address.
        concurrency: requests in flight at once over the whole session, 1 or more.
        retry: policy for sending failed requests again.
        timeout: seconds for one attempt, above 0: from sending the request to the last byte of the response.
        limiter: an async context manager entered around each attempt, such as ``aiolimiter.AsyncLimiter(20, 60)``.
        http: an aiohttp session of your own, whose connector, headers and traces are used. It is not changed or closed.

    Raises:
        ConfigurationError: the API key is missing or malformed, the base URL is malformed, another argument is
            invalid, or the environment names a malformed proxy.
    """

    _closed = False
    _base_url = URL()  # set before the checks: a traceback may render a session whose arguments were refused

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        concurrency: int = 8,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 (it is frozen)
        timeout: float = 30.0,
        limiter: AbstractAsyncContextManager[Any] | None = None,
        http: aiohttp.ClientSession | None = None,
    ) -> None:
        api_key = as_secret(api_key)  # first of all: a traceback may show the variables of this frame
        self._api_key = api_key_from(api_key)
        self._base_url = base_url_from(base_url)
        self._concurrency = checked_int("concurrency", concurrency, 1, error=ConfigurationError)
        self._timeout = checked_timeout(timeout)
        self._retry = checked_retry(retry)
        if limiter is not None and not isinstance(limiter, AbstractAsyncContextManager):
            raise ConfigurationError(f"limiter must be an async context manager, not {type(limiter).__name__}.")
        self._limiter = limiter
        self._transport = Transport(self._api_key, self._base_url, self._timeout, http)
        self._fetcher: PageFetcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crawls: weakref.WeakSet[Crawl] = weakref.WeakSet()
        self._calls: set[asyncio.Task[Any]] = set()
        self._closed = False
        register_origin(self._base_url)

    def __repr__(self) -> str:
        return f"<JoggSession {self._base_url}{' closed' if self._closed else ''}>"

    def _repr_html_(self) -> str:
        from ._render.html import hint

        return hint(repr(self), () if self._closed else _USES)

    @property
    def closed(self) -> bool:
        """True once the session is closed. It cannot be used again."""
        return self._closed

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait, 0 for none; useful in a health check."""
        return 0.0 if self._fetcher is None or self._closed else self._fetcher.throttle.paused

    async def __aenter__(self) -> Self:
        """Enter the session.

        Raises:
            SessionClosedError: the session is closed.
        """
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every pager and request of the session, and close its connections. Closing it again has no effect.

        Pagers and requests that are waiting raise `SessionClosedError`.
        """
        calls, crawls = tuple(self._calls), tuple(self._crawls)
        # Cancel everything before the first await, and close the connections in `finally`: this call may be cancelled.
        # Cancel each only once: a second time could interrupt the exit of the caller's limiter.
        for call in () if self._closed else calls:
            call.cancel()
        self._closed = True
        for crawl in crawls:
            crawl.close(SessionClosedError)
        try:
            await asyncio.gather(*(crawl.aclose(SessionClosedError) for crawl in crawls))
            if calls:
                await asyncio.wait(calls)
        finally:
            if self._fetcher is not None:
                self._fetcher.throttle.close()
            await self._transport.aclose()

    def tracks(
        self,
        *,
        genre: str | None = None,
        mood: str | None = None,
        page_size: int = PAGE_SIZE,
        concurrency: int | None = None,
        limit: int | None = None,
        start_page: int = START_PAGE,
        end_page: int | None = None,
        ordered: bool = True,
        on_invalid: OnInvalid = "raise",
        on_drift: OnDrift = "warn",
        resume: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
    ) -> TrackPager:
        """Return an async iterator of all tracks, or of those that match. The first step sends the first request.

        Args:
            genre: only this genre, such as ``"Corporate"``; `None` for all.
            mood: only this mood, such as ``"Calm"``; `None` for all.
            page_size: tracks per request, 1 to 100 (the service's limit).
            concurrency: requests in flight at once for this pager, 1 or more, and at most the session's; `None` for the
                session's.
            limit: tracks to yield at most, 0 or more; no page beyond them is requested. `None` for all.
            start_page: first page to fetch, from 1.
            end_page: last page to fetch, not before `start_page`; `None` for the catalogue's last.
            ordered: yield tracks in the catalogue's order; if false, as pages arrive.
            on_invalid: for an invalid record: ``"raise"`` a `DecodeError`; or ``"skip"`` it, log it, and keep it in
                `TrackPager.invalid_records`.
            on_drift: if the catalogue changes during the crawl: ``"ignore"`` it; ``"warn"`` at the end; ``"raise"`` a
                `CatalogueChangedError` at the end; ``"recrawl"``: fetch the pages again, at most five times, until a
                pass notices no change, to find missing tracks.
            resume: a dict from `TrackPager.checkpoint`, to continue with the next track. Arguments that it holds may be
                omitted.
            params: further query parameters, by name: strings, numbers or bools. The service promises sorting, but
                documents no parameter for it.
            retry: retry policy of this pager; `None` for the session's.

        Raises:
            ValueError: an argument is out of its range, or contradicts `resume`.
            SessionClosedError: the session is closed.
        """
        self._check_open()
        own = self._concurrency
        options = crawl_options(
            self._base_url,
            query_filters(genre, mood, params),
            page_size=page_size,
            concurrency=own if concurrency is None else min(own, checked_int("concurrency", concurrency, 1)),
            limit=limit,
            start_page=start_page,
            end_page=end_page,
            ordered=ordered,
            on_invalid=on_invalid,
            on_drift=on_drift,
            resume=resume,
            retry=None if retry is None else checked_retry(retry),
        )
        crawl = Crawl(options, self._connect)
        self._crawls.add(crawl)
        return TrackPager(crawl)

    async def page(
        self,
        number: int = 1,
        *,
        page_size: int = 10,
        genre: str | None = None,
        mood: str | None = None,
        on_invalid: OnInvalid = "raise",
        params: Mapping[str, Any] | None = None,
        retry: RetryPolicy | None = None,
    ) -> Page:
        """Return one page, for a user interface with pages. A crawl that runs at the same time does not delay it.

        Args:
            number: number of the page, from 1.
            page_size: tracks per page, 1 to 100. The limit and the default are the service's.
            genre: only this genre; `None` for all.
            mood: only this mood; `None` for all.
            on_invalid: ``"raise"`` a `DecodeError` for an invalid record, or ``"skip"`` it.
            params: further query parameters, as for `tracks`.
            retry: retry policy of this call; `None` for the session's. A web handler, for example, can give up sooner
                than a crawl.

        Raises:
            ValueError: an argument is out of its range.
            JoggError: the request failed.
            SessionClosedError: the session is closed, or was closed during the request.
        """
        checked_int("number", number, 1)
        check_policy("on_invalid", on_invalid, OnInvalid)
        url = PageUrl.build(self._base_url, checked_page_size(page_size), query_filters(genre, mood, params))
        return await self._fetch(url, number, RequestStats(), retry, skip_invalid=on_invalid == "skip")

    async def count(
        self, *, genre: str | None = None, mood: str | None = None, retry: RetryPolicy | None = None
    ) -> int:
        """Return the number of tracks, from one request for one track.

        Args:
            genre: only this genre; `None` for all.
            mood: only this mood; `None` for all.
            retry: retry policy of this call; `None` for the session's.

        Raises:
            ValueError: an argument is out of its range.
            DecodeError: the response has no total, or a negative one.
            JoggError: the request failed.
            SessionClosedError: the session is closed, or was closed during the request.
        """
        url = PageUrl.build(self._base_url, 1, query_filters(genre, mood, None))
        stats = RequestStats()
        page = await self._fetch(url, 1, stats, retry, skip_invalid=True)
        total, rid = page.pagination.total_items, page.rid
        del page  # a traceback with local variables need not show its records
        if total is None or total < 0:
            what = "the response has no total" if total is None else f"the response's total is {total}"
            error = DecodeError(what, path="$.data.pagination.total_items", rid=rid)
            error.page, error.attempts, error.request_line = 1, stats.requests, f"GET {url.for_page(1)}"
            raise error
        return total

    async def _fetch(
        self, url: PageUrl, number: int, stats: RequestStats, retry: RetryPolicy | None, *, skip_invalid: bool
    ) -> Page:
        policy = self._retry if retry is None else checked_retry(retry)
        request = self._connect().page(url, number, RequestQueue(1), stats, skip_invalid=skip_invalid, policy=policy)
        return (await self._until_closed(request)).page

    async def _until_closed(self, request: Coroutine[Any, Any, _T]) -> _T:
        """Run a request as a task that `aclose` can cancel, and return its result."""
        task = asyncio.get_running_loop().create_task(request)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._closed and task.cancelled() and not (current and current.cancelling()):
                raise SessionClosedError("the session was closed during the request") from None
            raise

    def _connect(self) -> PageFetcher:
        """Return the page fetcher, created in the event loop of the first request."""
        self._check_open()
        loop = asyncio.get_running_loop()
        if self._fetcher is None:
            self._loop = loop
            throttle = Throttle(self._concurrency)
            self._fetcher = PageFetcher(self._api_key, self._transport, throttle, self._retry, self._limiter)
        elif self._loop is not loop:
            raise ConfigurationError("This JoggSession belongs to another event loop. Make one session for each loop.")
        return self._fetcher

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosedError("the session is closed")
