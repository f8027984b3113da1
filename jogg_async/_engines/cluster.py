"""Requests of a Dask cluster: a shared bound on those in flight; after a rate limit, one sender at a time."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

import attrs

from jogg_async._requests.page_fetcher import is_rate_limit
from jogg_async.errors import JoggError

distributed: Any = import_module("distributed")

CONCURRENCY: Final = 8
"""Requests in flight at once for each worker, by default."""

_POLL_INTERVAL: Final = 0.1
"""Seconds between two checks whether another worker has met a rate limit."""

_MEASURING_TIME: Final = 3.0
"""Seconds over which the accepted rate is measured."""

_START_SHARE: Final = 0.96
"""Start rate of the next sender, as a share of the measured one, which a burst may have raised."""

_GROWTH: Final = 1.03
"""Factor by which a sender's rate grows each second."""

_process_lock = threading.Lock()
"""Held while a partition is read outside a cluster: more than one at a time would gain nothing in one process."""


class SendSchedule:
    """Send times of a partition's requests, from the rate that the service accepted from the partition before it.

    Args:
        rate: requests a second, above 0.
        now: the event loop's time.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate = _START_SHARE * rate
        self._start = self._next = now

    def rate(self, now: float) -> float:
        """Return the requests a second. It rises, to notice a limit that was lifted."""
        return self._rate * math.pow(_GROWTH, now - self._start)

    def delay(self, now: float) -> float:
        """Count a request, and return the seconds until it may be sent."""
        at = max(self._next, now)
        self._next = at + 1 / self.rate(now)
        return at - now


class ClusterLimiter:
    """Limiter of a session in a worker. After a rate limit, only one partition of the whole cluster sends requests.

    One key has one rate limit. Several sessions that each search for it would be refused several times as often. So
    the partition that stops sending publishes the rate that the service accepted, and the next one starts with it.

    The rate is stored in the scheduler's metadata under the name: no entry before the first rate limit, then 0 until
    the rate is known.

    Args:
        name: name of the metadata and of the semaphore.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = distributed.get_client()
        self._sender = distributed.Semaphore(1, f"{name}-sender")
        self._lock = asyncio.Lock()
        self._is_limited = self._published_rate() is not None
        self._is_held = False
        self._schedule: SendSchedule | None = None
        self._accepted: deque[float] = deque()
        self._rate = 0.0

    async def watch(self) -> None:
        """Notice the rate limit that another worker meets. Runs beside the requests, until it is cancelled."""
        while not self._is_limited:
            self._is_limited = await asyncio.to_thread(self._published_rate) is not None
            await asyncio.sleep(_POLL_INTERVAL)

    async def __aenter__(self) -> None:
        if not self._is_limited:
            return
        async with self._lock:
            if not self._is_held:
                await asyncio.to_thread(self._acquire)
                rate = await asyncio.to_thread(self._published_rate)
                self._schedule = SendSchedule(rate, asyncio.get_running_loop().time()) if rate else None
        if self._schedule:
            await asyncio.sleep(self._schedule.delay(asyncio.get_running_loop().time()))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, JoggError) and is_rate_limit(error):
            self._schedule = None  # from now on the session's own throttle knows better
            if not self._is_limited:
                self._is_limited = True
                await asyncio.to_thread(self._publish_rate, 0.0)
        elif error is None and self._is_held:
            self._count(asyncio.get_running_loop().time())

    def _count(self, now: float) -> None:
        """Count an accepted request, and measure the highest rate over some seconds."""
        self._accepted.append(now)
        if now - self._accepted[0] >= _MEASURING_TIME:
            self._rate = max(self._rate, len(self._accepted) / (now - self._accepted[0]))
            while now - self._accepted[0] >= _MEASURING_TIME:
                self._accepted.popleft()

    def _acquire(self) -> None:
        self._sender.acquire()
        self._is_held = True  # in this thread: the request that waits may have been cancelled

    def release(self) -> None:
        """Publish the accepted rate and let another partition send. The event loop of the requests must have ended."""
        if not self._is_held:
            return
        if self._rate:
            self._publish_rate(self._rate)
        self._sender.release()

    def _published_rate(self) -> float | None:
        rate: float | None = self._client.get_metadata(self._name, None)
        return rate

    def _publish_rate(self, rate: float) -> None:
        self._client.set_metadata(self._name, rate)


@attrs.frozen
class Cluster:
    """Share of each partition in the requests that may be in flight.

    Attributes:
        partitions: partitions that are read at once.
        concurrency: requests in flight at once for each of them.
        name: name of the semaphores; `None` outside a cluster, where one partition is read at a time.
    """

    partitions: int
    concurrency: int
    name: str | None

    @classmethod
    def of_client(cls, concurrency: int | None) -> Cluster:
        """Return the shares in the cluster of the current client.

        Args:
            concurrency: requests in flight at once in all; `None` for `CONCURRENCY` for each worker.
        """
        try:
            client = distributed.get_client()
        except ValueError:
            return cls(1, CONCURRENCY if concurrency is None else concurrency, None)
        workers = max(len(client.scheduler_info(n_workers=-1)["workers"]), 1)
        if concurrency is None:
            return cls(workers, CONCURRENCY, f"jogg-{uuid4().hex}")
        return cls(min(workers, concurrency), max(concurrency // workers, 1), f"jogg-{uuid4().hex}")

    @contextmanager
    def share(self) -> Generator[ClusterLimiter | None]:
        """Wait until a further partition may be read, and yield the limiter for its session.

        The lease of a worker that died returns after dask's ``distributed.scheduler.locks.lease-timeout``.
        """
        if self.name is None:
            with _process_lock:
                yield None
            return
        with distributed.Semaphore(self.partitions, self.name):
            limiter = ClusterLimiter(self.name)
            try:
                yield limiter
            finally:
                limiter.release()
