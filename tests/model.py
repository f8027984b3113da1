"""Sequential model of a crawl, and helpers to hold responses back, wait, and observe the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, settings

from jogg_async.testing import Fault

if TYPE_CHECKING:
    from jogg_async import Track, TrackPager
    from jogg_async.testing import FakeJogg, RecordedRequest

REJECTED = Fault.business(40000)
"""Parameter error: it is not retried."""

TRANSIENT = Fault.business(50000)
"""System error: it is retried."""


LONG_RUN: Final = bool(os.environ.get("JOGG_LONG"))
"""Property tests try all their examples (`nox -s long`); otherwise a tenth of them, 8 at least."""


def examples(count: int) -> settings:
    """Return settings of a property test that drives an event loop.

    Args:
        count: examples in the long run; `JOGG_EXAMPLES` sets another number.
    """
    return settings(
        max_examples=int(os.environ.get("JOGG_EXAMPLES", count if LONG_RUN else max(8, count // 10))),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


def is_valid(row: Any) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is int


def sequential_crawl(
    rows: Sequence[Any],
    page_size: int,
    *,
    start_page: int = 1,
    place: int = 0,
    end_page: int | None = None,
    limit: int | None = None,
) -> list[int]:
    """Return the ids that a crawl with one request at a time yields from an unchanging catalogue.

    Args:
        rows: the catalogue; invalid records in it are skipped.
        page_size: tracks per page.
        start_page: first page to read.
        place: number of records of that page that were yielded before.
        end_page: last page to read.
        limit: maximum number of ids.
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


def pages_of(records: int, page_size: int) -> list[int]:
    """Return the numbers of the pages that hold `records` records."""
    return list(range(1, -(-records // page_size) + 1))


def ids(tracks: Iterable[Track]) -> list[int]:
    return [track.id for track in tracks]


async def ids_from(tracks: AsyncIterable[Track]) -> list[int]:
    return [track.id async for track in tracks]


async def read_into(found: list[int], tracks: AsyncIterable[Track]) -> None:
    """Append ids one by one, so that those before an error are kept."""
    async for track in tracks:
        found.append(track.id)  # noqa: PERF401 (see above)


async def take(pager: TrackPager, count: int) -> list[int]:
    """Take `count` tracks, and return their ids."""
    return [(await anext(pager)).id for _ in range(count)]


def with_pagination(**fields: Any) -> Fault:
    """Return a fault that replaces fields of the pagination; `None` removes a field."""

    def change(envelope: Any) -> None:
        changed = {**envelope["data"]["pagination"], **fields}
        envelope["data"]["pagination"] = {name: value for name, value in changed.items() if value is not None}

    return Fault.patch(change)


async def iterate_loop(count: int = 10) -> None:
    """Let the event loop run this many iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition is true; raise `TimeoutError` after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (the condition has no event)
            await asyncio.sleep(0.001)


class HeldResponses:
    """Hold back the responses of a fake until the test releases them.

    Args:
        fake: it must serve from the event loop of the test.
        pages: the pages to hold back; without any, all pages.
    """

    def __init__(self, fake: FakeJogg, *pages: int) -> None:
        self._held = set(pages) or None
        self._released: set[int] = set()
        self._change = asyncio.Condition()
        fake.on_request = self._wait

    async def _wait(self, seen: RecordedRequest) -> None:
        async with self._change:
            await self._change.wait_for(lambda: self._is_released(seen.page or 0))

    def _is_released(self, page: int) -> bool:
        return page in self._released or (self._held is not None and page not in self._held)

    async def release(self, *pages: int) -> None:
        """Release these pages; without any, all pages from now on."""
        async with self._change:
            if pages:
                self._released.update(pages)
            else:
                self._held = {0}
            self._change.notify_all()


@contextlib.contextmanager
def no_loop_errors() -> Generator[None]:
    """Fail the test if the event loop reports an error, such as an exception that was never retrieved."""
    loop = asyncio.get_running_loop()
    errors: list[str] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: errors.append(repr(context)))
    try:
        yield
        gc.collect()
        assert errors == []
    finally:
        loop.set_exception_handler(before)
