"""Sessions, expected results and counts that all crawls of the soak share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import attrs

from jogg_async import JoggSession, RetryPolicy, Track
from tests.model import sequential_crawl

from .catalogues import FILTERS, irregular, steady, track_of
from .remote import Remote

KEY: Final = "fake-jogg-key"
RETRY: Final = RetryPolicy(attempts=8, timeout=60, wait_initial=0.01, wait_max=0.2, wait_jitter=0.02)
PATIENCE: Final = 1.0
"""Timeout of one attempt in seconds: shorter than a stall."""

POOLED: Final = 2 * (8 + 6 + 4)
"""Idle connections that the sessions of the whole run may keep: twice their concurrency, since connections opened ahead
add to those of the requests in flight."""


class UnexpectedResultError(Exception):
    """A result differs from the expected one."""


def check(condition: object, subject: str, *values: object) -> None:
    """Raise `UnexpectedResultError` with `subject` and `values` if a condition is false."""
    if not condition:
        raise UnexpectedResultError(f"{subject}: {', '.join(repr(value)[:300] for value in values)}")


@attrs.define
class Counts:
    """Counts of the run so far."""

    crawls: int = 0
    tracks: int = 0
    retries: int = 0
    errors: int = 0


class Oracle:
    """Expected results of crawls of a catalogue, by `sequential_crawl`.

    Args:
        rows: the catalogue.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows
        self._tracks: dict[int, Track] = {}
        for row in rows:
            if type(row["id"]) is int:
                self._tracks.setdefault(row["id"], track_of(row))

    def tracks(self, page_size: int, **bounds: Any) -> list[Track]:
        """Return the tracks in order; `bounds` are arguments of `sequential_crawl`."""
        return [self._tracks[number] for number in sequential_crawl(self.rows, page_size, **bounds)]


@attrs.frozen
class Environment:
    """Sessions on the fakes, and oracles with the expected results.

    Attributes:
        shared: session that most crawls share, with a connection pool of its own.
        lent: session over an aiohttp session of the caller.
        limited: session on a fake with a rate limit.
        oracles: expected results of the steady catalogue, for each of `FILTERS`.
        irregular: expected results of the irregular catalogue.
    """

    remote: Remote
    shared: JoggSession
    lent: JoggSession
    limited: JoggSession
    oracles: tuple[Oracle, ...]
    irregular: Oracle
    counts: Counts = attrs.field(factory=Counts)

    def session(self, name: str = "steady", **settings: Any) -> JoggSession:
        """Create another session on one of the fakes."""
        return JoggSession(KEY, base_url=self.remote.urls[name], retry=RETRY, timeout=PATIENCE, **settings)


@asynccontextmanager
async def open_environment(remote: Remote) -> AsyncGenerator[Environment]:
    """Open the environment, and close its sessions at the end."""
    settings: Mapping[str, Any] = {"retry": RETRY, "timeout": PATIENCE}
    urls = remote.urls
    oracles = tuple(Oracle(steady(filters, urls["steady"])) for filters in FILTERS)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        JoggSession(KEY, base_url=urls["steady"], concurrency=8, **settings) as shared,
        JoggSession(KEY, base_url=urls["steady"], concurrency=4, http=http, **settings) as lent,
        JoggSession(KEY, base_url=urls["limited"], concurrency=6, **settings) as limited,
    ):
        yield Environment(remote, shared, lent, limited, oracles, Oracle(irregular()))
