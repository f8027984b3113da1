"""One request of the service, sent until it succeeds or fails for good."""

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
from jogg_async._requests.stamina_hooks import retry_hooks
from jogg_async._requests.throttle import Gate, Lane
from jogg_async.errors import APIError, JoggError, RateLimitError, ServerError
from jogg_async.retry import RetryPolicy, backoff, next_wait

logger = logging.getLogger("jogg_async")


@attrs.define
class RequestStats:
    """What has been sent for one customer.

    Attributes:
        requests: attempts sent, repetitions included.
        retries: the repetitions.
    """

    requests: int = 0
    retries: int = 0


@attrs.frozen(eq=False)
class PageFetcher:
    """Sends requests in turn, with the session's key, policy and limiter."""

    api_key: Secret
    transport: Transport
    gate: Gate
    policy: RetryPolicy
    limiter: AbstractAsyncContextManager[Any] | None
    page_totals: dict[PageUrl, int] = attrs.field(factory=dict[PageUrl, int])
    """Total pages by address, as crawls of this session learnt them."""

    async def page(
        self,
        url: PageUrl,
        number: int,
        lane: Lane,
        stats: RequestStats,
        *,
        skip_invalid: bool,
        policy: RetryPolicy | None = None,
    ) -> Decoded:
        """Fetch and decode one page of a url.

        Args:
            url: what is listed.
            number: the page, from 1.
            lane: the queue to wait in.
            stats: counts the attempts.
            skip_invalid: leave out records that are no tracks.
            policy: used in place of the session's.

        Raises:
            JoggError: the request failed for good; `page`, `attempts` and `asked` are set.
        """
        request = PageRequest(self, url.for_page(number), number, lane, stats, policy or self.policy)
        try:
            decoded = decode_page(await request.run(), number, skip_invalid=skip_invalid, key=self.api_key)
        except JoggError as error:
            request.add_request_to(error)
            raise
        except asyncio.CancelledError as cancelled:
            # A pager raises this error where others cancelled the task of a page: nothing else tells of the request.
            cancelled.__cause__ = request.add_request_to(JoggError("the request was cancelled from outside"))
            raise
        for record in decoded.invalid:
            logger.warning("page %d: invalid record skipped: %s", number, record.message)
        return decoded


@attrs.define(eq=False)
class PageRequest:
    """One request: its attempts, and the waits between them."""

    _fetcher: PageFetcher
    _url: URL
    _number: int
    _lane: Lane
    _stats: RequestStats
    _policy: RetryPolicy
    _attempts: int = 0
    _sent_at: float = 0.0
    _waited: float = 0.0

    async def run(self) -> Success:
        """Send the request until it succeeds, or fails for good."""
        while True:
            try:
                return await self._attempt()
            except JoggError as error:
                wait = self._next_wait(error)
                if wait is None:
                    raise
                failure = error
            await self._wait(failure, wait)

    def add_request_to(self, error: JoggError) -> JoggError:
        """Set what is known of the request on its error, without the API key and without the frames below."""
        error.page, error.attempts, error.request_line = self._number, self._attempts, f"GET {self._url}"
        redact_error(error, self._fetcher.api_key)
        error.__traceback__ = error.__context__ = None  # those frames hold the whole response
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
        raise cast("BaseException", failure)  # the limiter suppressed it

    async def _send(self) -> Success:
        gate, transport = self._fetcher.gate, self._fetcher.transport
        turn = gate.turn_at_once(self._lane) or await gate.turn(self._lane)
        try:
            envelope = self._read(await transport.get(self._url, self._count))
        except APIError as error:
            if is_rate_limit(error):
                gate.refused(turn, self._pause(error))
            else:
                gate.accepted()
            raise
        finally:
            gate.done(turn)
        gate.accepted()
        return envelope

    def _count(self) -> None:
        """Count an attempt that is sent: later than its turn where it waits in the pool of a caller's session."""
        if self._attempts == 0:
            self._sent_at = self._clock()
        else:
            self._stats.retries += 1
        self._attempts += 1
        self._stats.requests += 1

    def _read(self, response: RawResponse) -> Success:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: HTTP %d, %d bytes", self._shown(), response.status, len(response.body))
        return read_envelope(response, time.time(), self._fetcher.api_key)

    def _pause(self, error: APIError) -> float:
        """Return the seconds for which a rate limit pauses the whole session: the session's policy applies."""
        policy, named = self._fetcher.policy, named_wait(error)
        if named is None:
            return backoff(policy, self._attempts)
        return named if named <= policy.max_retry_after else 0.0

    def _next_wait(self, error: JoggError) -> float | None:
        if not is_retryable(error):
            return None
        named = named_wait(error)
        # The requests that a pause holds back are spread by the learnt rate.
        spread = named is not None and is_rate_limit(error)
        jitter = 0.0 if spread else random.uniform(0, self._policy.wait_jitter)  # noqa: S311 (no secret)
        elapsed, paused = self._clock() - self._sent_at, self._fetcher.gate.paused
        return next_wait(self._policy, self._attempts, elapsed, named=named, jitter=jitter, paused=paused)

    async def _wait(self, failure: JoggError, wait: float) -> None:
        """Report the retry, and wait, while other requests may go in the place of this one."""
        self.add_request_to(failure)  # now: hooks may log it
        request, kind = self._shown(), type(failure).__name__
        logger.info("%s: attempt %d failed with %s; retrying in %.2f s", request, self._attempts, kind, wait)
        hooks = retry_hooks(request, self._attempts, wait, self._waited, failure)
        with hooks, self._fetcher.transport.watch_blocking():
            self._lane.park()
            try:
                await asyncio.sleep(wait)
            finally:
                self._lane.unpark()
        self._waited += wait

    def _clock(self) -> float:
        """Return the loop's time without the time for which the loop was blocked."""
        return asyncio.get_running_loop().time() - self._fetcher.transport.blocked

    def _shown(self) -> str:
        return f"GET {redact(str(self._url), self._fetcher.api_key)}"


def named_wait(error: JoggError) -> float | None:
    """Return the wait in seconds that the service asked for with an error; `None` for none."""
    return error.retry_after if isinstance(error, RateLimitError | ServerError) else None


def is_rate_limit(error: JoggError) -> bool:
    """Return whether an error is a rate limit: 429, or a 503 that names a wait, as nginx's ``limit_req`` responses."""
    if isinstance(error, ServerError):
        return error.http_status == 503 and error.retry_after is not None
    return isinstance(error, RateLimitError)
