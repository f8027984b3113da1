"""Timeouts of attempts: their effect on tasks with real timers, and their times on a simulated clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import attrs
import pytest

from jogg_async._http.timeouts import SharedTimeout, TimeoutScope

SHORT = 0.03
SECONDS = 4.0
TICK = 0.05


@pytest.fixture
async def timeouts() -> AsyncIterator[SharedTimeout]:
    timeouts = SharedTimeout(SHORT)
    yield timeouts
    timeouts.close()


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def attempt(timeouts: SharedTimeout, seconds: float) -> float:
    """Run an attempt that sleeps for `seconds`; return how long it took."""
    begun = asyncio.get_running_loop().time()
    with timeouts.attempt():
        await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time() - begun


async def test_scope_that_takes_too_long_raises_timeout_error(timeouts: SharedTimeout) -> None:
    begun = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await attempt(timeouts, 60)
    assert SHORT <= round(asyncio.get_running_loop().time() - begun, 3) < 10  # uvloop counts milliseconds
    assert cancelling() == 0
    await asyncio.sleep(0)


async def test_scope_that_ends_in_time_is_not_cancelled(timeouts: SharedTimeout) -> None:
    with timeouts.attempt():
        pass
    await attempt(timeouts, 0)
    await asyncio.sleep(SHORT * 2)  # the time of both is over, but not their task's
    assert cancelling() == 0


async def test_each_attempt_has_the_whole_timeout(timeouts: SharedTimeout) -> None:
    """One timer serves all attempts, and is set again for the next one that expires."""
    for _ in range(3):
        await attempt(timeouts, SHORT * 0.6)
    late = [asyncio.create_task(attempt(timeouts, 60))]
    await asyncio.sleep(SHORT / 2)
    late.append(asyncio.create_task(attempt(timeouts, 60)))
    await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
    assert [task.done() for task in late] == [True, False]
    await asyncio.wait(late)
    assert all(isinstance(task.exception(), TimeoutError) for task in late)


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Record every timer that is set from now on."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    real = loop.call_at

    def call_at(*args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        timers.append(real(*args, **kwargs))
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", call_at)
    return timers


async def test_attempts_share_one_timer(timers: list[asyncio.TimerHandle]) -> None:
    timeouts = SharedTimeout(60)
    for _ in range(100):
        with timeouts.attempt():
            pass
    timeouts.close()
    assert len(timers) == 1


async def test_cancellation_by_other_code_raises_cancelled_error(timeouts: SharedTimeout) -> None:
    task = asyncio.create_task(attempt(timeouts, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_in_the_same_iteration_as_the_timeout_raises_cancelled_error(
    timeouts: SharedTimeout,
) -> None:
    task = asyncio.create_task(attempt(timeouts, 60))
    await asyncio.sleep(0)
    (expired,) = timeouts._due
    expired.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timeout_of_an_attempt_and_asyncio_timeout_around_it_expire_separately(timeouts: SharedTimeout) -> None:
    outer = asyncio.timeout(SHORT / 3)
    with pytest.raises(TimeoutError):
        async with outer:
            await attempt(timeouts, 60)
    assert outer.expired()
    patient = asyncio.timeout(60)
    async with patient:
        with pytest.raises(TimeoutError):
            await attempt(timeouts, 60)
    assert not patient.expired()
    assert cancelling() == 0


async def test_error_within_the_timeout_is_raised_unchanged(timeouts: SharedTimeout) -> None:
    with pytest.raises(KeyError), timeouts.attempt():
        raise KeyError
    assert cancelling() == 0


async def test_only_cancelled_error_becomes_timeout_error(timeouts: SharedTimeout) -> None:
    async def fails_when_cancelled() -> None:
        with timeouts.attempt():
            try:
                await asyncio.sleep(60)
            finally:
                raise KeyError("from the cleanup")

    with pytest.raises(KeyError, match="from the cleanup"):
        await fails_when_cancelled()
    assert cancelling() == 0


async def test_timeout_in_a_task_that_was_already_cancelled_raises_timeout_error(timeouts: SharedTimeout) -> None:
    async def survives_a_cancellation() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError):
                await attempt(timeouts, 60)
        return cancelling()

    task = asyncio.create_task(survives_a_cancellation())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == 1


async def test_timeout_error_has_the_cancellation_as_its_cause(timeouts: SharedTimeout) -> None:
    with pytest.raises(TimeoutError) as caught:
        await attempt(timeouts, 60)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_attempt_outside_a_task_raises(timeouts: SharedTimeout) -> None:
    outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def begin() -> None:
        try:
            timeouts.attempt()
        except RuntimeError as error:
            outcome.set_result(error)

    asyncio.get_running_loop().call_soon(begin)
    async with asyncio.timeout(5):
        assert isinstance(await outcome, RuntimeError)


def block(seconds: float) -> None:
    time.sleep(seconds)


async def test_blocked_time_does_not_count_towards_the_timeout(timeouts: SharedTimeout) -> None:
    with timeouts.attempt():
        await asyncio.sleep(0)
        block(SHORT * 5)
        await asyncio.sleep(SHORT / 6)
    assert timeouts.blocked >= SHORT * 4


async def test_blocked_time_before_the_first_iteration_does_not_count(timeouts: SharedTimeout) -> None:
    with timeouts.attempt():
        block(SHORT * 5)
        await asyncio.sleep(SHORT / 6)
    assert timeouts.blocked >= SHORT * 4


async def test_many_short_blocks_do_not_count_towards_the_timeout() -> None:
    timeouts = SharedTimeout(0.4)
    with timeouts.attempt():
        for _ in range(5):
            block(0.15)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert timeouts.blocked >= 5 * (0.15 - TICK) - 0.01
    timeouts.close()


async def test_attempt_expires_after_a_block(timeouts: SharedTimeout) -> None:
    async def blocks_and_waits() -> None:
        with timeouts.attempt():
            await asyncio.sleep(0)
            block(SHORT * 2)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await blocks_and_waits()


@attrs.define
class Loop:
    """Clock and timers of an event loop, advanced by the test."""

    now: float = 100.0
    timers: list[tuple[float, Callable[[], object]]] = attrs.field(factory=list)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, asyncio.get_running_loop())
        self.timers.append((when, lambda: handle.cancelled() or callback(*args)))
        return handle

    def call_soon(self, callback: Callable[..., object], *args: object) -> asyncio.Handle:
        return self.call_at(self.now, callback, *args)

    def iterate(self) -> None:
        """Run one iteration: call the timers that are due."""
        due = [callback for when, callback in self.timers if when <= self.now]
        self.timers = [(when, callback) for when, callback in self.timers if when > self.now]
        for callback in due:
            callback()

    def run(self, seconds: float) -> None:
        """Advance the time while the loop runs."""
        until = self.now + seconds
        while self.timers and (when := min(when for when, _ in self.timers)) <= until:
            self.now = max(self.now, when)
            self.iterate()
        self.now = until

    def block(self, seconds: float) -> None:
        """Advance the time while other code blocks the loop."""
        self.now += seconds
        self.iterate()


@attrs.define(eq=False)
class Task:
    """Stand-in for a task that counts its cancellations."""

    cancelled: int = 0

    def cancelling(self) -> int:
        return 0

    def cancel(self) -> None:
        self.cancelled += 1


@attrs.define
class Scene:
    loop: Loop
    timeouts: SharedTimeout

    def begin(self) -> tuple[TimeoutScope, Task]:
        task = Task()
        return TimeoutScope(self.timeouts, cast("Any", task)).__enter__(), task


@pytest.fixture
async def scene() -> Scene:
    loop, timeouts = Loop(), SharedTimeout(SECONDS)
    timeouts._loop = cast("Any", loop)
    return Scene(loop, timeouts)


async def test_attempt_expires_when_its_time_is_over(scene: Scene) -> None:
    _, task = scene.begin()
    scene.loop.run(SECONDS - 0.001)
    assert task.cancelled == 0
    scene.loop.run(0.002)
    assert task.cancelled == 1
    assert scene.loop.timers == []


async def test_each_attempt_expires_at_its_own_time(scene: Scene) -> None:
    tasks: list[Task] = []
    for _ in range(3):
        tasks.append(scene.begin()[1])
        scene.loop.run(1)
    scene.loop.run(SECONDS - 3 - 0.001)
    for number in range(3):
        assert [task.cancelled for task in tasks] == [1] * number + [0] * (3 - number)
        scene.loop.run(1)
    assert [task.cancelled for task in tasks] == [1, 1, 1]


async def test_time_by_which_a_timer_fires_late_is_blocked_time(scene: Scene) -> None:
    _, task = scene.begin()
    scene.loop.run(1)
    scene.loop.block(20)
    assert scene.timeouts.blocked == pytest.approx(20, abs=TICK)
    scene.loop.run(SECONDS - 1 - TICK)
    assert task.cancelled == 0
    scene.loop.run(2 * TICK)
    assert task.cancelled == 1


async def test_timer_that_fires_a_little_late_is_no_blocked_time(scene: Scene) -> None:
    _, task = scene.begin()
    begun = scene.loop.now
    while scene.loop.now < begun + SECONDS - 2 * TICK:
        scene.loop.block(TICK + 0.009)
    assert scene.timeouts.blocked == 0
    scene.loop.run(begun + SECONDS + 0.001 - scene.loop.now)
    assert task.cancelled == 1


async def test_many_short_blocks_of_the_loop_add_up_to_blocked_time(scene: Scene) -> None:
    scene.begin()
    for _ in range(10):
        scene.loop.block(TICK + 0.02)
    assert scene.timeouts.blocked == pytest.approx(10 * 0.02)


async def test_blocked_time_is_seen_before_the_timer_fires(scene: Scene) -> None:
    scene.begin()
    scene.loop.now += 20
    assert scene.timeouts.blocked == pytest.approx(20, abs=TICK)
    scene.loop.now += 5
    scene.loop.iterate()
    assert scene.timeouts.blocked == pytest.approx(25, abs=TICK)


async def test_attempt_begun_after_a_block_has_its_own_time_only(scene: Scene) -> None:
    scene.begin()
    scene.loop.now += 20  # a callback that blocks, then begins an attempt
    _, task = scene.begin()
    scene.loop.run(SECONDS - 0.001)
    assert task.cancelled == 0
    scene.loop.run(0.002)
    assert task.cancelled == 1


async def test_blocked_time_is_not_measured_while_no_attempt_runs(scene: Scene) -> None:
    attempt, _ = scene.begin()
    attempt.__exit__(None, None, None)
    scene.loop.run(1)
    assert scene.loop.timers == []
    scene.loop.block(20)
    assert scene.timeouts.blocked == 0


async def test_blocked_time_is_measured_within_watch_even_without_an_attempt(scene: Scene) -> None:
    with scene.timeouts.watch():
        scene.loop.run(1)
        scene.loop.block(20)
        scene.loop.run(1)
        assert scene.timeouts.blocked == pytest.approx(20, abs=TICK)
    scene.loop.run(1)
    assert scene.loop.timers == []


async def test_loop_iterates_before_an_attempt_is_cancelled(scene: Scene) -> None:
    """The response may be in the socket already: the loop reads it in these iterations."""
    _, patient = scene.begin()
    attempt, finishes = scene.begin()
    scene.loop.run(SECONDS - TICK)
    scene.loop.block(20)
    scene.loop.now += TICK
    for iteration in range(75):
        scene.loop.iterate()
        assert patient.cancelled == 0
        if iteration == 70:
            attempt.__exit__(None, None, None)
    for _ in range(10):
        scene.loop.iterate()
    assert (patient.cancelled, finishes.cancelled) == (1, 0)


async def test_block_in_the_iterations_before_a_cancellation_is_measured(scene: Scene) -> None:
    _, task = scene.begin()
    scene.loop.run(SECONDS - 0.001)
    scene.loop.now += 0.001
    for _ in range(40):
        scene.loop.iterate()
    assert scene.timeouts.blocked == 0
    scene.loop.block(20)
    assert task.cancelled == 0
    assert scene.timeouts.blocked == pytest.approx(20)


async def test_each_expired_attempt_gets_its_own_loop_iterations_before_its_cancellation(scene: Scene) -> None:
    _, first = scene.begin()
    scene.loop.run(0.01)
    _, second = scene.begin()
    scene.loop.run(SECONDS - 0.011)
    while not first.cancelled:
        scene.loop.now += 0.001
        scene.loop.iterate()
    assert second.cancelled == 0
    scene.loop.run(1)
    assert second.cancelled == 1
    assert scene.timeouts.blocked == 0  # the iterations took longer than a timer's slack, but nothing blocked


async def test_paused_attempt_does_not_expire(scene: Scene) -> None:
    attempt, task = scene.begin()
    scene.loop.run(SECONDS / 2)
    attempt.pause()
    scene.loop.run(SECONDS * 3)
    assert task.cancelled == 0
    attempt.restart()
    scene.loop.run(SECONDS - 0.001)
    assert task.cancelled == 0
    scene.loop.run(0.002)
    assert task.cancelled == 1


async def test_short_timeouts_are_checked_more_often() -> None:
    loop, timeouts = Loop(), SharedTimeout(0.08)
    timeouts._loop = cast("Any", loop)
    Scene(loop, timeouts).begin()
    assert loop.timers[0][0] == pytest.approx(loop.now + 0.01)


async def test_closing_the_shared_timeout_cancels_its_timer(scene: Scene) -> None:
    _, task = scene.begin()
    scene.timeouts.close()
    scene.timeouts.close()
    scene.loop.run(SECONDS * 2)
    assert task.cancelled == 0
    assert scene.timeouts.blocked == 0


async def test_attempt_after_closing_the_shared_timeout_still_times_out(scene: Scene) -> None:
    scene.begin()[0].__exit__(None, None, None)
    scene.timeouts.close()
    _, task = scene.begin()
    scene.loop.run(SECONDS + 0.001)
    assert task.cancelled == 1


async def test_closed_shared_timeout_schedules_nothing(timers: list[asyncio.TimerHandle]) -> None:
    timeouts = SharedTimeout(60)
    with timeouts.attempt():
        pass
    timeouts.close()
    timeouts.close()
    assert [timer.cancelled() for timer in timers] == [True]
