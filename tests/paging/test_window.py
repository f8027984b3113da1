"""The window of numbered jobs, without HTTP: each job is a future that the test resolves when it likes."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jogg_async._paging.window import Window
from tests.model import examples, no_complaints, turns


class BrokenError(Exception):
    """What a job raises when the test says so."""


class Bench:
    """A window, and what it did: jobs finish, fail and hang as the test says.

    After each change `settle` checks the bounds, and that everything they allow was started.
    """

    def __init__(
        self, last: float, *, ahead: int = 4, ordered: bool = True, budget: float = math.inf, width: int = 99
    ) -> None:
        self.under_way: dict[int, asyncio.Future[int]] = {}
        self.started: list[int] = []
        self.arrived: list[int] = []
        self.taken: list[int] = []
        self.failed: list[int] = []
        self.width = width
        self.step: asyncio.Task[None] | None = None
        self.ended = False
        self._ahead = ahead
        self.in_backoff = 0
        self.window: Window[int] = Window(
            self._job,
            lambda number, _: self.arrived.append(number),
            width=width,
            in_backoff=lambda: self.in_backoff,
            ahead=ahead,
            ordered=ordered,
        )
        self.window.max_outstanding = budget
        self.window.start(1, last)

    def _job(self, number: int) -> Any:
        assert number not in self.under_way
        assert number not in self.held
        assert number <= self.window.last
        assert number < self.window.lowest + self._ahead
        assert len(self.under_way) < self.width + self.in_backoff
        self.started.append(number)
        self.under_way[number] = asyncio.get_running_loop().create_future()
        assert number == self.window.lowest or len(self.under_way) + len(self.held) <= self.window.max_outstanding
        return self._fetch(number, self.under_way[number])

    async def _fetch(self, number: int, door: asyncio.Future[int]) -> int:
        try:
            return await door
        finally:
            if self.under_way.get(number) is door:
                del self.under_way[number]

    @property
    def held(self) -> list[int]:
        """The results that nobody took yet."""
        return [number for number in self.arrived if number not in self.taken]

    def take(self) -> None:
        """Begin a step, unless one waits."""
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
        self.under_way[number].set_result(number * 10)

    def fail(self, number: int) -> None:
        self.under_way[number].set_exception(BrokenError(number))

    async def settle(self) -> None:
        await turns(8)


async def drained(bench: Bench) -> list[int]:
    """Everything that is left: each job under way finishes."""
    async with asyncio.timeout(5):
        while not bench.ended:
            bench.take()
            for number in list(bench.under_way):
                bench.finish(number)
            await bench.settle()
    return bench.taken


MOVES = st.lists(st.tuples(st.sampled_from(["finish", "fail", "take", "cancel"]), st.integers(0, 9)), max_size=40)


@examples(150)
@given(
    last=st.integers(0, 12),
    ahead=st.integers(1, 6),
    budget=st.one_of(st.just(math.inf), st.integers(1, 5)),
    width=st.integers(1, 5),
    ordered=st.booleans(),
    moves=MOVES,
)
async def test_each_number_is_returned_once_whatever_finishes_fails_or_is_cancelled(  # noqa: PLR0917 (what hypothesis draws)
    last: int, ahead: int, budget: float, width: int, ordered: bool, moves: list[tuple[str, int]]
) -> None:
    with no_complaints():
        bench = Bench(last, ahead=ahead, ordered=ordered, budget=budget, width=width)
        broken: set[int] = set()
        for move, choice in moves:
            numbers = sorted(bench.under_way)
            if move == "take":
                bench.take()
            elif move == "cancel" and bench.step is not None:
                bench.step.cancel()
            elif numbers and move == "finish":
                bench.finish(numbers[choice % len(numbers)])
            elif numbers and move == "fail":
                broken.add(numbers[choice % len(numbers)])
                bench.fail(numbers[choice % len(numbers)])
            await bench.settle()
            if ordered:
                assert bench.taken == list(range(1, len(bench.taken) + 1))
        taken = await drained(bench)
        assert sorted(taken) == list(range(1, last + 1))
        assert broken == set(bench.failed)
        for number in broken:
            assert bench.started.count(number) == 1 + bench.failed.count(number)
        assert len(bench.started) == last + len(bench.failed)
        await bench.window.aclose()


@examples(60)
@given(
    ahead=st.integers(1, 8),
    budget=st.integers(1, 8),
    width=st.integers(1, 4),
    ordered=st.booleans(),
    order=st.lists(st.integers(0, 7), min_size=8, max_size=8),
)
async def test_next_job_starts_before_the_result_of_a_finished_one_is_taken(
    ahead: int, budget: int, width: int, ordered: bool, order: list[int]
) -> None:
    bench = Bench(50, ahead=ahead, ordered=ordered, budget=budget, width=width)
    bench.window.fill()
    assert len(bench.started) == min(ahead, budget, width)
    for finished, choice in enumerate(order, 1):
        if bench.under_way:
            bench.finish(sorted(bench.under_way)[choice % len(bench.under_way)])
            await bench.settle()
            # What nobody took counts on: results fill the window and the budget, and only leave their turn.
            assert len(bench.started) == min(ahead, budget, width + finished)
    assert bench.taken == []
    await bench.window.aclose()


async def test_a_slow_first_job_does_not_stop_the_others() -> None:
    bench = Bench(100, ahead=10)
    bench.take()
    await bench.settle()
    for number in range(2, 11):
        bench.finish(number)
    await bench.settle()
    assert (bench.taken, bench.started) == ([], list(range(1, 11)))
    bench.finish(1)
    await bench.settle()
    assert (bench.taken, bench.started) == ([1], list(range(1, 12)))
    await bench.window.aclose()


async def test_error_is_raised_after_the_results_below_it_and_its_job_alone_is_retried() -> None:
    bench = Bench(6, ahead=6)
    bench.window.fill()
    bench.fail(3)
    await bench.settle()
    for number in (1, 2, 5):
        bench.finish(number)
    await bench.settle()
    for _ in range(2):
        bench.take()
        await bench.settle()
    assert (bench.taken, bench.failed) == ([1, 2], [])
    bench.take()
    await bench.settle()
    assert bench.failed == [3]
    assert bench.started == [1, 2, 3, 4, 5, 6]
    bench.take()
    await bench.settle()
    assert bench.started == [1, 2, 3, 4, 5, 6, 3]
    assert await drained(bench) == [1, 2, 3, 4, 5, 6]


async def test_no_job_starts_until_an_error_is_raised_and_retried() -> None:
    bench = Bench(9, ahead=3)
    bench.window.fill()
    bench.fail(2)
    await bench.settle()
    bench.finish(1)
    bench.take()
    await bench.settle()
    assert (bench.taken, bench.started) == ([1], [1, 2, 3])
    bench.take()
    await bench.settle()
    bench.finish(3)
    await bench.settle()
    assert (bench.failed, bench.started) == ([2], [1, 2, 3])
    await bench.window.aclose()


async def test_unordered_window_returns_results_before_an_error() -> None:
    bench = Bench(5, ahead=5, ordered=False)
    bench.window.fill()
    bench.fail(1)
    await bench.settle()
    for number in (4, 2):
        bench.finish(number)
        await bench.settle()
    for _ in range(3):
        bench.take()
        await bench.settle()
    assert (bench.taken, bench.failed) == ([4, 2], [1])
    assert sorted(await drained(bench)) == [1, 2, 3, 4, 5]


@examples(100)
@given(
    ordered=st.booleans(),
    ahead=st.integers(1, 8),
    moves=st.lists(st.tuples(st.sampled_from(["finish", "take", "fail", "last", "discard"]), st.integers(0, 12))),
)
async def test_moving_the_last_number_loses_and_repeats_no_result(
    ordered: bool, ahead: int, moves: list[tuple[str, int]]
) -> None:
    with no_complaints():
        bench = Bench(6, ahead=ahead, ordered=ordered)
        for move, choice in moves:
            if bench.ended:
                break  # nobody moves an end that was reached
            numbers = sorted(bench.under_way)
            if move == "take":
                bench.take()
            elif move in ("last", "discard"):
                dropped = [number for number in bench.held if number > choice and move == "discard"]
                bench.arrived = [number for number in bench.arrived if number not in dropped]
                bench.window.set_last(choice, discard=move == "discard")
                await bench.settle()
                assert all(number <= choice for number in bench.under_way)
                bench.window.fill()
            elif numbers:
                number = numbers[choice % len(numbers)]
                bench.finish(number) if move == "finish" else bench.fail(number)
            await bench.settle()
        taken = await drained(bench)
        assert len(set(taken)) == len(taken)
        assert set(range(1, int(bench.window.last) + 1)) <= set(taken)
        assert sorted(taken) == sorted(bench.arrived)
        await bench.window.aclose()


async def test_failure_beyond_a_nearer_last_number_does_not_block_the_window() -> None:
    bench = Bench(8, ahead=8)
    bench.window.fill()
    bench.fail(6)
    await bench.settle()
    bench.window.set_last(4)
    await bench.settle()
    bench.window.set_last(8)
    bench.window.fill()
    assert sorted(bench.under_way) == list(range(1, 9))
    await bench.window.aclose()


@examples(60)
@given(last=st.integers(1, 12), ahead=st.integers(1, 6), finished=st.integers(0, 12), waiting=st.booleans())
async def test_closing_the_window_leaves_no_task(last: int, ahead: int, finished: int, waiting: bool) -> None:
    before = asyncio.all_tasks()
    with no_complaints():
        bench = Bench(last, ahead=ahead)
        for _ in range(finished):
            bench.take()
            await bench.settle()
            for number in sorted(bench.under_way)[:1]:
                bench.finish(number)
            await bench.settle()
        if waiting:
            bench.take()
            await turns(1)
        taken = len(bench.taken)
        await bench.window.aclose()
        await bench.settle()
        assert asyncio.all_tasks() == before
        assert bench.step is None or bench.step.done()
        assert len(bench.taken) <= taken + 1
        started = len(bench.started)
        bench.window.fill()
        bench.take()
        await bench.settle()
        assert len(bench.started) == started
        await bench.window.aclose()


async def test_closing_the_window_closes_jobs_that_never_ran() -> None:
    before = asyncio.all_tasks()
    bench = Bench(5, ahead=5)
    bench.window.fill()
    await bench.window.aclose()
    assert asyncio.all_tasks() == before


async def test_closing_the_window_while_it_fills_starts_no_more_jobs() -> None:
    """A finalizer closes the window from wherever the collector happens to run."""
    window: Window[int]
    started: list[int] = []

    def job(number: int) -> Any:
        started.append(number)
        if number == 2:
            window.close()
        return asyncio.sleep(0, number)

    window = Window(job, lambda number, _: None, width=9, in_backoff=lambda: 0, ahead=9, ordered=True)
    window.start(1, 9)
    window.fill()
    await window.aclose()
    assert started == [1, 2]


async def test_a_job_cancelled_by_other_code_is_an_error() -> None:
    before = asyncio.all_tasks()
    bench = Bench(2, ahead=2)
    bench.window.fill()
    await bench.settle()
    for job in asyncio.all_tasks() - before:
        job.cancel()
    await bench.settle()
    with pytest.raises(Exception, match="cancelled"):
        await bench.window.get()
    assert await drained(bench) == [1, 2]


async def test_exception_in_the_result_callback_is_raised_for_its_number() -> None:
    def broken(number: int, _: int) -> None:
        if number == 2:
            raise BrokenError(number)

    async def fetch(number: int) -> int:
        return number

    window: Window[int] = Window(fetch, broken, width=1, in_backoff=lambda: 0, ahead=3, ordered=True)
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
        waiting += 1
        window.on_backoff()
        return asyncio.sleep(0, number)

    window: Window[int] = Window(
        fetch, lambda *_: None, width=5000, in_backoff=lambda: waiting, ahead=20_000, ordered=True
    )
    window.start(1, 20_000)
    window.fill()
    assert waiting == 5000  # a whole round failed, and nothing has succeeded
    await window.aclose()


@pytest.mark.parametrize(("width", "started"), [(1, 2), (2, 3), (8, 15)])
async def test_failures_in_a_row_stop_the_replacement_of_requests_in_backoff(width: int, started: int) -> None:
    bench = Bench(100, ahead=99, width=width)
    bench.window.fill()
    failed = 0
    while failed < len(bench.started):
        failed += 1
        bench.in_backoff += 1
        bench.window.on_backoff()
    assert len(bench.started) == started
    bench.in_backoff -= 1
    bench.finish(1)
    await bench.settle()
    assert len(bench.started) > started  # one success, and the others are replaced again
    await bench.window.aclose()


async def test_the_lowest_number_starts_whatever_is_outstanding() -> None:
    bench = Bench(6, ahead=6, budget=6)
    bench.window.fill()
    await bench.settle()
    for number in (4, 5, 6):
        bench.finish(number)
    await bench.settle()
    bench.window.set_last(1)
    bench.window.max_outstanding = 1
    await bench.settle()
    bench.window.set_last(6)
    assert await drained(bench) == [1, 2, 3, 4, 5, 6]


async def test_jobs_cancelled_by_a_lower_last_number_restart_when_it_rises() -> None:
    bench = Bench(9, ahead=9)
    bench.window.fill()
    await bench.settle()
    bench.window.set_last(3)
    await bench.settle()
    assert sorted(bench.under_way) == [1, 2, 3]
    bench.window.set_last(9)
    bench.window.fill()
    assert sorted(bench.under_way) == list(range(1, 10))
    assert await drained(bench) == list(range(1, 10))


async def test_window_is_drained_only_after_the_last_number_is_taken() -> None:
    bench = Bench(1)
    assert not bench.window.is_drained
    bench.take()
    await bench.settle()
    assert not bench.window.is_drained
    bench.finish(1)
    await bench.settle()
    assert bench.taken == [1]
    assert bench.window.is_drained
