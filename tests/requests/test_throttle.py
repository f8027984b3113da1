from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async._requests.throttle import RequestQueue, Slot, Throttle

from .rate_simulation import VirtualLoop, run

UNLIMITED = 10**6


def now() -> float:
    return asyncio.get_running_loop().time()


class Sender:
    """Send requests through a throttle, and record the time of each."""

    def __init__(self, concurrency: int) -> None:
        self.throttle = Throttle(concurrency)
        self.in_flight = self.most = 0
        self.sent: list[tuple[Any, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, queue: RequestQueue, name: Any = None, *, seconds: float = 1.0, wait: float | None = None) -> None:
        """Start a request that takes `seconds`; with a `wait` it is refused by a rate limit."""
        self.tasks.append(asyncio.get_running_loop().create_task(self._send(queue, name, seconds, wait)))

    async def _send(self, queue: RequestQueue, name: Any, seconds: float, wait: float | None) -> None:
        slot = await self.throttle.acquire(queue)
        self.sent.append((name, now()))
        assert slot.queue is queue
        assert slot.sent_at == now()
        assert not self.throttle.paused
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        assert queue.in_flight <= queue.limit
        try:
            await asyncio.sleep(seconds)
            if wait is None:
                self.throttle.on_success()
            else:
                self.throttle.on_rate_limited(slot, wait)
        finally:
            self.in_flight -= 1
            self.throttle.release(slot)

    async def all(self) -> None:
        await asyncio.gather(*self.tasks)

    @property
    def names(self) -> list[Any]:
        return [name for name, _ in self.sent]


SECONDS = st.sampled_from([0.0, 0.125, 0.5, 2.0])
REQUEST = st.tuples(st.integers(0, 3), SECONDS, SECONDS)


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=4, max_size=4), st.lists(REQUEST, max_size=40))
def test_requests_in_flight_never_exceed_the_concurrency(
    concurrency: int, limits: list[int], requests: list[tuple[int, float, float]]
) -> None:
    async def main() -> None:
        sender = Sender(concurrency)
        queues = [RequestQueue(limit) for limit in limits]
        for queue, before, seconds in requests:
            await asyncio.sleep(before)
            sender.send(queues[queue], seconds=seconds)
        await sender.all()
        assert sender.most <= concurrency
        assert len(sender.sent) == len(requests)
        assert sender.throttle._in_flight == sum(queue.in_flight for queue in queues) == 0

    run(main())


@pytest.mark.parametrize(
    ("concurrency", "limit", "seconds"), [(1, 9, 12), (3, 9, 4), (4, 3, 4), (9, 1, 12), (12, 12, 1)]
)
def test_no_slot_stays_free_while_requests_wait(concurrency: int, limit: int, seconds: float) -> None:
    async def main() -> None:
        sender, queue = Sender(concurrency), RequestQueue(limit)
        for number in range(12):
            sender.send(queue, number)
        await sender.all()
        assert sender.most == min(concurrency, limit)
        assert now() == pytest.approx(seconds)

    run(main())


@pytest.mark.parametrize("concurrency", [1, 4])
def test_single_request_beside_a_crawl_is_sent_within_two_requests(concurrency: int) -> None:
    async def main() -> None:
        sender, crawl = Sender(concurrency), RequestQueue(UNLIMITED)
        for _ in range(100):
            sender.send(crawl, "crawl")
        await asyncio.sleep(3.5)
        before = len(sender.sent)
        sender.send(RequestQueue(1), "single")
        await sender.all()
        assert sender.names.index("single") - before < 2
        assert len(sender.sent) == 101

    run(main())


def test_slots_rotate_between_queues() -> None:
    async def main() -> None:
        sender, queues = Sender(1), {name: RequestQueue(UNLIMITED) for name in "abc"}
        for name, queue in queues.items():
            for _ in range(20):
                sender.send(queue, name)
        await sender.all()
        for place in range(4, 59):
            assert set(sender.names[place - 3 : place]) == set("abc")

    run(main())


def test_requests_of_one_queue_are_sent_in_order() -> None:
    async def main() -> None:
        sender, queue = Sender(2), RequestQueue(UNLIMITED)
        for number in range(9):
            sender.send(queue, number)
        await asyncio.sleep(0.5)
        for number in (3, 6):
            sender.tasks[number].cancel()
        sender.send(queue, 9)
        await asyncio.gather(*sender.tasks, return_exceptions=True)
        assert sender.names == [0, 1, 2, 4, 5, 7, 8, 9]

    run(main())


def test_new_request_does_not_overtake_a_waiting_one() -> None:
    order: list[str] = []

    async def wait(throttle: Throttle, queue: RequestQueue) -> None:
        slot = await throttle.acquire(queue)
        order.append("waiting")
        throttle.release(slot)

    async def main() -> None:
        throttle, queue = Throttle(1), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        waiting = asyncio.create_task(wait(throttle, queue))
        await asyncio.sleep(0)
        throttle.release(slot)
        new = await throttle.acquire(queue)
        order.append("new")
        throttle.release(new)
        await waiting

    run(main())
    assert order == ["waiting", "new"]


def test_entering_backoff_notifies_the_owner_of_the_queue() -> None:
    notified: list[int] = []
    queue = RequestQueue(3)
    queue.on_backoff = lambda: notified.append(queue.limit + queue.in_backoff)
    assert (queue.limit + queue.in_backoff) == 3
    queue.enter_backoff()
    queue.enter_backoff()
    assert notified == [4, 5]
    queue.leave_backoff()
    assert ((queue.limit + queue.in_backoff), queue.limit, notified) == (4, 3, [4, 5])


@pytest.mark.parametrize(("limit", "failures"), [(1, 2), (2, 2), (8, 8)])
def test_failures_in_a_row_stop_the_replacement_of_requests_in_backoff(limit: int, failures: int) -> None:
    queue = RequestQueue(limit)
    for number in range(1, failures):
        queue.enter_backoff()
        assert queue.replaceable == number
    queue.enter_backoff()
    assert queue.replaceable == 0
    queue.leave_backoff()
    queue.on_success()
    assert queue.replaceable == failures - 1


def test_queue_is_healthy_from_a_success_until_failures_in_a_row() -> None:
    queue = RequestQueue(2)
    states = [queue.is_healthy]
    for event in (queue.on_success, queue.enter_backoff, queue.enter_backoff, queue.on_success):
        event()
        states.append(queue.is_healthy)
    assert states == [False, True, True, False, True]


CANCELS = st.lists(st.tuples(st.integers(0, 30), SECONDS), max_size=30)


@settings(deadline=None)
@given(st.integers(1, 4), st.lists(REQUEST, min_size=1, max_size=31), CANCELS, st.sets(st.integers(0, 30), max_size=3))
def test_cancelled_requests_leak_no_slot(
    concurrency: int, requests: list[tuple[int, float, float]], cancels: list[tuple[int, float]], refused: set[int]
) -> None:
    async def main() -> None:
        sender, queues = Sender(concurrency), [RequestQueue(limit) for limit in (1, 2, 3, UNLIMITED)]
        for place, (queue, _, seconds) in enumerate(requests):
            sender.send(queues[queue], seconds=seconds, wait=0.5 if place in refused else None)
        for place, seconds in cancels:
            await asyncio.sleep(seconds / 4)
            sender.tasks[place % len(requests)].cancel()
        await asyncio.gather(*sender.tasks, return_exceptions=True)
        assert not [task for task in sender.tasks if not task.cancelled() and task.exception()]
        assert sender.throttle._in_flight == sum(queue.in_flight for queue in queues) == 0
        sender.tasks, sender.most, fresh_queue = [], 0, RequestQueue(UNLIMITED)
        for number in range(2 * concurrency):
            sender.send(fresh_queue, number)
        async with asyncio.timeout(600):
            await sender.all()
        assert refused or sender.most == concurrency

    run(main())


def test_retry_goes_before_new_requests_of_every_queue() -> None:
    order: list[str] = []

    async def wait(throttle: Throttle, queue: RequestQueue, name: str, *, retry: bool = False) -> None:
        slot = await throttle.acquire(queue, retry=retry)
        order.append(name)
        throttle.release(slot)

    async def main() -> None:
        throttle, one, other = Throttle(1), RequestQueue(UNLIMITED), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(one)
        async with asyncio.TaskGroup() as tasks:
            for number in (1, 2):
                tasks.create_task(wait(throttle, one, f"one, new {number}"))
                tasks.create_task(wait(throttle, other, f"other, new {number}"))
            await asyncio.sleep(0)
            tasks.create_task(wait(throttle, other, "other, retry", retry=True))
            tasks.create_task(wait(throttle, other, "other, second retry", retry=True))
            await asyncio.sleep(0)
            throttle.release(slot)

    run(main())
    # A queue is moved to the front for one retry; the next one keeps to the rotation.
    assert order == [
        "other, retry",
        "one, new 1",
        "other, second retry",
        "one, new 2",
        "other, new 1",
        "other, new 2",
    ]


def test_cancelled_retry_holds_no_slot() -> None:
    async def main() -> None:
        throttle, queue = Throttle(1), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        retry = asyncio.create_task(throttle.acquire(queue, retry=True))
        new = await wait_for_a_slot(throttle, queue)
        await cancel(retry)
        throttle.release(slot)
        throttle.release(await new)
        assert throttle._in_flight == 0

    run(main())


def test_refused_request_joins_its_queue_before_the_pause_ends() -> None:
    async def main() -> None:
        throttle, queue = Throttle(1), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        throttle.on_rate_limited(slot, 2.0)
        throttle.release(slot)
        assert throttle.time_in_backoff(2.0) == pytest.approx(1.995)
        assert throttle.time_in_backoff(0.001) == 0.0
        assert throttle.time_in_backoff(2.5) == 2.5  # longer than the pause

    run(main())


def test_slot_granted_to_a_cancelled_request_is_released() -> None:
    async def main() -> None:
        throttle, queue = Throttle(1), RequestQueue(UNLIMITED)
        first = await throttle.acquire(queue)
        waiting = [asyncio.create_task(throttle.acquire(queue)) for _ in range(2)]
        await asyncio.sleep(0)
        throttle.release(first)
        asyncio.get_running_loop().call_soon(waiting[0].cancel)  # granted by then, and not awake yet
        slot = await waiting[1]
        assert waiting[0].cancelled()
        assert (throttle._in_flight, queue.in_flight) == (1, 1)
        throttle.release(slot)

    run(main())


def test_rate_limit_pauses_all_queues_for_its_wait() -> None:
    async def main() -> None:
        sender, queue = Sender(4), RequestQueue(UNLIMITED)
        sender.send(queue, 0, seconds=1.0, wait=5.0)
        await asyncio.sleep(0.5)
        for number in range(1, 9):
            sender.send(queue, number, seconds=1.0)  # three of them at once
        await asyncio.sleep(1.0)
        assert sender.throttle.paused == pytest.approx(4.5)
        sender.send(RequestQueue(1), 1)
        await sender.all()
        held = [at for _, at in sender.sent[4:]]
        assert [at for _, at in sender.sent[:4]] == [0, 0.5, 0.5, 0.5]
        assert held[0] == pytest.approx(6.0)
        assert len(held) == 6
        assert sender.throttle.paused == 0

    run(main())


async def grant_beside_a_request_in_flight() -> tuple[Throttle, Slot, asyncio.Task[Slot]]:
    """Return a throttle at second 1, the slot of a request in flight, and a request that was just granted a slot."""
    throttle, queue = Throttle(2), RequestQueue(UNLIMITED)
    done, in_flight = await throttle.acquire(queue), await throttle.acquire(queue)
    await asyncio.sleep(1)
    waiting = await wait_for_a_slot(throttle, queue)
    throttle.release(done)
    return throttle, in_flight, waiting


def test_pause_that_begins_after_a_grant_holds_the_request_back() -> None:
    async def main() -> None:
        throttle, refused, waiting = await grant_beside_a_request_in_flight()
        for call in (partial(throttle.on_rate_limited, refused, 3.0), partial(throttle.release, refused)):
            asyncio.get_running_loop().call_soon(call)  # after the grant, and before the task wakes up
        slot = await waiting
        assert slot.sent_at == now() == pytest.approx(4.0)
        throttle.release(slot)
        assert throttle._in_flight == 0

    run(main())


def test_responses_that_arrive_together_are_processed_before_the_next_request_is_sent() -> None:
    async def main() -> None:
        throttle, refused, waiting = await grant_beside_a_request_in_flight()
        throttle.on_rate_limited(refused, 3.0)
        throttle.release(refused)
        assert (await waiting).sent_at == pytest.approx(4.0)

    run(main())


def test_rate_limit_halves_the_number_in_flight_and_success_raises_it_again() -> None:
    async def main() -> None:
        sender, queue = Sender(8), RequestQueue(UNLIMITED)

        async def most(requests: int, seconds: float, wait: float | None = None) -> int:
            sender.most, sender.tasks = 0, []
            for _ in range(requests):
                sender.send(queue, seconds=seconds, wait=wait)
            await sender.all()
            return sender.most

        assert await most(80, 0.01) == 8
        assert await most(8, 1.0, wait=1.0) == 8  # refusals of the same burst count once
        assert await most(4, 1.0) == 4
        assert await most(8, 1.0) == 5
        assert await most(400, 1.0) == 8

    run(main())


def test_one_request_stays_in_flight_after_many_refusals() -> None:
    async def main() -> None:
        sender, queue = Sender(4), RequestQueue(UNLIMITED)
        for number in range(8):
            sender.send(queue, number, wait=0.1)
            await sender.all()
        sender.most = 0
        sender.send(queue, 9)
        await sender.all()
        assert sender.most == 1

    run(main())


def test_throttle_adds_no_delay_without_a_refusal() -> None:
    async def main() -> None:
        sender, queue = Sender(4), RequestQueue(UNLIMITED)
        for number in range(1000):
            sender.send(queue, number, seconds=0.25)
        await sender.all()
        assert now() == pytest.approx(1000 / 4 * 0.25)

    run(main())


@pytest.mark.parametrize("tick", [0.0, *[pytest.param(tick) for tick in (1 / 64, 0.1)]])
@pytest.mark.parametrize("wait", [0.3, 1.0, 2.7])
def test_coarse_clock_does_not_stop_the_throttle(tick: float, wait: float) -> None:
    """A loop runs a timer up to one tick of its clock early: 1/64 s on Windows."""

    async def main() -> None:
        sender, queue = Sender(2), RequestQueue(UNLIMITED)
        sender.send(queue, 0, seconds=0.05, wait=wait)
        await sender.all()
        for number in range(1, 20):
            sender.send(queue, number, seconds=0.05)
        async with asyncio.timeout(120):
            await sender.all()

    run(main(), tick)


class CoarseHandles(VirtualLoop):
    """Loop whose timers have a plain handle where the delay is short, like uvloop's."""

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        if when - self.time() < 0.0005:
            self._skip.now += 0.00025
            return self.call_soon(callback, *args, context=context)
        return super().call_at(when, callback, *args, context=context)


def test_throttle_works_with_timer_handles_without_a_time() -> None:
    async def main() -> None:
        throttle, queue = Throttle(9), RequestQueue(UNLIMITED)
        throttle.on_rate_limited(await throttle.acquire(queue), 0.0004)
        # Both wait while the short timer is set.
        slots = await asyncio.gather(throttle.acquire(queue), throttle.acquire(queue))
        assert throttle._in_flight == 1 + len(slots)

    with asyncio.Runner(loop_factory=CoarseHandles) as runner:
        runner.run(main())


def timers() -> list[float]:
    """Return the times of the loop's timers that are not cancelled."""
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sorted(timer.when() for timer in scheduled if not timer.cancelled())


async def wait_for_a_slot(throttle: Throttle, queue: RequestQueue) -> asyncio.Task[Slot]:
    waiting = asyncio.create_task(throttle.acquire(queue))
    await asyncio.sleep(0)
    return waiting


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_closed_throttle_leaves_no_timer() -> None:
    async def main() -> None:
        throttle, queue = Throttle(9), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        throttle.on_rate_limited(slot, 60.0)
        waiting = await wait_for_a_slot(throttle, queue)
        assert timers() == [60.0]
        throttle.close()
        assert timers() == []
        await cancel(waiting)

    run(main())


def test_closed_throttle_grants_no_slot() -> None:
    async def main() -> None:
        throttle, queue = Throttle(1), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        waiting = await wait_for_a_slot(throttle, queue)
        throttle.release(slot)  # schedules the next grant
        throttle.close()
        assert throttle._dispatching is not None
        assert throttle._dispatching.cancelled()
        await asyncio.sleep(1)
        assert not waiting.done()
        await cancel(waiting)

    run(main())


def test_many_waiting_requests_share_one_timer() -> None:
    async def main() -> None:
        throttle, queue = Throttle(9), RequestQueue(UNLIMITED)
        slot = await throttle.acquire(queue)
        throttle.on_rate_limited(slot, 10.0)
        waiting = [await wait_for_a_slot(throttle, queue) for _ in range(5)]
        assert timers() == [10.0]
        throttle.on_rate_limited(slot, 20.0)
        waiting.append(await wait_for_a_slot(throttle, queue))
        assert timers() == [10.0]  # it fires early once, and is set again
        await asyncio.sleep(15)
        assert timers() == [20.0]
        await cancel(*waiting)

    run(main())


def test_earlier_time_replaces_a_later_timer() -> None:
    async def main() -> None:
        throttle, queue = Throttle(9), RequestQueue(UNLIMITED)
        throttle._rate._search = 0.01  # a request every hundred seconds
        slot = await throttle.acquire(queue)
        waiting = [await wait_for_a_slot(throttle, queue)]
        assert timers()[0] > 90
        throttle.on_rate_limited(slot, 5.0)
        waiting.append(await wait_for_a_slot(throttle, queue))
        assert timers() == [5.0]
        await cancel(*waiting)

    run(main())


@pytest.mark.parametrize(("requests", "concurrency", "share"), [(300, 8, 2.0), (300, 16, 2.0), (1500, 8, 1.25)])
def test_throttled_crawl_through_a_token_bucket_is_near_the_ideal_time(
    requests: int, concurrency: int, share: float
) -> None:
    async def main() -> None:
        throttle, queue, chance = Throttle(concurrency), RequestQueue(UNLIMITED), random.Random(concurrency)
        tokens, filled_at, refusals, sent = 10.0, 0.0, 0, 0

        async def send(number: int) -> None:
            nonlocal tokens, filled_at, refusals, sent
            while True:
                slot = await throttle.acquire(queue)
                sent += 1
                await asyncio.sleep(chance.uniform(0.0025, 0.025))
                tokens, filled_at = min(10.0, tokens + 50 * (now() - filled_at)), now()
                taken = tokens >= 1
                tokens -= taken
                await asyncio.sleep(chance.uniform(0.0025, 0.025))
                if taken:
                    throttle.on_success()
                    throttle.release(slot)
                    return
                refusals += 1
                throttle.on_rate_limited(slot, 1.0)
                throttle.release(slot)
                await asyncio.sleep(1.0)

        await asyncio.gather(*map(send, range(requests)))
        assert now() <= share * (requests - 10) / 50
        assert refusals <= (0.05 if concurrency == 8 else 0.1) * sent

    run(main())
