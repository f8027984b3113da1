"""State machine over sessions and pagers, compared with `sequential_crawl`.

It runs on a `SteppingLoop`, so that a cancellation can happen before any callback, and waits take no time.
`JOGG_EXAMPLES=2000` makes a long run of it.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import logging
import warnings
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jogg_async import (
    CatalogueChangedWarning,
    JoggSession,
    Page,
    RetryPolicy,
    SessionClosedError,
    TrackPager,
)
from jogg_async.testing import FakeJogg, Fault
from tests.consumer import FAILURES, Consumer, Drift, Row
from tests.model import REJECTED, TRANSIENT, examples, ids, is_valid
from tests.stepping import SteppingLoop, cancelled, counted_task, eventually

T = TypeVar("T")

TWICE: Final = RetryPolicy(attempts=2, wait_initial=0.1, wait_jitter=0.0)
FAULTS: Final = (
    REJECTED,
    TRANSIENT,
    Fault.html(503),
    Fault.truncate(),
    Fault.slow(0.2),
    Fault.business(429, retry_after=0.5),
)
MAX_CHANGES: Final = 4
"""Most changes of the catalogue in one example: fewer than the passes of `on_drift="recrawl"`."""

MAX_OPEN_SESSIONS: Final = 2
"""Most sessions open at once."""

MIN_CONSUMERS: Final = 2
"""Number of pagers kept before some are closed: with fewer, an example soon has nothing left to do."""


class Sessions(RuleBasedStateMachine):
    """Sessions and pagers on one fake, and the events that happen to them."""

    sessions: Bundle[JoggSession] = Bundle("sessions")
    consumers: Bundle[Consumer] = Bundle("consumers")
    counters: Final = collections.Counter[str]()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=SteppingLoop)
        loop = self.runner.get_loop()
        loop.set_debug(False)
        self.loop_errors: list[str] = []
        loop.set_exception_handler(lambda _, context: self.loop_errors.append(repr(context)))
        self.fake = FakeJogg([])
        self.server: set[asyncio.Task[Any]] = set()
        self.open: list[JoggSession] = []
        self.concurrency: dict[JoggSession, int] = {}
        self.all: list[Consumer] = []
        self.rows: list[Row] = []
        self.changes = 0
        self.cancelled_requests = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def main() -> T:
            async with asyncio.timeout(1000):
                return await counted_task(work)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", CatalogueChangedWarning)
            return self.runner.run(main())

    # Events

    @initialize(
        target=sessions,
        count=st.sampled_from([120, 120, 40, 8, 0]),
        odd=st.dictionaries(st.integers(0, 59), st.integers(0, 9), max_size=3),
        concurrency=st.integers(1, 4),
    )
    def begin(self, count: int, odd: dict[int, int], concurrency: int) -> JoggSession:
        """Start with a catalogue in which a few records have a repeated id, or none."""
        self.counters["examples"] += 1
        numbers = [odd.get(index, index + 1) for index in range(count)]
        self.rows = [{"id": number or "none"} for number in numbers]
        self.fake = FakeJogg(self.rows)
        self.runner.run(self.fake.start())
        self.server = asyncio.all_tasks(self.runner.get_loop())
        return self.session(concurrency)

    def session(self, concurrency: int) -> JoggSession:
        jogg = JoggSession(self.fake.api_key, base_url=self.fake.url, retry=TWICE, concurrency=concurrency)
        self.open.append(jogg)
        self.concurrency[jogg] = concurrency
        return jogg

    @precondition(lambda self: len(self.open) < MAX_OPEN_SESSIONS)
    @rule(target=sessions, concurrency=st.integers(1, 4))
    def open_session(self, concurrency: int) -> JoggSession:
        return self.session(concurrency)

    @rule(
        target=consumers,
        jogg=sessions,
        page_size=st.sampled_from([1, 1, 2, 3, 8]),
        ordered=st.booleans(),
        concurrency=st.sampled_from([1, 1, 2, 5, None]),
        limit=st.none() | st.integers(0, 30),
        on_drift=st.sampled_from(["ignore", "warn", "raise", "recrawl"]),
    )
    def start(  # noqa: PLR0917 (what hypothesis draws)
        self,
        jogg: JoggSession,
        page_size: int,
        ordered: bool,
        concurrency: int | None,
        limit: int | None,
        on_drift: Drift,
    ) -> Any:
        if jogg.closed:
            return multiple()
        name = str(len(self.all))
        if not ordered:
            limit = None  # it is not specified which tracks come first
        pager = jogg.tracks(
            page_size=page_size,
            ordered=ordered,
            concurrency=concurrency,
            limit=limit,
            on_drift=on_drift,
            on_invalid="skip",
            params={"name": name},
        )
        bound = concurrency or self.concurrency[jogg]
        consumer = Consumer(name, self.counters, pager, jogg, bound, page_size, ordered, on_drift, limit)
        consumer.ended = limit == 0
        return self.add(consumer)

    def add(self, consumer: Consumer) -> Consumer:
        consumer.set_catalogue(self.rows)
        self.all.append(consumer)
        return consumer

    @rule(target=consumers, consumer=consumers, jogg=sessions)
    def resume(self, consumer: Consumer, jogg: JoggSession) -> Any:
        if jogg.closed or consumer.pager is None:
            return multiple()
        saved, name = consumer.pager.checkpoint(), str(len(self.all))
        saved["filters"]["name"] = name
        pager = jogg.tracks(resume=saved, on_drift="ignore", on_invalid="skip")
        resumed = Consumer(name, self.counters, pager, jogg, self.concurrency[jogg], saved["page_size"])
        resumed.start_page, resumed.place = saved["page"], saved["place"]
        resumed.limit = saved["limit"]
        resumed.ended = resumed.limit == 0
        self.add(resumed)
        if len(consumer.expected) == 1:
            # A checkpoint holds no ids: one that is twice in the catalogue may come again, and counts for the limit.
            repeated = set(consumer.yielded) & set(resumed.expected[0])
            missing = set(consumer.expected[0]) - {*consumer.yielded, *resumed.expected[0]}
            assert len(missing) <= (0 if consumer.limit is None else len(repeated))
        return resumed

    @rule(consumer=consumers, count=st.integers(1, 30))
    def step(self, consumer: Consumer, count: int) -> None:
        if consumer.pager is not None:
            self.run(self.steps(consumer, count))

    async def steps(self, consumer: Consumer, count: int) -> None:
        for _ in range(count):
            await consumer.step()

    @rule(consumer=consumers, point=st.integers(0, 40))
    def cancel(self, consumer: Consumer, point: int) -> None:
        """Cancel a step before a callback."""
        if consumer.pager is not None:
            self.run(self.cancel_at(consumer.step(), point))

    async def cancel_at(self, work: Coroutine[Any, Any, Any], point: int) -> None:
        outcome = await cancelled(work, point)
        self.counters["cancelled"] += outcome.interrupted
        if outcome.error is not None:
            raise outcome.error

    @rule(several=st.lists(consumers, min_size=2, max_size=4), jogg=sessions, number=st.integers(1, 9))
    def step_concurrently(self, several: list[Consumer], jogg: JoggSession, number: int) -> None:
        """Run steps of several pagers, a page and a count at once."""
        self.run(self.concurrent_steps(several, jogg, number))

    async def concurrent_steps(self, several: list[Consumer], jogg: JoggSession, number: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.check_page_and_count(jogg, number))
            for consumer in {each.name: each for each in several if each.pager is not None}.values():
                group.create_task(consumer.step())

    async def check_page_and_count(self, jogg: JoggSession, number: int) -> None:
        was_closed = jogg.closed
        try:
            page, count = await asyncio.gather(jogg.page(number, page_size=3, on_invalid="skip"), jogg.count())
        except FAILURES:
            return
        except SessionClosedError:
            assert was_closed
            return
        rows = self.rows[3 * number - 3 : 3 * number]
        assert ids(page.tracks) == [row["id"] for row in rows if is_valid(row)]
        assert count == len(self.rows)

    @rule(jogg=sessions, number=st.integers(1, 9), point=st.integers(0, 25))
    def cancel_a_page(self, jogg: JoggSession, number: int, point: int) -> None:
        self.cancelled_requests = True

        async def page() -> Page | None:
            try:
                return await jogg.page(number, on_invalid="skip")
            except (*FAILURES, SessionClosedError):
                return None

        self.run(self.cancel_at(page(), point))

    @rule(fault=st.sampled_from(FAULTS), page=st.none() | st.integers(1, 9), times=st.integers(1, 4))
    def fail(self, fault: Fault, page: int | None, times: int) -> None:
        self.fake.fail(fault, page=page, times=times)

    @precondition(lambda self: self.changes < MAX_CHANGES)
    @rule(index=st.integers(0, 60))
    def change(self, index: int) -> None:
        """Insert a track."""
        self.changes += 1
        place = min(index, len(self.rows))
        self.rows = [*self.rows[:place], {"id": 100 + self.changes}, *self.rows[place:]]
        self.fake.catalogue.insert(place, track=self.rows[place])
        for consumer in self.all:
            if not consumer.ended:
                consumer.set_catalogue(self.rows)

    @rule(seconds=st.sampled_from([0.0, 0.05, 1.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: len(self.all) > MIN_CONSUMERS)
    @rule(consumer=consumes(consumers))
    def drop(self, consumer: Consumer) -> None:
        """Drop the only reference to the pager."""
        self.cancelled_requests = True
        consumer.pager = None

    @precondition(lambda self: len(self.all) > MIN_CONSUMERS)
    @rule(consumer=consumers, point=st.none() | st.integers(0, 12))
    def close(self, consumer: Consumer, point: int | None) -> None:
        if consumer.pager is not None:
            self.cancelled_requests = True
            self.run(self.closing(consumer, consumer.pager, point))

    async def closing(self, consumer: Consumer, pager: TrackPager, point: int | None) -> None:
        async def aclose() -> None:
            consumer.closed = True
            await pager.aclose()

        await (aclose() if point is None else self.cancel_at(aclose(), point))

    @precondition(lambda self: len(self.all) > 2 * MIN_CONSUMERS)
    @rule(jogg=consumes(sessions), point=st.none() | st.integers(0, 25))
    def close_session(self, jogg: JoggSession, point: int | None) -> None:
        self.cancelled_requests = True
        self.run(jogg.aclose() if point is None else self.cancel_at(jogg.aclose(), point))
        if point is None:
            assert jogg.closed
        if jogg.closed and jogg in self.open:
            self.open.remove(jogg)

    # Invariants

    @invariant()
    def consumers_have_yielded_expected_tracks(self) -> None:
        self.counters["steps"] += 1
        requested: dict[str, list[int]] = {}
        for request in self.fake.requests:
            requested.setdefault(request.query.get("name", ""), []).append(request.page or 0)
        for consumer in self.all:
            consumer.check(requested.get(consumer.name, []))

    @invariant()
    def requests_in_flight_are_within_the_concurrency(self) -> None:
        for jogg, concurrency in self.concurrency.items():
            assert jogg._fetcher is None or jogg._fetcher.throttle._in_flight <= concurrency
        if not self.cancelled_requests:  # the fake may notice late that a client is gone
            assert self.fake.max_in_flight <= sum(self.concurrency.values())

    def teardown(self) -> None:
        try:
            self.run(self.end())
            gc.collect()
            gc.freeze()  # what hypothesis keeps of each example would make the next collection slower
            assert self.loop_errors == []
        finally:
            self.runner.run(self.fake.close())
            self.runner.close()

    async def end(self) -> None:
        self.fake._faults.clear()
        for consumer in self.all[::2]:
            if consumer.pager is not None:
                await consumer.read_all()
                assert consumer.ended or consumer.closed or consumer.jogg.closed
        self.consumers_have_yielded_expected_tracks()
        for jogg in self.concurrency:
            await jogg.aclose()
        for consumer in self.all:
            if consumer.pager is not None and not (consumer.ended or consumer.closed):
                # A crawl that yielded its last track before the session closed is complete.
                with pytest.raises((SessionClosedError, StopAsyncIteration)) as caught:
                    await anext(consumer.pager)
                if caught.type is StopAsyncIteration:
                    consumer.end()
        here = asyncio.current_task()
        await eventually(lambda: self.fake.open_connections == 0)
        await eventually(lambda: len(asyncio.all_tasks() - self.server - {here}) == 1)  # the task that runs `end`


def test_sessions_and_pagers_match_the_model_in_any_order_of_events(frozen_heap: None) -> None:
    Sessions.counters.clear()
    run_state_machine_as_test(Sessions, settings=settings(examples(90), stateful_step_count=40))
    logging.getLogger(__name__).info("%s", dict(Sessions.counters))
