"""What all crawls of the soak share: sessions, what must come out, and the counts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import attrs

from jogg_async import JoggSession, RetryPolicy, Track
from tests.model import sequential_crawl

from .catalogues import FILTERS, rough, steady, track_of
from .remote import Remote

KEY: Final = "fake-jogg-key"
RETRY: Final = RetryPolicy(attempts=8, timeout=60, wait_initial=0.01, wait_max=0.2, wait_jitter=0.02)
PATIENCE: Final = 1.0
"""Seconds for one attempt: below the length of a stall."""

POOLED: Final = 2 * (8 + 6 + 4)
"""Connections that the sessions which live as long as the run may keep for later: each what it may have in flight, and
as many that were opened ahead while those were busy."""


class WrongError(Exception):
    """A result was not what it must be."""


def check(holds: object, what: str, *values: object) -> None:
    """`WrongError` where it does not hold."""
    if not holds:
        raise WrongError(f"{what}: {', '.join(repr(value)[:300] for value in values)}")


@attrs.define
class Counts:
    """What has been done so far."""

    crawls: int = 0
    tracks: int = 0
    retries: int = 0
    errors: int = 0


class Oracle:
    """What a crawl of a catalogue must come to, by the sequential model.

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
        """The tracks, in order; `bounds` are those of `sequential_crawl`."""
        return [self._tracks[number] for number in sequential_crawl(self.rows, page_size, **bounds)]


@attrs.frozen
class World:
    """Sessions and oracles.

    Attributes:
        shared: the session that most crawls share, with connections of its own.
        lent: one over an aiohttp session of the caller's.
        limited: one at a service with a rate limit.
        oracles: of the steady catalogue, for each of `FILTERS`.
        rough: of the rough one.
    """

    remote: Remote
    shared: JoggSession
    lent: JoggSession
    limited: JoggSession
    oracles: tuple[Oracle, ...]
    rough: Oracle
    counts: Counts = attrs.field(factory=Counts)

    def session(self, name: str = "steady", **settings: Any) -> JoggSession:
        """A further session at one of the fakes."""
        return JoggSession(KEY, base_url=self.remote.urls[name], retry=RETRY, timeout=PATIENCE, **settings)


@asynccontextmanager
async def world(remote: Remote) -> AsyncGenerator[World]:
    """The world, its sessions closed at the end."""
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
        yield World(remote, shared, lent, limited, oracles, Oracle(rough()))
