"""`JoggSession`: the client's front door."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

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


class JoggSession:
    """A client of JoggAI's background music: one key, one address, one bound on the requests in flight.

    Use it as ``async with JoggSession() as jogg``, or without and close it by `aclose`. It belongs to the event loop of
    its first request.

    Args:
        api_key: the key; `None` takes the environment's ``JOGG_API_KEY``. Visible ASCII only.
        base_url: the service's address, a path prefix included; `None` takes the environment's ``JOGG_BASE_URL``, else
            ``https://api.jogg.ai``. Plain http goes to a loopback host alone.
        concurrency: requests in flight at once over the whole session, 1 or more.
        retry: when a failed request is sent again.
        timeout: seconds for one attempt, above 0: from sending it to its last byte.
        limiter: an async context manager entered around each attempt, such as ``aiolimiter.AsyncLimiter(20, 60)``.
        http: an aiohttp session whose connector, headers and traces are used; neither changed nor closed.

    Raises:
        ConfigurationError: the key or the address is missing or malformed, or a number is out of its range.
    """

    _closed = False
    _base_url = URL()  # until it is known: a traceback may show a session that could not be made

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
        api_key = as_secret(api_key)  # first of all: a traceback shows this frame's variables
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

    def __repr__(self) -> str:
        return f"<JoggSession {self._base_url}{' closed' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the session is closed: it cannot be used again."""
        return self._closed

    @property
    def paused(self) -> float:
        """Seconds of a rate-limit pause still to wait, 0 for none: for a health check, say."""
        return 0.0 if self._fetcher is None or self._closed else self._fetcher.throttle.paused

    async def __aenter__(self) -> Self:
        """Enter the session.

        Raises:
            SessionClosedError: it was closed before.
        """
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every pager and request of the session, and close its connections. Closing twice is closing once.

        A step that waits raises `SessionClosedError`.
        """
        calls, crawls = tuple(self._calls), tuple(self._crawls)
        # All of it at once, and the connections in any case: this call may be cancelled wherever it waits.
        for call in () if self._closed else calls:  # each once: the next time it may be leaving the caller's limiter
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
        """Every track of the catalogue, or of a part of it. Nothing is asked for before the first step.

        Args:
            genre: only this genre, such as ``"Corporate"``; `None` for all.
            mood: only this mood, such as ``"Calm"``; `None` for all.
            page_size: tracks per request, 1 to 100 (the service's limit).
            concurrency: requests in flight at once for this pager, 1 or more; `None` for as many as the session's,
                which bounds it in any case.
            limit: the most tracks wanted, 0 or more; no page beyond them is asked for. `None` for all.
            start_page: the first page wanted, from 1.
            end_page: the last page wanted, not before `start_page`; `None` for the catalogue's last.
            ordered: yield in the catalogue's order; else as pages arrive.
            on_invalid: for a record that is no track: ``"raise"`` a `DecodeError`, or ``"skip"`` it, logged and kept in
                `TrackPager.invalid_records`.
            on_drift: where the catalogue changed during the crawl: ``"ignore"`` it; ``"warn"`` at the end; ``"raise"``
                a `CatalogueChangedError` at the end; ``"recrawl"``: go over the pages again, at most five times, until
                a pass sees no change, for tracks that slid past.
            resume: a dict from `TrackPager.checkpoint`: go on with the next track. What it holds need not be given
                again.
            params: further query parameters, by name: strings, numbers or bools. The service promises sorting, but
                documents no parameter for it.
            retry: when a failed request of this pager is sent again; `None` for the session's policy.

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
        """One page, for a user interface that pages itself. It does not wait for a crawl that runs beside it.

        Args:
            number: which page, from 1.
            page_size: tracks per page, 1 to 100 (the service's limit and, for 10, its default).
            genre: only this genre; `None` for all.
            mood: only this mood; `None` for all.
            on_invalid: ``"raise"`` a `DecodeError` for a record that is no track, or ``"skip"`` it.
            params: further query parameters, as for `tracks`.
            retry: when the request is sent again after a failure; `None` for the session's policy. A web handler gives
                up sooner than a crawl.

        Raises:
            ValueError: an argument is out of its range.
            JoggError: the request failed for good.
            SessionClosedError: the session is closed, or was closed meanwhile.
        """
        checked_int("number", number, 1)
        check_policy("on_invalid", on_invalid, OnInvalid)
        url = PageUrl.build(self._base_url, checked_page_size(page_size), query_filters(genre, mood, params))
        return await self._fetch(url, number, RequestStats(), retry, skip_invalid=on_invalid == "skip")

    async def count(
        self, *, genre: str | None = None, mood: str | None = None, retry: RetryPolicy | None = None
    ) -> int:
        """The number of tracks, from one request for one track.

        Args:
            genre: only this genre; `None` for all.
            mood: only this mood; `None` for all.
            retry: when the request is sent again after a failure; `None` for the session's policy.

        Raises:
            ValueError: an argument is out of its range.
            DecodeError: the response names no total, or one below 0.
            JoggError: the request failed for good.
            SessionClosedError: the session is closed, or was closed meanwhile.
        """
        url = PageUrl.build(self._base_url, 1, query_filters(genre, mood, None))
        stats = RequestStats()
        page = await self._fetch(url, 1, stats, retry, skip_invalid=True)
        total, rid = page.pagination.total_items, page.rid
        del page  # a traceback that shows local variables need not show its records
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
        """The result of a request, which the session's close cancels."""
        task = asyncio.get_running_loop().create_task(request)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._closed and task.cancelled() and not (current and current.cancelling()):
                raise SessionClosedError("the session was closed while a request was under way") from None
            raise

    def _connect(self) -> PageFetcher:
        """What sends the session's requests, made in the loop of the first one."""
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
