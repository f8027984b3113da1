"""One request of the service, sent until it succeeds or fails for good."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import ModuleType
from typing import Any
from urllib.parse import quote

import attrs
from yarl import URL

from ._convert import Decoded, decode_page
from ._gate import Gate, Lane
from ._secret import Secret, clean, redacted
from ._shape import Success
from ._transport import Transport
from ._wire import Answer, is_retried, read_envelope
from .errors import APIError, JoggError, RateLimitError, ServerError
from .retry import RetryPolicy

logger = logging.getLogger("jogg_async")


@attrs.frozen
class Listing:
    """What is listed: the address of each page, built once but for its number."""

    scheme: str
    authority: str
    path: str
    query: str

    @classmethod
    def of(cls, base_url: URL, page_size: int, filters: Mapping[str, str]) -> Listing:
        query = {"page_size": str(page_size), **filters}
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
        path = f"{base_url.raw_path.rstrip('/')}/v2/musics"
        return cls(base_url.scheme, base_url.raw_authority, path, f"{pairs}&page=")

    def address(self, page: int) -> URL:
        query = f"{self.query}{page}"  # built from its parts: to parse a text anew takes twice as long
        return URL.build(scheme=self.scheme, authority=self.authority, path=self.path, query_string=query, encoded=True)


@attrs.define
class Tally:
    """What has been sent for one customer.

    Attributes:
        requests: attempts sent, repetitions included.
        retries: the repetitions.
    """

    requests: int = 0
    retries: int = 0


@attrs.frozen(eq=False)
class Caller:
    """Sends requests in turn, with the session's key, policy and limiter."""

    api_key: Secret
    transport: Transport
    gate: Gate
    policy: RetryPolicy
    limiter: AbstractAsyncContextManager[Any] | None

    async def page(self, listing: Listing, number: int, lane: Lane, tally: Tally, *, skip_invalid: bool) -> Decoded:
        """One page of a listing.

        Raises:
            JoggError: the request failed for good; the error says what was asked, and how often.
        """
        call = _Call(self, listing.address(number), lane, tally)
        try:
            decoded = decode_page(await call.run(), number, skip_invalid=skip_invalid, key=self.api_key)
        except JoggError as error:
            error.page, error.attempts, error.asked = number, call.attempts, f"GET {call.url}"
            clean(error, self.api_key)
            error.__traceback__ = error.__context__ = None  # the frames below hold the whole answer
            raise
        for record in decoded.invalid:
            logger.warning("page %d: record passed over: %s", number, record.message)
        return decoded


class _Call:
    """One request, with what is known of its attempts."""

    __slots__ = ("_caller", "_lane", "_parked", "_tally", "attempts", "sent_at", "url")

    def __init__(self, caller: Caller, url: URL, lane: Lane, tally: Tally) -> None:
        self.url = url
        self.attempts = 0
        self.sent_at = 0.0
        self._caller = caller
        self._lane = lane
        self._tally = tally
        self._parked = False

    async def run(self) -> Success:
        try:
            return await self._attempt()
        except JoggError as error:
            failure = error
        if not is_retried(failure) or not self._caller.policy.leaves_time(self._elapsed()):
            raise failure
        try:
            return await self._again(failure)
        finally:
            self._park(False)

    def _park(self, parked: bool) -> None:
        """Leave the lane to others while this request waits to be sent again, or come back to it."""
        if parked and not self._parked:
            self._lane.park()
        elif self._parked and not parked:
            self._lane.unpark()
        self._parked = parked

    async def _again(self, failure: JoggError) -> Success:
        made = [failure]  # the attempt made already, before stamina was needed
        async for attempt in _stamina().retry_context(on=self._verdict, **self._limits()):
            with attempt:
                if made:
                    raise made.pop()
                self._park(False)
                self._tally.retries += 1
                return await self._attempt()
        raise AssertionError("stamina ends with a result or an error")  # pragma: no cover

    def _limits(self) -> dict[str, Any]:
        policy = self._caller.policy
        return {
            "attempts": policy.attempts,
            "timeout": None if policy.timeout is None else policy.timeout - self._elapsed(),
            "wait_initial": policy.wait_initial,
            "wait_max": policy.wait_max,
            "wait_jitter": policy.wait_jitter,
        }

    def _verdict(self, error: Exception) -> bool | float:
        """What stamina asks after a failure: give up, wait as it sees fit, or wait so many seconds."""
        if not isinstance(error, JoggError) or not is_retried(error):
            return False
        self._log("attempt %d failed: %s", self.attempts, type(error).__name__)
        policy = self._caller.policy
        wait = named_wait(error)
        if wait is not None and not policy.accepts(wait, self._elapsed()):
            return False
        self._park(True)
        if wait is None:
            return True
        if isinstance(error, RateLimitError):
            return wait  # the gate spreads what waits for the same moment
        return wait + random.uniform(0, policy.wait_jitter)  # noqa: S311 (nothing to guess here)

    def _attempt(self) -> Coroutine[Any, Any, Success]:
        limiter = self._caller.limiter
        return self._in_turn() if limiter is None else self._within(limiter)

    async def _within(self, limiter: AbstractAsyncContextManager[Any]) -> Success:
        async with limiter:
            return await self._in_turn()

    async def _in_turn(self) -> Success:
        gate = self._caller.gate
        turn = gate.turn_at_once(self._lane) or await gate.turn(self._lane)
        self._tally.requests += 1
        self.attempts += 1
        if self.attempts == 1:
            self.sent_at = turn.sent_at
        try:
            envelope = self._judged(await self._caller.transport.get(self.url))
        except JoggError as error:
            clean(error, self._caller.api_key)  # here already: stamina logs it
            if isinstance(error, RateLimitError):
                gate.refused(turn, self._pause(error))
            elif isinstance(error, APIError):
                gate.accepted()
            raise
        finally:
            gate.done(turn)
        gate.accepted()
        return envelope

    def _judged(self, answer: Answer) -> Success:
        if logger.isEnabledFor(logging.DEBUG):
            self._log("HTTP %d, %d bytes", answer.status, len(answer.body))
        return read_envelope(answer, time.time(), self._caller.api_key)

    def _log(self, text: str, *args: object) -> None:
        logger.debug(f"GET %s: {text}", redacted(str(self.url), self._caller.api_key), *args)  # noqa: G004

    def _pause(self, error: RateLimitError) -> float:
        """Seconds for which a refusal stops the whole session."""
        policy = self._caller.policy
        if error.retry_after is None:
            return policy.backoff(self.attempts)
        return error.retry_after if error.retry_after <= policy.max_retry_after else 0.0

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.sent_at


@functools.cache
def _stamina() -> ModuleType:
    """The retry library, loaded where something fails first: nothing else pays for it."""
    # stamina warns of each retry, and without any logging set up those warnings would land on standard error.
    logging.getLogger("stamina").addHandler(logging.NullHandler())
    return import_module("stamina")


def named_wait(error: JoggError) -> float | None:
    """The wait in seconds that the service named with an error."""
    return error.retry_after if isinstance(error, RateLimitError | ServerError) else None
