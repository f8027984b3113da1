"""Simulate crawls through rate-limited services in virtual time, with the real throttle.

`python -m tests.requests.rate_simulation` prints a table of how long each takes.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import statistics
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from jogg_async._requests.throttle import RequestQueue, Throttle

T = TypeVar("T")
LATENCY = (0.0025, 0.025)
"""Least and most seconds from the client to the service, and the same back."""


class _SkipSelector(selectors.BaseSelector):
    """Advance the clock instead of waiting. Watches no file."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer is left")
        self.now += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, 0, None)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Any:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop on a virtual clock.

    Args:
        tick: Resolution of the clock in seconds; timers fire up to one tick early, as asyncio's do.
    """

    def __init__(self, tick: float = 0.0) -> None:
        self._skip = _SkipSelector()
        self._tick = tick
        super().__init__(self._skip)
        self._clock_resolution = tick or 1e-9

    def time(self) -> float:
        now = self._skip.now
        return now // self._tick * self._tick if self._tick else now


def run(main: Coroutine[Any, Any, T], tick: float = 0.0) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(tick)) as runner:
        return runner.run(main)


class Service(Protocol):
    """Rate limit of a service."""

    def wait(self, now: float, page: int) -> float | None:
        """Return `None` to accept a request, or the seconds to wait if it is refused."""
        ...


class Unlimited:
    """Accept every request."""

    def wait(self, now: float, page: int) -> float | None:
        return None


class TokenBucket:
    """Token bucket; refusals name a fixed wait."""

    def __init__(self, rate: float, burst: int = 10, retry_after: float = 1.0) -> None:
        self.rate, self._burst, self._retry_after = rate, burst, retry_after
        self._tokens, self._filled_at = float(burst), 0.0

    def wait(self, now: float, page: int) -> float | None:
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._tokens < 1:
            return self._retry_after
        self._tokens -= 1
        return None


class FixedWindow:
    """Fixed window: requests beyond a number are refused until it ends; refusals name the seconds until then."""

    def __init__(self, requests: int, seconds: float, offset: float = 0.0) -> None:
        self._requests, self._seconds, self._offset = requests, seconds, offset
        self._window, self._count = -1, 0

    def wait(self, now: float, page: int) -> float | None:
        now += self._offset
        window = int(now // self._seconds)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += 1
        if self._count <= self._requests:
            return None
        return max(1, math.ceil((window + 1) * self._seconds - now))


class SlidingWindow:
    """Sliding window: accept at most `requests` requests in any span of `seconds`."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._requests, self._seconds = requests, seconds
        self._accepted: deque[float] = deque()

    def wait(self, now: float, page: int) -> float | None:
        while self._accepted and self._accepted[0] <= now - self._seconds:
            self._accepted.popleft()
        if len(self._accepted) < self._requests:
            self._accepted.append(now)
            return None
        return max(1, math.ceil(self._accepted[0] + self._seconds - now))


class Chance:
    """Refuse a share of the requests at random, whatever their rate."""

    def __init__(self, share: float, seed: int, retry_after: float = 1.0) -> None:
        self._share, self._chance, self._retry_after = share, random.Random(seed), retry_after

    def wait(self, now: float, page: int) -> float | None:
        return self._retry_after if self._chance.random() < self._share else None


class OnePage:
    """Refuse one page always."""

    def __init__(self, page: int, retry_after: float = 1.0) -> None:
        self._page, self._retry_after = page, retry_after

    def wait(self, now: float, page: int) -> float | None:
        return self._retry_after if page == self._page else None


class Phases:
    """Token bucket whose rate changes. Each phase is a number of accepted requests and the rate during them."""

    def __init__(self, *phases: tuple[int, float], retry_after: float = 1.0) -> None:
        self._phases = deque(phases)
        self._bucket = TokenBucket(phases[0][1], retry_after=retry_after)
        self._accepted = 0

    def wait(self, now: float, page: int) -> float | None:
        if self._accepted == self._phases[0][0] and len(self._phases) > 1:
            self._phases.popleft()
            self._bucket.rate, self._accepted = self._phases[0][1], 0
        wait = self._bucket.wait(now, page)
        self._accepted += wait is None
        return wait


@dataclass
class Outcome:
    """Measurements of one crawl.

    Attributes:
        seconds: Duration of the whole crawl.
        sent: Requests sent.
        refused: Requests refused.
        paused: Seconds during which the session was paused.
        attempts: Most attempts that a page took.
        failed: Pages given up.
    """

    seconds: float = 0.0
    sent: int = 0
    refused: int = 0
    paused: float = 0.0
    attempts: int = 0
    failed: list[int] = field(default_factory=list[int])


@dataclass
class Crawl:
    """One crawl: keep as many requests running as its queue allows, and retry refused ones after their wait."""

    throttle: Throttle
    service: Service
    pages: Iterator[int]
    latency: Callable[[], float]
    concurrency: int
    max_attempts: int = 8
    outcome: Outcome = field(default_factory=Outcome)

    async def run(self) -> Outcome:
        self._now = asyncio.get_running_loop().time
        self._queue, self._tasks, self._paused_until = RequestQueue(self.concurrency), set[asyncio.Task[None]](), 0.0
        self._queue.on_backoff = self._fill
        self._fill()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        self.outcome.seconds = self._now()
        return self.outcome

    def _fill(self) -> None:
        while (
            len(self._tasks) < self._queue.limit + self._queue.in_backoff
            and (page := next(self.pages, None)) is not None
        ):
            task = asyncio.get_running_loop().create_task(self._page(page))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        task.result()
        self._fill()

    async def _page(self, page: int) -> None:
        for attempt in range(1, self.max_attempts + 1):
            self.outcome.attempts = max(self.outcome.attempts, attempt)
            wait = await self._attempt(page, retry=attempt > 1)
            if wait is None:
                return
            if attempt < self.max_attempts:
                self._queue.enter_backoff()
                await asyncio.sleep(self.throttle.time_in_backoff(wait))
                self._queue.leave_backoff()
        self.outcome.failed.append(page)

    async def _attempt(self, page: int, *, retry: bool) -> float | None:
        slot = self.throttle.try_acquire(self._queue) or await self.throttle.acquire(self._queue, retry=retry)
        self.outcome.sent += 1
        await asyncio.sleep(self.latency())
        wait = self.service.wait(self._now(), page)
        await asyncio.sleep(self.latency())
        if wait is None:
            self.throttle.on_success()
        else:
            self._note_pause(wait)
            self.throttle.on_rate_limited(slot, wait)
        self.throttle.release(slot)
        return wait

    def _note_pause(self, wait: float) -> None:
        self.outcome.refused += 1
        until = self._now() + wait
        self.outcome.paused += max(0.0, until - max(self._paused_until, self._now()))
        self._paused_until = max(self._paused_until, until)


def crawl(
    service: Service,
    pages: int,
    *,
    concurrency: int = 8,
    seed: int = 0,
    latency: tuple[float, float] = LATENCY,
    max_attempts: int = 8,
) -> Outcome:
    """Crawl `pages` pages in virtual time."""
    chance = random.Random(seed)

    async def main() -> Outcome:
        numbers = iter(range(1, pages + 1))
        one_way = lambda: chance.uniform(*latency)  # noqa: E731
        return await Crawl(Throttle(concurrency), service, numbers, one_way, concurrency, max_attempts).run()

    return run(main())


@dataclass(frozen=True)
class Case:
    """Crawl to measure.

    Attributes:
        service: Makes the service, given a seed.
        pages: Pages to crawl.
        ideal: Seconds of a crawl by a client that knows the limits; `None` if refusals do not depend on the rate.
        most: Highest permitted ratio of the time to `ideal`; without `ideal`, of the extra time to the time paused.
    """

    service: Callable[[int], Service]
    pages: int
    ideal: float | None
    most: float


CASES = {
    "token bucket, 50/s, 300": Case(lambda _: TokenBucket(50), 300, 5.8, 1.45),
    "token bucket, 50/s, 1500": Case(lambda _: TokenBucket(50), 1500, 29.8, 1.12),
    "token bucket, 5/s, 300": Case(lambda _: TokenBucket(5), 300, 58, 1.05),
    "fixed window, 60/60 s, 180": Case(lambda _: FixedWindow(60, 60, 3), 180, 120, 1.02),
    "fixed window, 10/1 s, 300": Case(lambda _: FixedWindow(10, 1), 300, 29, 1.35),
    "sliding window, 60/60 s, 180": Case(lambda _: SlidingWindow(60, 60), 180, 120, 1.07),
    "sliding window, 10/1 s, 300": Case(lambda _: SlidingWindow(10, 1), 300, 29, 1.4),
    "chance, 10 %, 200": Case(lambda seed: Chance(0.1, seed), 200, None, 1.5),
    "chance, 1 %, 2000": Case(lambda seed: Chance(0.01, seed), 2000, None, 1.5),
    "chance, 0.2 %, 5000": Case(lambda seed: Chance(0.002, seed), 5000, None, 1.5),
    "one page, 500": Case(lambda _: OnePage(3), 500, None, 1.5),
    "limit 5, then 200/s": Case(lambda _: Phases((50, 5), (750, 200)), 800, 13.75, 1.6),
    "limit 50, 5, then 200/s": Case(lambda _: Phases((250, 50), (25, 5), (750, 200)), 1025, 13.75, 1.6),
    "limit 50, 5 for long, then 200/s": Case(lambda _: Phases((250, 50), (100, 5), (750, 200)), 1100, 28.75, 1.6),
}


@dataclass(frozen=True)
class Measured:
    """Ratios of a case, one for each seed, and its crawls."""

    ratios: list[float]
    crawls: list[Outcome]


def measure(case: Case, concurrency: int, seeds: range) -> Measured:
    """Crawl a case once for each seed."""
    crawls = [crawl(case.service(seed), case.pages, concurrency=concurrency, seed=seed) for seed in seeds]
    if case.ideal is not None:
        return Measured([done.seconds / case.ideal for done in crawls], crawls)
    without = crawl(Unlimited(), case.pages, concurrency=concurrency).seconds
    return Measured([(done.seconds - without) / done.paused for done in crawls], crawls)


def main() -> None:
    """Print a line for each case and concurrency. Arguments: parts of the names of cases."""
    for name, case in CASES.items():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        for concurrency in (8, 16, 32):
            done = measure(case, concurrency, range(8))
            seconds = statistics.mean(each.seconds for each in done.crawls)
            refused = max(each.refused / each.sent for each in done.crawls)
            mean, worst = statistics.mean(done.ratios), max(done.ratios)
            print(  # noqa: T201
                f"{name:34} concurrency {concurrency:2}  {seconds:6.1f} s  ratio {mean:.2f}, at worst {worst:.2f}"
                f" (limit: {case.most:.2f})  refused {refused:.1%} at most"
            )


if __name__ == "__main__":
    main()
