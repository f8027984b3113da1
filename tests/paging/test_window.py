"""Window of numbered jobs, without HTTP: each job waits for a future that the test resolves."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async import JoggError
from jogg_async._paging.window import Window
from tests.model import examples, iterate_loop, no_loop_errors


class BrokenError(Exception):
    """Raised by a job that the test lets fail."""


class WindowHarness:
    """A window whose jobs finish or fail when the test says so, with a record of what it did.

    `_job` checks the bounds of the window whenever it starts a job.
    """

    def __init__(
        self, last: float, *, ahead: int = 4, ordered: bool = True, max_outstanding: float = math.inf, width: int = 99
    ) -> None:
        self.running: dict[int, asyncio.Future[int]] = {}
        self.started: list[int] = []
        self.received: list[int] = []
        self.taken: list[int] = []
        self.failed: list[int] = []
        self.width = width
        self.step: asyncio.Task[None] | None = None
        self.ended = False
        self._ahead = ahead
        self.replaceable = 0
        self.window: Window[int] = Window(
            self._job,
            lambda number, _: self.received.append(number),
            width=width,
            replaceable=lambda: self.replaceable,
            ahead=ahead,
            ordered=ordered,
        )
        self.window.max_outstanding = max_outstanding
        self.window.start(1, last)

    def _job(self, number: int) -> Any:
        assert number not in self.running
        assert number not in self.buffered
        assert number <= self.window.last
        assert number < self.window.lowest + self._ahead
        assert len(self.running) < self.width + self.replaceable
        self.started.append(number)
        self.running[number] = asyncio.get_running_loop().create_future()
        assert number == self.window.lowest or len(self.running) + len(self.buffered) <= self.window.max_outstanding
        return self._fetch(number, self.running[number])

    async def _fetch(self, number: int, result: asyncio.Future[int]) -> int:
        try:
            return await result
        finally:
            if self.running.get(number) is result:
                del self.running[number]

    @property
    def buffered(self) -> list[int]:
        """Results that were not taken yet."""
        return [number for number in self.received if number not in self.taken]

    def take(self) -> None:
        """Start to take a result, unless a step is waiting already."""
        if self.step is None or self.step.done():
            self.step = asyncio.create_task(self._take())

    async def _take(self) -> None:
        try:
            taken = await self.window.get()
        except BrokenError as error:
            (number,) = error.args
            self.failed.append(number)
            return
        if taken is None:
            self.ended = True
        else:
            assert taken == (taken[0], taken[0] * 10)
            self.taken.append(taken[0])
            self.window.fill()

    def finish(self, number: int) -> None:
        self.running[number].set_result(number * 10)

    def fail(self, number: int) -> None:
        self.running[number].set_exception(BrokenError(number))

    async def settle(self) -> None:
        await iterate_loop(8)


async def drained(harness: WindowHarness) -> list[int]:
    """Finish every job, take every result, and return the numbers taken."""
    async with asyncio.timeout(5):
        while not harness.ended:
            harness.take()
            for number in list(harness.running):
                harness.finish(number)
            await harness.settle()
    return harness.taken


MOVES = st.lists(st.tuples(st.sampled_from(["finish", "fail", "take", "cancel"]), st.integers(0, 9)), max_size=40)


@examples(100)
@given(
    last=st.integers(0, 12),
    ahead=st.integers(1, 6),
    max_outstanding=st.one_of(st.just(math.inf), st.integers(1, 5)),
    width=st.integers(1, 5),
    ordered=st.booleans(),
    moves=MOVES,
)
async def test_each_number_is_returned_once_whatever_finishes_fails_or_is_cancelled(  # noqa: PLR0917 (what hypothesis draws)
    last: int, ahead: int, max_outstanding: float, width: int, ordered: bool, moves: list[tuple[str, int]]
) -> None:
    with no_loop_errors():
        harness = WindowHarness(last, ahead=ahead, ordered=ordered, max_outstanding=max_outstanding, width=width)
        broken: set[int] = set()
        for move, choice in moves:
            numbers = sorted(harness.running)
            if move == "take":
                harness.take()
            elif move == "cancel" and harness.step is not None:
                harness.step.cancel()
            elif numbers and move == "finish":
                harness.finish(numbers[choice % len(numbers)])
            elif numbers and move == "fail":
                broken.add(numbers[choice % len(numbers)])
                harness.fail(numbers[choice % len(numbers)])
            await harness.settle()
            if ordered:
                assert harness.taken == list(range(1, len(harness.taken) + 1))
        taken = await drained(harness)
        assert sorted(taken) == list(range(1, last + 1))
        assert broken == set(harness.failed)
        for number in broken:
            assert harness.started.count(number) == 1 + harness.failed.count(number)
        assert len(harness.started) == last + len(harness.failed)
        await harness.window.aclose()


@examples(60)
@given(
    ahead=st.integers(1, 8),
    max_outstanding=st.integers(1, 8),
    width=st.integers(1, 4),
    ordered=st.booleans(),
    order=st.lists(st.integers(0, 7), min_size=8, max_size=8),
)
async def test_next_job_starts_before_the_result_of_a_finished_one_is_taken(
    ahead: int, max_outstanding: int, width: int, ordered: bool, order: list[int]
) -> None:
    harness = WindowHarness(50, ahead=ahead, ordered=ordered, max_outstanding=max_outstanding, width=width)
    harness.window.fill()
    assert len(harness.started) == min(ahead, max_outstanding, width)
    for finished, choice in enumerate(order, 1):
        if harness.running:
            harness.finish(sorted(harness.running)[choice % len(harness.running)])
            await harness.settle()
            # Results that were not taken still count for `ahead` and `max_outstanding`, but not for `width`.
            assert len(harness.started) == min(ahead, max_outstanding, width + finished)
    assert harness.taken == []
    await harness.window.aclose()


async def test_a_slow_first_job_does_not_stop_the_others() -> None:
    harness = WindowHarness(100, ahead=10)
    harness.take()
    await harness.settle()
    for number in range(2, 11):
        harness.finish(number)
    await harness.settle()
    assert (harness.taken, harness.started) == ([], list(range(1, 11)))
    harness.finish(1)
    await harness.settle()
    assert (harness.taken, harness.started) == ([1], list(range(1, 12)))
    await harness.window.aclose()


async def test_error_is_raised_after_the_results_below_it_and_its_job_alone_is_retried() -> None:
    harness = WindowHarness(6, ahead=6)
    harness.window.fill()
    harness.fail(3)
    await harness.settle()
    for number in (1, 2, 5):
        harness.finish(number)
    await harness.settle()
    for _ in range(2):
        harness.take()
        await harness.settle()
    assert (harness.taken, harness.failed) == ([1, 2], [])
    harness.take()
    await harness.settle()
    assert harness.failed == [3]
    assert harness.started == [1, 2, 3, 4, 5, 6]
    harness.take()
    await harness.settle()
    assert harness.started == [1, 2, 3, 4, 5, 6, 3]
    assert await drained(harness) == [1, 2, 3, 4, 5, 6]


async def test_no_job_starts_until_an_error_is_raised_and_retried() -> None:
    harness = WindowHarness(9, ahead=3)
    harness.window.fill()
    harness.fail(2)
    await harness.settle()
    harness.finish(1)
    harness.take()
    await harness.settle()
    assert (harness.taken, harness.started) == ([1], [1, 2, 3])
    harness.take()
    await harness.settle()
    harness.finish(3)
    await harness.settle()
    assert (harness.failed, harness.started) == ([2], [1, 2, 3])
    await harness.window.aclose()


async def test_unordered_window_returns_results_before_an_error() -> None:
    harness = WindowHarness(5, ahead=5, ordered=False)
    harness.window.fill()
    harness.fail(1)
    await harness.settle()
    for number in (4, 2):
        harness.finish(number)
        await harness.settle()
    for _ in range(3):
        harness.take()
        await harness.settle()
    assert (harness.taken, harness.failed) == ([4, 2], [1])
    assert sorted(await drained(harness)) == [1, 2, 3, 4, 5]


@examples(100)
@given(
    ordered=st.booleans(),
    ahead=st.integers(1, 8),
    moves=st.lists(st.tuples(st.sampled_from(["finish", "take", "fail", "last", "discard"]), st.integers(0, 12))),
)
async def test_moving_the_last_number_loses_and_repeats_no_result(
    ordered: bool, ahead: int, moves: list[tuple[str, int]]
) -> None:
    with no_loop_errors():
        harness = WindowHarness(6, ahead=ahead, ordered=ordered)
        for move, choice in moves:
            if harness.ended:
                break  # the last number does not change after the end was reached
            numbers = sorted(harness.running)
            if move == "take":
                harness.take()
            elif move in ("last", "discard"):
                dropped = [number for number in harness.buffered if number > choice and move == "discard"]
                harness.received = [number for number in harness.received if number not in dropped]
                harness.window.set_last(choice, discard=move == "discard")
                await harness.settle()
                assert all(number <= choice for number in harness.running)
                harness.window.fill()
            elif numbers:
                number = numbers[choice % len(numbers)]
                harness.finish(number) if move == "finish" else harness.fail(number)
            await harness.settle()
        taken = await drained(harness)
        assert len(set(taken)) == len(taken)
        assert set(range(1, int(harness.window.last) + 1)) <= set(taken)
        assert sorted(taken) == sorted(harness.received)
        await harness.window.aclose()


async def test_failure_beyond_a_nearer_last_number_does_not_block_the_window() -> None:
    harness = WindowHarness(8, ahead=8)
    harness.window.fill()
    harness.fail(6)
    await harness.settle()
    harness.window.set_last(4)
    await harness.settle()
    harness.window.set_last(8)
    harness.window.fill()
    assert sorted(harness.running) == list(range(1, 9))
    await harness.window.aclose()


@examples(60)
@given(last=st.integers(1, 12), ahead=st.integers(1, 6), finished=st.integers(0, 12), waiting=st.booleans())
async def test_closing_the_window_leaves_no_task(last: int, ahead: int, finished: int, waiting: bool) -> None:
    before = asyncio.all_tasks()
    with no_loop_errors():
        harness = WindowHarness(last, ahead=ahead)
        for _ in range(finished):
            harness.take()
            await harness.settle()
            for number in sorted(harness.running)[:1]:
                harness.finish(number)
            await harness.settle()
        if waiting:
            harness.take()
            await iterate_loop(1)
        taken = len(harness.taken)
        await harness.window.aclose()
        await harness.settle()
        assert asyncio.all_tasks() == before
        assert harness.step is None or harness.step.done()
        assert len(harness.taken) <= taken + 1
        started = len(harness.started)
        harness.window.fill()
        harness.take()
        await harness.settle()
        assert len(harness.started) == started
        await harness.window.aclose()


async def test_closing_the_window_closes_jobs_that_never_ran() -> None:
    before = asyncio.all_tasks()
    harness = WindowHarness(5, ahead=5)
    harness.window.fill()
    await harness.window.aclose()
    assert asyncio.all_tasks() == before


async def test_closing_the_window_while_it_fills_starts_no_more_jobs() -> None:
    """A finalizer closes the window at any point where the garbage collector runs."""
    window: Window[int]
    started: list[int] = []

    def job(number: int) -> Any:
        started.append(number)
        if number == 2:
            window.close()
        return asyncio.sleep(0, number)

    window = Window(job, lambda number, _: None, width=9, replaceable=lambda: 0, ahead=9, ordered=True)
    window.start(1, 9)
    window.fill()
    await window.aclose()
    assert started == [1, 2]


async def test_a_job_cancelled_by_other_code_is_an_error() -> None:
    before = asyncio.all_tasks()
    harness = WindowHarness(2, ahead=2)
    harness.window.fill()
    await harness.settle()
    for job in asyncio.all_tasks() - before:
        job.cancel()
    await harness.settle()
    with pytest.raises(Exception, match="cancelled"):
        await harness.window.get()
    assert await drained(harness) == [1, 2]


async def test_exception_in_on_result_is_raised_in_place_of_the_result() -> None:
    def broken(number: int, _: int) -> None:
        if number == 2:
            raise BrokenError(number)

    async def fetch(number: int) -> int:
        return number

    window: Window[int] = Window(fetch, broken, width=1, replaceable=lambda: 0, ahead=3, ordered=True)
    window.start(1, 3)
    assert await window.get() == (1, 1)
    with pytest.raises(BrokenError):
        await window.get()
    await window.aclose()


async def test_requests_that_fail_at_once_do_not_recurse() -> None:
    """With eager tasks, a request without a free descriptor enters backoff before `create_task` returns."""
    waiting = 0

    def fetch(number: int) -> Any:
        nonlocal waiting
        waiting += number < 4900
        window.fill()
        return asyncio.sleep(0, number)

    window: Window[int] = Window(
        fetch, lambda *_: None, width=100, replaceable=lambda: waiting, ahead=20_000, ordered=True
    )
    window.start(1, 20_000)
    window.fill()
    assert waiting == 4899
    await window.aclose()


async def test_a_request_that_may_be_replaced_lets_another_start() -> None:
    harness = WindowHarness(100, ahead=99, width=3)
    harness.window.fill()
    assert harness.started == [1, 2, 3]
    harness.replaceable = 2
    harness.window.fill()
    assert harness.started == [1, 2, 3, 4, 5]
    harness.replaceable = 0
    harness.finish(1)
    await harness.settle()
    assert harness.started == [1, 2, 3, 4, 5]
    await harness.window.aclose()


async def test_lowest_number_starts_even_if_max_outstanding_is_reached() -> None:
    harness = WindowHarness(6, ahead=6, max_outstanding=6)
    harness.window.fill()
    await harness.settle()
    for number in (4, 5, 6):
        harness.finish(number)
    await harness.settle()
    harness.window.set_last(1)
    harness.window.max_outstanding = 1
    await harness.settle()
    harness.window.set_last(6)
    assert await drained(harness) == [1, 2, 3, 4, 5, 6]


async def test_jobs_cancelled_by_a_lower_last_number_restart_when_it_rises() -> None:
    harness = WindowHarness(9, ahead=9)
    harness.window.fill()
    await harness.settle()
    harness.window.set_last(3)
    await harness.settle()
    assert sorted(harness.running) == [1, 2, 3]
    harness.window.set_last(9)
    harness.window.fill()
    assert sorted(harness.running) == list(range(1, 10))
    assert await drained(harness) == list(range(1, 10))


async def test_window_is_drained_only_after_the_last_number_is_taken() -> None:
    harness = WindowHarness(1)
    assert not harness.window.is_drained
    harness.take()
    await harness.settle()
    assert not harness.window.is_drained
    harness.finish(1)
    await harness.settle()
    assert harness.taken == [1]
    assert harness.window.is_drained


async def test_window_without_a_pass_is_at_its_end() -> None:
    async def fetch(number: int) -> int:
        return number

    window: Window[int] = Window(fetch, lambda *_: None, width=1, replaceable=lambda: 0, ahead=1, ordered=True)
    assert (window.lowest, window.last, window.is_drained) == (1, 0, True)
    assert await window.get() is None


async def test_waiting_consumer_learns_that_the_last_number_fell_below_all_running_ones() -> None:
    harness = WindowHarness(3)
    harness.take()
    await harness.settle()
    harness.window.set_last(0)
    await harness.settle()
    assert harness.ended


@pytest.mark.parametrize("ordered", [True, False])
async def test_received_numbers_do_not_start_again_when_the_last_number_falls_and_rises(ordered: bool) -> None:
    harness = WindowHarness(9, ahead=9, ordered=ordered)
    harness.window.fill()
    for number in (7, 5):
        harness.finish(number)
        await harness.settle()
    harness.take()  # unordered, it takes 7
    await harness.settle()
    harness.window.set_last(3)
    await harness.settle()
    harness.window.set_last(9)
    harness.window.fill()
    assert harness.started == [*range(1, 10), 4, 6, 8, 9]
    taken = await drained(harness)
    assert taken == [*range(1, 10)] if ordered else sorted(taken) == [*range(1, 10)]


async def test_result_taken_beyond_the_last_number_is_not_fetched_again_when_it_rises() -> None:
    harness = WindowHarness(9, ahead=9)
    harness.window.fill()
    for number in (7, 1, 2):
        harness.finish(number)
    await harness.settle()
    harness.window.set_last(3)
    for _ in range(3):
        harness.take()
        await harness.settle()
    assert harness.taken == [1, 2]  # 7 comes after 3
    harness.finish(3)
    await harness.settle()
    harness.take()
    await harness.settle()
    assert harness.taken == [1, 2, 3, 7]
    harness.window.set_last(9)
    harness.window.fill()
    assert harness.started == [*range(1, 10), 4, 5, 6, 8, 9]
    assert await drained(harness) == [1, 2, 3, 7, 4, 5, 6, 8, 9]


async def test_retried_number_does_not_start_twice_when_the_last_number_falls_and_rises() -> None:
    harness = WindowHarness(2)
    harness.window.fill()
    harness.fail(1)
    await harness.settle()
    harness.take()
    await harness.settle()
    assert harness.failed == [1]
    harness.window.set_last(0)
    harness.window.set_last(2)
    await harness.settle()
    harness.take()
    await harness.settle()
    assert harness.started == [1, 2, 1, 2]
    assert await drained(harness) == [1, 2]


async def test_number_that_becomes_the_last_one_still_starts() -> None:
    harness = WindowHarness(9, width=2)
    harness.window.fill()
    harness.window.set_last(3)
    assert await drained(harness) == [1, 2, 3]


async def test_results_beyond_a_last_number_that_stays_are_discarded_on_request() -> None:
    harness = WindowHarness(4)
    harness.window.fill()
    harness.finish(4)
    await harness.settle()
    harness.window.set_last(2)
    harness.window.set_last(2, discard=True)
    await harness.settle()
    assert await drained(harness) == [1, 2]


async def test_window_with_results_beyond_its_last_number_is_not_drained() -> None:
    harness = WindowHarness(2)
    harness.window.fill()
    for number in (1, 2):
        harness.finish(number)
    await harness.settle()
    harness.window.set_last(1)
    harness.take()
    await harness.settle()
    assert (harness.taken, harness.window.is_drained) == ([1], False)
    harness.take()
    await harness.settle()
    assert (harness.taken, harness.window.is_drained) == ([1, 2], True)


async def test_closed_window_has_neither_results_nor_errors() -> None:
    harness = WindowHarness(3)
    harness.window.fill()
    harness.finish(1)
    harness.fail(2)
    await harness.settle()
    await harness.window.aclose()
    await harness.settle()
    assert await harness.window.get() is None


async def test_closed_window_does_not_retry_a_failed_number() -> None:
    harness = WindowHarness(1)
    harness.window.fill()
    harness.fail(1)
    await harness.settle()
    harness.take()
    await harness.settle()
    await harness.window.aclose()
    assert await harness.window.get() is None
    assert (harness.failed, harness.started) == ([1], [1])


async def test_ordered_window_does_not_remember_the_numbers_taken() -> None:
    harness = WindowHarness(50)
    assert await drained(harness) == list(range(1, 51))
    assert harness.window._taken == set()


@pytest.mark.parametrize("cause", [None, JoggError("sent already"), BrokenError()], ids=repr)
async def test_error_of_a_cancelled_job_is_the_cause_that_describes_it(cause: Exception | None) -> None:
    async def fetch(number: int) -> int:
        try:
            return await asyncio.sleep(3600, number)
        except asyncio.CancelledError as cancelled:
            cancelled.__cause__ = cause
            raise

    before = asyncio.all_tasks()
    window: Window[int] = Window(fetch, lambda *_: None, width=1, replaceable=lambda: 0, ahead=1, ordered=True)
    window.start(7, 7)
    window.fill()
    await iterate_loop(2)
    for job in asyncio.all_tasks() - before:
        job.cancel()
    with pytest.raises((JoggError, BrokenError)) as caught:
        await window.get()
    assert cause is None or caught.value is cause
    assert isinstance(caught.value, BrokenError) or getattr(caught.value, "page", None) == 7
    await window.aclose()
