"""Fake service and session on a simulated clock: waits take no time, and tests assert their exact lengths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs

from jogg_async import JoggSession
from jogg_async.testing import FakeJogg, RecordedRequest

from .stepping import SteppingLoop

T = TypeVar("T")


@attrs.define
class Simulation:
    """A fake service, a session on it, and the requests that arrived.

    Attributes:
        fake: fake service with 60 tracks.
        jogg: session on it.
        sent: page of each request, and the seconds since the start at which it arrived.
    """

    fake: FakeJogg
    jogg: JoggSession
    sent: list[tuple[int | None, float]] = attrs.Factory(list)

    @property
    def times(self) -> list[float]:
        """Seconds since the start at which requests arrived."""
        return [round(at, 6) for _, at in self.sent]

    @property
    def pages(self) -> list[int | None]:
        """Pages of the requests that arrived."""
        return [page for page, _ in self.sent]

    def block(self, seconds: float) -> None:
        """Advance the clock, as if a callback had blocked the loop."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppingLoop)
        loop.skip(seconds)


def simulate(scenario: Callable[[Simulation], Awaitable[T]], **settings: Any) -> T:
    """Run a scenario on a simulated clock and return its result.

    Args:
        scenario: coroutine function to run.
        settings: arguments of the session.
    """

    async def run() -> T:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with FakeJogg(60) as fake, JoggSession(fake.api_key, base_url=fake.url, **settings) as jogg:
            simulation = Simulation(fake, jogg)

            async def record(request: RecordedRequest) -> None:
                simulation.sent.append((request.page, loop.time() - start))

            fake.on_request = record
            return await scenario(simulation)

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        runner.get_loop().set_debug(False)
        return runner.run(run())
