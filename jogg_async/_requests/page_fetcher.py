"""Requests for one page, sent until they succeed or fail for good."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import attrs
from yarl import URL

from jogg_async._api.decoding import Decoded, decode_page
from jogg_async._api.envelope import RawResponse, is_retryable, read_envelope
from jogg_async._api.page_url import PageUrl
from jogg_async._api.redaction import Secret, redact, redact_error
from jogg_async._api.schemas import Success
from jogg_async._http.transport import Transport
from jogg_async._requests.events import log_pause, log_retry, log_skipped
from jogg_async._requests.stamina_hooks import retry_hooks
from jogg_async._requests.throttle import QUEUE_LEAD, RequestQueue, Slot, Throttle
from jogg_async.errors import APIError, JoggError, RateLimitError, ServerError
from jogg_async.retry import RetryPolicy, backoff, next_wait

logger = logging.getLogger("jogg_async")


@attrs.define
class RequestStats:
    """Number of requests sent for one pager or one call.

    Attributes:
        requests: attempts sent, retries included.
        retries: retries among them.
    """

    requests: int = 0
    retries: int = 0


@attrs.frozen(eq=False)
class PageFetcher:
    """Sender of page requests with the session's key, throttle, retry policy and limiter."""

    api_key: Secret
    transport: Transport
    throttle: Throttle
    policy: RetryPolicy
    limiter: AbstractAsyncContextManager[Any] | None
    page_totals: dict[PageUrl, int] = attrs.field(factory=dict[PageUrl, int])
    """Total pages by URL, as crawls of this session learnt them."""

    async def page(
        self,
        url: PageUrl,
        number: int,
        queue: RequestQueue,
        stats: RequestStats,
        *,
        skip_invalid: bool,
        policy: RetryPolicy | None = None,
    ) -> Decoded:
        """Fetch and decode one page.

        Args:
            url: URL of the pages.
            number: page number, from 1.
            queue: queue in which the request waits for a slot.
            stats: counter of the attempts.
            skip_invalid: skip records that are no valid tracks; else they are an error.
            policy: retry policy; `None` for the session's.

        Raises:
            JoggError: the request failed for good. Its `page`, `attempts` and `request_line` are set.
        """
        request = PageRequest(self, url.for_page(number), number, queue, stats, policy or self.policy)
        try:
            decoded = decode_page(await request.run(), number, skip_invalid=skip_invalid, key=self.api_key)
        except JoggError as error:
            request.add_request_to(error)
            raise
        except asyncio.CancelledError as cancelled:
            # If other code cancels the task of a page, the window raises this cause, which describes the request.
            cancelled.__cause__ = request.add_request_to(JoggError("the request was cancelled from outside"))
            raise
        if decoded.invalid:
            log_skipped(self.request_line(url, number), self._redact(decoded.page.rid), decoded.invalid)
        return decoded

    def request_line(self, url: PageUrl, number: int) -> str:
        """Return the request of a page as ``GET <URL>``, without the API key."""
        return f"GET {redact(str(url.for_page(number)), self.api_key)}"

    def _redact(self, text: str | None) -> str | None:
        return None if text is None else redact(text, self.api_key)


@attrs.define(eq=False)
class PageRequest:
    """One request with its attempts and the waits between them."""

    _fetcher: PageFetcher
    _url: URL
    _number: int
    _queue: RequestQueue
    _stats: RequestStats
    _policy: RetryPolicy
    _attempts: int = 0
    _sent_at: float = 0.0
    _waited: float = 0.0

    async def run(self) -> Success:
        """Send the request until it succeeds or fails for good."""
        while True:
            try:
                envelope = await self._attempt()
            except JoggError as error:
                wait = self._next_wait(error)
                if wait is None:
                    raise
                failure = error
            else:
                self._queue.on_success()
                return envelope
            await self._wait(failure, wait)

    def add_request_to(self, error: JoggError) -> JoggError:
        """Set the facts about the request on its error; remove the API key and the traceback."""
        error.page, error.attempts, error.request_line = self._number, self._attempts, f"GET {self._url}"
        redact_error(error, self._fetcher.api_key)
        error.__traceback__ = error.__context__ = None  # its frames hold the whole response
        return error

    def _attempt(self) -> Coroutine[Any, Any, Success]:
        limiter = self._fetcher.limiter
        return self._send() if limiter is None else self._send_within(limiter)

    async def _send_within(self, limiter: AbstractAsyncContextManager[Any]) -> Success:
        failure: BaseException | None = None
        async with limiter:
            try:
                return await self._send()
            except BaseException as error:
                failure = error
                raise
        raise cast("BaseException", failure)  # the limiter suppressed the exception

    async def _send(self) -> Success:
        throttle, transport = self._fetcher.throttle, self._fetcher.transport
        slot = throttle.try_acquire(self._queue) or await throttle.acquire(self._queue, retry=self._attempts > 0)
        try:
            envelope = self._read(await transport.get(self._url, self._count_attempt))
        except APIError as error:
            if is_rate_limit(error):
                self._pause_session(slot, error)
            else:
                throttle.on_success()
            raise
        finally:
            throttle.release(slot)
        throttle.on_success()
        return envelope

    def _count_attempt(self) -> None:
        """Count an attempt that is sent now."""
        if self._attempts == 0:
            self._sent_at = self._running_time()
        else:
            self._stats.retries += 1
        self._attempts += 1
        self._stats.requests += 1

    def _read(self, response: RawResponse) -> Success:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: HTTP %d, %d bytes", self._redacted(), response.status, len(response.body))
        return read_envelope(response, time.time(), self._fetcher.api_key)

    def _pause_session(self, slot: Slot, error: APIError) -> None:
        throttle = self._fetcher.throttle
        wait, left = self._session_pause(error), throttle.paused
        throttle.on_rate_limited(slot, wait)
        if wait > 0 and wait >= 2 * left:  # else a request that was in flight at a refusal already logged
            self.add_request_to(error)
            log_pause(error, wait)

    def _session_pause(self, error: APIError) -> float:
        """Return the seconds for which a rate limit pauses the whole session, by the session's own policy."""
        policy, named = self._fetcher.policy, named_wait(error)
        if named is None:
            return backoff(policy, self._attempts)
        return named if named <= policy.max_retry_after else 0.0

    def _next_wait(self, error: JoggError) -> float | None:
        if not is_retryable(error):
            return None
        named = named_wait(error)
        jitter = random.uniform(0, self._policy.wait_jitter) if self._needs_jitter(error) else 0.0  # noqa: S311
        paused = self._fetcher.throttle.paused
        return next_wait(self._policy, self._attempts, self._elapsed(), named=named, jitter=jitter, paused=paused)

    def _needs_jitter(self, error: JoggError) -> bool:
        """Return whether many requests may be sent again at the same time, which jitter spreads."""
        named = named_wait(error)
        if named is None:
            return not self._queue.is_healthy  # an isolated failure must not delay the pages behind it for longer
        return not is_rate_limit(error)  # after a pause of the session, the learnt rate spreads the requests

    async def _wait(self, failure: JoggError, wait: float) -> None:
        """Log the retry, call stamina's hooks and wait. No slot is held meanwhile.

        Raises:
            JoggError: `failure`, if by then the session is paused until after the policy's timeout.
        """
        self.add_request_to(failure)  # before the hooks, which may log the error
        log_retry(failure, wait)
        hooks = retry_hooks(self._redacted(), self._attempts, wait, self._waited, failure)
        with hooks, self._fetcher.transport.watch_blocking():
            self._queue.enter_backoff()
            try:
                await asyncio.sleep(self._fetcher.throttle.time_in_backoff(wait))
            finally:
                self._queue.leave_backoff()
        self._waited += wait
        if self._is_paused_too_long():
            raise failure

    def _is_paused_too_long(self) -> bool:
        """Return whether a pause that began during the backoff ends after the policy's timeout."""
        timeout, paused = self._policy.timeout, self._fetcher.throttle.paused
        return timeout is not None and paused > QUEUE_LEAD and self._elapsed() + paused > timeout

    def _elapsed(self) -> float:
        """Return the seconds since the first attempt, without those for which the event loop was blocked."""
        return self._running_time() - self._sent_at

    def _running_time(self) -> float:
        """Return the loop's time without the time for which the loop was blocked."""
        return asyncio.get_running_loop().time() - self._fetcher.transport.blocked

    def _redacted(self) -> str:
        return f"GET {redact(str(self._url), self._fetcher.api_key)}"


def named_wait(error: JoggError) -> float | None:
    """Return the wait in seconds that an error response named; `None` for none."""
    return error.retry_after if isinstance(error, RateLimitError | ServerError) else None


def is_rate_limit(error: JoggError) -> bool:
    """Return whether an error is a rate limit: 429, or a 503 that names a wait, as nginx's ``limit_req`` sends."""
    if isinstance(error, ServerError):
        return error.http_status == 503 and error.retry_after is not None
    return isinstance(error, RateLimitError)
