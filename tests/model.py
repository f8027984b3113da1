"""What a crawl must come to, worked out page after page; and how a test holds responses back, waits, and listens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, settings

from jogg_async.testing import Fault

if TYPE_CHECKING:
    from jogg_async import Track
    from jogg_async.testing import FakeJogg, RecordedRequest

REFUSED = Fault.business(40000)
"""Fails a request for good, at once."""

PASSING = Fault.business(50000)
"""Fails one attempt; the next one may do."""


LONG: Final = bool(os.environ.get("JOGG_LONG"))
"""Whether searches try all their examples (`nox -s long`); else a fifth of them."""


def examples(count: int) -> settings:
    """Return settings of a property test that drives an event loop.

    Args:
        count: examples in the long run; `JOGG_EXAMPLES` sets another number.
    """
    return settings(
        max_examples=int(os.environ.get("JOGG_EXAMPLES", count if LONG else max(10, count // 5))),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


def is_valid(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is int


def crawl(
    rows: Sequence[Any],
    page_size: int,
    *,
    start_page: int = 1,
    place: int = 0,
    end_page: int | None = None,
    limit: int | None = None,
) -> list[int]:
    """The ids that one request after another brings out of a catalogue that stands still.

    Args:
        rows: the catalogue, records that are no tracks included: they are passed over.
        page_size: tracks per page.
        start_page: where to begin.
        place: how many records of that page count as seen already.
        end_page: the last page to read.
        limit: the most ids to return.
    """
    first = (start_page - 1) * page_size
    stop = len(rows) if end_page is None else end_page * page_size
    seen = {row["id"] for row in rows[first : first + place] if is_valid(row)}
    found: list[int] = []
    for row in rows[first + place : max(stop, first + place)]:
        if is_valid(row) and row["id"] not in seen:
            seen.add(row["id"])
            found.append(row["id"])
    return found if limit is None else found[:limit]


def pages_of(found: int, page_size: int) -> list[int]:
    """The numbers of the pages that so many records fill."""
    return list(range(1, -(-found // page_size) + 1))


def ids(tracks: Iterable[Track]) -> list[int]:
    return [track.id for track in tracks]


async def ids_from(tracks: AsyncIterable[Track]) -> list[int]:
    return [track.id async for track in tracks]


async def read_into(found: list[int], tracks: AsyncIterable[Track]) -> None:
    """Append ids as they come, so that those before an error stay."""
    async for track in tracks:
        found.append(track.id)  # noqa: PERF401 (see above)


async def turns(count: int = 10) -> None:
    """Let the event loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(holds: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true; `TimeoutError` where it does not."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)


class Doors:
    """Holds back the responses of a fake until a test lets them go.

    Args:
        fake: whose responses; it must serve from the test's own event loop.
        shut: the pages held back; none given: all.
    """

    def __init__(self, fake: FakeJogg, *shut: int) -> None:
        self._shut = set(shut) or None
        self._opened: set[int] = set()
        self._change = asyncio.Condition()
        fake.on_request = self._wait

    async def _wait(self, seen: RecordedRequest) -> None:
        async with self._change:
            await self._change.wait_for(lambda: self._is_open(seen.page or 0))

    def _is_open(self, page: int) -> bool:
        return page in self._opened or (self._shut is not None and page not in self._shut)

    async def open(self, *pages: int) -> None:
        """Let these pages go; none given: all, from now on."""
        async with self._change:
            if pages:
                self._opened.update(pages)
            else:
                self._shut = {0}
            self._change.notify_all()


@contextlib.contextmanager
def no_complaints() -> Generator[None]:
    """What the event loop has to complain of, such as an exception that nobody retrieved, fails the test."""
    loop = asyncio.get_running_loop()
    complaints: list[str] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    try:
        yield
        gc.collect()
        assert complaints == []
    finally:
        loop.set_exception_handler(before)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """How many of these spans of time lie over each other at the most."""
    edges = itertools.chain.from_iterable(((start, 1), (stop, -1)) for start, stop in spans)
    return max(itertools.accumulate(step for _, step in sorted(edges)), default=0)
