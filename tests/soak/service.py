"""The fakes of the soak, in a process of their own: their memory is none of the client's.

Commands come as JSON lines on standard input, each answered by a line. The first line tells the addresses.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from jogg_async.testing import Catalogue, FakeJogg, RateLimit

from .catalogues import MOVING, STEADY, rough
from .faults import Spoiler


class Moving:
    """A catalogue that changes while it is crawled, and what has been in it."""

    def __init__(self, fake: FakeJogg) -> None:
        self._fake = fake
        self._ever: set[int] = set()

    def begin(self, changes: list[list[Any]]) -> None:
        """Start anew, and change after so many responses each: `[responses, "insert" or "remove", index]`."""
        self._fake.clear()
        catalogue = self._fake.catalogue
        catalogue.remove(slice(None))
        self._ever = set(catalogue.insert(count=MOVING))
        for responses, kind, index in changes:
            self._fake.mutate_after(responses, self._insert(index) if kind == "insert" else self._remove(index))

    def told(self) -> dict[str, list[int]]:
        return {"ever": sorted(self._ever), "now": [row["id"] for row in self._fake.catalogue]}

    def _insert(self, index: int) -> Callable[[Catalogue], None]:
        return lambda catalogue: self._ever.update(catalogue.insert(index))

    def _remove(self, index: int) -> Callable[[Catalogue], None]:
        return lambda catalogue: catalogue.remove(index)


class Service:
    """The fakes, and the commands."""

    def __init__(self) -> None:
        dice = Random(1)
        self._fakes = {
            "steady": FakeJogg(STEADY, latency=0.002, jitter=0.006, slow_fraction=0.02, record=False),
            "rough": FakeJogg(rough(), jitter=0.004, record=False),
            "limited": FakeJogg(STEADY, rate_limit=RateLimit(150, 20, retry_after=0.1), jitter=0.004, record=False),
            "moving": FakeJogg(0, jitter=0.004, record=False),
        }
        self._spoilers = [Spoiler(self._fakes[name], dice) for name in ("steady", "rough", "limited")]
        self._moving = Moving(self._fakes["moving"])

    async def run(self) -> None:
        stopped = asyncio.Event()
        async with AsyncExitStack() as stack:
            for fake in self._fakes.values():
                await stack.enter_async_context(fake)
            _say({name: fake.url for name, fake in self._fakes.items()})
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._obey, stopped)
            await stopped.wait()

    def _obey(self, stopped: asyncio.Event) -> None:
        line = sys.stdin.buffer.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            stopped.set()
            return
        command: dict[str, Any] = json.loads(line)
        if command["do"] == "counts":
            _say(self._counts())
        elif command["do"] == "move":
            self._moving.begin(command["changes"])
            _say({})
        else:
            _say(self._moving.told())

    def _counts(self) -> dict[str, int]:
        requests = sum(spoiler.requests for spoiler in self._spoilers)
        faults = sum(spoiler.faults for spoiler in self._spoilers)
        return {"requests": requests, "faults": faults + self._fakes["limited"].refused}


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Service().run())
