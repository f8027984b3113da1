"""An event loop that counts its callbacks and skips its waits, and the ways to cut an operation off at any of them."""

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

_GRACE: Final = 0.0001
"""Real seconds for what is on its way through loopback, before the clock is moved on."""

_PATIENCE: Final = 10.0
"""Real seconds without an event or a timer, after which everything counts as stuck."""


class _Clock(selectors.SelectSelector):
    """Waits for sockets only as long as loopback needs; instead of waiting for a timer it moves the clock on.

    Over `select`, because the others round so short a wait up to a millisecond.
    """

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        found = super().select(_PATIENCE if timeout is None else _GRACE)
        if not found and timeout is None:
            raise RuntimeError("everything waits, and no timer is left that would go on")
        if not found and timeout is not None:
            self.now += timeout
        return found


class SteppingLoop(asyncio.SelectorEventLoop):
    """A loop that does something just before a callback of a given number.

    Only the callbacks of `counted` work count, with all that it starts: those of a server in the same loop do not.
    """

    def __init__(self) -> None:
        self._clock = _Clock()
        self._due: dict[int, Callable[[], object]] = {}
        self.steps = 0
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def skip(self, seconds: float) -> None:
        """Move the clock on, as while a callback blocks the loop."""
        self._clock.now += seconds

    def arm(self, due: dict[int, Callable[[], object]]) -> None:
        """Count from here on, and call each of these just before the callback of its number, from 0."""
        self.steps, self._due = 0, due

    def disarm(self) -> int:
        """Call nothing any more; returns the number of callbacks counted."""
        self._due = {}
        return self.steps

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._step, callback, *args, context=context)

    def _step(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        if _COUNTED.get():
            act = self._due.pop(self.steps, None)
            self.steps += 1
            if act is not None:
                act()
        callback(*args)


def counted(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task whose callbacks count, and those of all that it starts."""
    context = copy_context()
    context.run(_COUNTED.set, True)
    return asyncio.get_running_loop().create_task(work, context=context)


async def eventually(holds: Callable[[], object]) -> None:
    """Wait for something to become true, in strides: on this clock a wait costs as little as a turn of the loop."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not become true")


@attrs.frozen
class Ending:
    """How an operation ended.

    Attributes:
        steps: the callbacks that it took.
        cut: whether it was told to end before its end.
        result: what it returned.
        error: what it raised instead; `None` where the cut ended it.
    """

    steps: int
    cut: bool
    result: Any = None
    error: Exception | None = None


Cut = Callable[[Coroutine[Any, Any, Any], int], Awaitable[Ending]]


async def cancelled(work: Coroutine[Any, Any, Any], point: int) -> Ending:
    """Cancel the task."""
    return await _cancelled(work, point, times=1)


async def cancelled_twice(work: Coroutine[Any, Any, Any], point: int) -> Ending:
    """Cancel the task, and once more a callback later."""
    return await _cancelled(work, point, times=2)


async def _cancelled(work: Coroutine[Any, Any, Any], point: int, times: int) -> Ending:
    loop = _loop()
    heard: list[bool] = []
    task = loop.create_task(work)
    loop.arm({point + number: lambda: heard.append(task.cancel()) for number in range(times)})
    await asyncio.wait([task])
    steps = loop.disarm()
    # A task that was told in time must end by it: the code under test swallows no cancellation.
    assert task.cancelled() == any(heard), f"told {heard}, and then: {task}"
    if task.cancelled():
        return Ending(steps, cut=True)
    return _ending(steps, task)


async def timed_out(work: Coroutine[Any, Any, Any], point: int) -> Ending:
    """Let an `asyncio.timeout` around it run out."""
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
    assert deadline.expired() == isinstance(task.exception(), TimeoutError), f"{deadline}, and then: {task}"
    return Ending(steps[0], cut=True) if deadline.expired() else _ending(steps[0], task)


async def abandoned_by_its_group(work: Coroutine[Any, Any, Any], point: int) -> Ending:
    """Let a sibling in its `asyncio.TaskGroup` fail."""
    loop = _loop()
    failing = asyncio.Event()

    async def sibling() -> None:
        await failing.wait()
        raise _SiblingError

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(sibling())
            task = group.create_task(work)
            task.add_done_callback(lambda _: failing.is_set() or beside.cancel())
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
    return Ending(steps, cut=True) if task.cancelled() else _ending(steps, task)


class _SiblingError(Exception):
    pass


def _ending(steps: int, task: asyncio.Task[Any]) -> Ending:
    error = task.exception()
    if error is None:
        return Ending(steps, cut=False, result=task.result())
    assert isinstance(error, Exception)
    return Ending(steps, cut=False, error=error)


def _loop() -> SteppingLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    return loop
