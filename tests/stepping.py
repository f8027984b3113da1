"""Event loop that counts callbacks and skips waits, and ways to interrupt an operation before any callback."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple

import attrs

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_COUNTED: ContextVar[bool] = ContextVar("counted", default=False)

_LOOPBACK_WAIT: Final = 0.0001
"""Real seconds to wait for data on loopback before the clock advances."""

_DEADLOCK_AFTER: Final = 10.0
"""Real seconds without an event or a timer after which the loop counts as deadlocked."""


class _SimulatedClock(selectors.SelectSelector):
    """Selector that advances a clock instead of waiting for timers.

    Based on `select`: the other selectors round so short a wait up to a millisecond.
    """

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        found = super().select(_DEADLOCK_AFTER if timeout is None else _LOOPBACK_WAIT)
        if not found and timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is set")
        if not found and timeout is not None:
            self.now += timeout
        return found


class SteppingLoop(asyncio.SelectorEventLoop):
    """Event loop that can call functions just before callbacks of given numbers.

    It counts the callbacks of tasks made by `counted_task` and of all that they start, but not those of a server in
    the same loop.
    """

    def __init__(self) -> None:
        self._clock = _SimulatedClock()
        self._due: dict[int, Callable[[], object]] = {}
        self.steps = 0
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def skip(self, seconds: float) -> None:
        """Advance the clock, as if a callback had blocked the loop."""
        self._clock.now += seconds

    def arm(self, due: dict[int, Callable[[], object]]) -> None:
        """Restart the count at 0 and call each function just before the callback of its number."""
        self.steps, self._due = 0, due

    def disarm(self) -> int:
        """Drop the functions that were not called yet, and return the number of callbacks counted."""
        self._due = {}
        return self.steps

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._step, callback, *args, context=context)

    def _step(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        if _COUNTED.get():
            function = self._due.pop(self.steps, None)
            self.steps += 1
            if function is not None:
                function()
        callback(*args)


def counted_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Create a task whose callbacks are counted, together with those of all that it starts."""
    context = copy_context()
    context.run(_COUNTED.set, True)
    return asyncio.get_running_loop().create_task(work, context=context)


async def eventually(condition: Callable[[], object]) -> None:
    """Poll until a condition is true; on the simulated clock the waits take no time."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the condition did not become true")


@attrs.frozen
class Outcome:
    """Outcome of an operation that may have been interrupted.

    Attributes:
        steps: callbacks that it took.
        interrupted: True if the interruption ended it.
        result: what it returned.
        error: the exception that it raised instead; `None` if the interruption ended it.
    """

    steps: int
    interrupted: bool
    result: Any = None
    error: Exception | None = None


Interrupt = Callable[[Coroutine[Any, Any, Any], int], Awaitable[Outcome]]
"""Run an operation and interrupt it just before the callback of a number."""


async def cancelled(work: Coroutine[Any, Any, Any], point: int) -> Outcome:
    """Cancel the task."""
    return await _cancelled(work, point, times=1)


async def cancelled_twice(work: Coroutine[Any, Any, Any], point: int) -> Outcome:
    """Cancel the task, and again before the next callback."""
    return await _cancelled(work, point, times=2)


async def _cancelled(work: Coroutine[Any, Any, Any], point: int, times: int) -> Outcome:
    loop = _loop()
    cancellations: list[bool] = []
    task = loop.create_task(work)
    loop.arm({point + number: lambda: cancellations.append(task.cancel()) for number in range(times)})
    await asyncio.wait([task])
    steps = loop.disarm()
    # A task that was cancelled before its end must end as cancelled: the code under test swallows no cancellation.
    assert task.cancelled() == any(cancellations), f"cancel() returned {cancellations}, then: {task}"
    if task.cancelled():
        return Outcome(steps, interrupted=True)
    return _outcome(steps, task)


async def timed_out(work: Coroutine[Any, Any, Any], point: int) -> Outcome:
    """Let an `asyncio.timeout` around the operation expire."""
    loop = _loop()
    deadline = asyncio.timeout(None)
    steps: list[int] = []

    async def limited() -> Any:
        async with deadline:
            loop.arm({point: lambda: deadline.reschedule(loop.time())})
            try:
                return await work
            finally:
                steps.append(loop.disarm())

    task = loop.create_task(limited())
    await asyncio.wait([task])
    assert task.cancelling() == 0
    assert deadline.expired() == isinstance(task.exception(), TimeoutError), f"{deadline}, then: {task}"
    return Outcome(steps[0], interrupted=True) if deadline.expired() else _outcome(steps[0], task)


async def cancelled_by_task_group(work: Coroutine[Any, Any, Any], point: int) -> Outcome:
    """Let another task of its `asyncio.TaskGroup` fail."""
    loop = _loop()
    failing = asyncio.Event()

    async def sibling() -> None:
        await failing.wait()
        raise _SiblingError

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            other = group.create_task(sibling())
            task = group.create_task(work)
            task.add_done_callback(lambda _: failing.is_set() or other.cancel())
            loop.arm({point: failing.set})
            tasks.append(task)

    tasks: list[asyncio.Task[Any]] = []
    group = loop.create_task(grouped())
    await asyncio.wait([group])
    steps = loop.disarm()
    (task,) = tasks
    assert task.done()
    assert not task.cancelled() or isinstance(group.exception(), ExceptionGroup)
    assert isinstance(group.exception(), ExceptionGroup | None)
    return Outcome(steps, interrupted=True) if task.cancelled() else _outcome(steps, task)


class _SiblingError(Exception):
    pass


def _outcome(steps: int, task: asyncio.Task[Any]) -> Outcome:
    error = task.exception()
    if error is None:
        return Outcome(steps, interrupted=False, result=task.result())
    assert isinstance(error, Exception)
    return Outcome(steps, interrupted=False, error=error)


def _loop() -> SteppingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    return loop
