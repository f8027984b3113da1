from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jogg_async._deadline import Deadlines

SHORT = 0.03


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    deadlines = Deadlines(SHORT)
    yield deadlines
    deadlines.close()


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def attempt(deadlines: Deadlines, seconds: float) -> float:
    """How long an attempt that wants so long lasted."""
    begun = asyncio.get_running_loop().time()
    with deadlines.attempt():
        await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time() - begun


async def test_what_takes_too_long_is_ended(deadlines: Deadlines) -> None:
    begun = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await attempt(deadlines, 60)
    assert SHORT <= asyncio.get_running_loop().time() - begun < 10
    assert cancelling() == 0
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    with deadlines.attempt():
        pass
    await attempt(deadlines, 0)
    await asyncio.sleep(SHORT * 2)  # the time of both is over, but not their task's
    assert cancelling() == 0


async def test_each_attempt_has_the_whole_time(deadlines: Deadlines) -> None:
    """One timer serves all, and is set again for the next in line, however they overlap."""
    for _ in range(3):
        await attempt(deadlines, SHORT * 0.6)
    late = [asyncio.create_task(attempt(deadlines, 60))]
    await asyncio.sleep(SHORT / 2)
    late.append(asyncio.create_task(attempt(deadlines, 60)))
    await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
    assert [task.done() for task in late] == [True, False]
    await asyncio.wait(late)
    assert all(isinstance(task.exception(), TimeoutError) for task in late)


async def test_one_timer_serves_all(deadlines: Deadlines, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    real = loop.call_at

    def call_at(*args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        timers.append(real(*args, **kwargs))
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", call_at)
    for _ in range(100):
        with deadlines.attempt():
            pass
    assert len(timers) == 1


async def test_a_cancellation_from_outside_stays_one(deadlines: Deadlines) -> None:
    task = asyncio.create_task(attempt(deadlines, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_in_the_same_turn_wins() -> None:
    deadlines = Deadlines(SHORT)
    task = asyncio.create_task(attempt(deadlines, 60))
    await asyncio.sleep(0)
    due = asyncio.get_running_loop().time() + SHORT * 2
    while asyncio.get_running_loop().time() < due:
        pass  # the time-out is due, and the loop has not looked
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_a_timeout_around_it_is_another_one(deadlines: Deadlines) -> None:
    outer = asyncio.timeout(SHORT / 3)
    with pytest.raises(TimeoutError):
        async with outer:
            await attempt(deadlines, 60)
    assert outer.expired()
    patient = asyncio.timeout(60)
    async with patient:
        with pytest.raises(TimeoutError):
            await attempt(deadlines, 60)
    assert not patient.expired()
    assert cancelling() == 0


async def test_an_error_in_time_is_that_error(deadlines: Deadlines) -> None:
    with pytest.raises(KeyError), deadlines.attempt():
        raise KeyError
    assert cancelling() == 0


async def test_after_closing_nothing_is_scheduled(deadlines: Deadlines) -> None:
    await attempt(deadlines, 0)
    deadlines.close()
    deadlines.close()
    await attempt(deadlines, 0)
    deadlines.close()
    await asyncio.sleep(SHORT * 2)
    assert cancelling() == 0
