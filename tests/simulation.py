"""A fake and a session on a simulated clock: waits take no time, and their lengths are asserted exactly."""

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
    """What a scenario works with.

    Attributes:
        fake: a fake of 60 tracks.
        jogg: a session on it.
        sent: each request that arrived: its page, and the seconds since the start.
    """

    fake: FakeJogg
    jogg: JoggSession
    sent: list[tuple[int | None, float]] = attrs.Factory(list)

    @property
    def times(self) -> list[float]:
        """The seconds since the start at which requests arrived."""
        return [round(at, 6) for _, at in self.sent]

    @property
    def pages(self) -> list[int | None]:
        """The pages of the requests that arrived."""
        return [page for page, _ in self.sent]

    def block(self, seconds: float) -> None:
        """Let time pass while the event loop cannot run."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppingLoop)
        loop.skip(seconds)


def simulate(scenario: Callable[[Simulation], Awaitable[T]], **settings: Any) -> T:
    """Run a scenario to its end.

    Args:
        scenario: what to do.
        settings: of the session.
    """

    async def run() -> T:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with FakeJogg(60) as fake, JoggSession(fake.api_key, base_url=fake.url, **settings) as jogg:
            simulation = Simulation(fake, jogg)

            async def note(seen: RecordedRequest) -> None:
                simulation.sent.append((seen.page, loop.time() - start))

            fake.on_request = note
            return await scenario(simulation)

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        runner.get_loop().set_debug(False)
        return runner.run(run())
