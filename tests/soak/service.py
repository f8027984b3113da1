"""Fakes of the soak, in a process of their own, so that their memory is not counted as the client's.

Commands are JSON lines on standard input, results are JSON lines on standard output. The first line on standard output
has the addresses of the fakes.
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

from .catalogues import CHANGING, STEADY, irregular
from .faults import FaultInjector


class ChangingCatalogue:
    """Catalogue that changes during a crawl, with a record of the ids that were ever in it."""

    def __init__(self, fake: FakeJogg) -> None:
        self._fake = fake
        self._ever: set[int] = set()

    def begin(self, changes: list[list[Any]]) -> None:
        """Reset the catalogue, and schedule changes: `[responses before it, "insert" or "remove", index]`."""
        self._fake.clear()
        catalogue = self._fake.catalogue
        catalogue.remove(slice(None))
        self._ever = set(catalogue.insert(count=CHANGING))
        for responses, kind, index in changes:
            self._fake.mutate_after(responses, self._insert(index) if kind == "insert" else self._remove(index))

    def contents(self) -> dict[str, list[int]]:
        return {"ever": sorted(self._ever), "now": [row["id"] for row in self._fake.catalogue]}

    def _insert(self, index: int) -> Callable[[Catalogue], None]:
        return lambda catalogue: self._ever.update(catalogue.insert(index))

    def _remove(self, index: int) -> Callable[[Catalogue], None]:
        return lambda catalogue: catalogue.remove(index)


class Service:
    """The fakes and the commands that control them."""

    def __init__(self) -> None:
        rng = Random(1)
        self._fakes = {
            "steady": FakeJogg(STEADY, latency=0.002, jitter=0.006, slow_fraction=0.02, record=False),
            "irregular": FakeJogg(irregular(), jitter=0.004, record=False),
            "limited": FakeJogg(STEADY, rate_limit=RateLimit(150, 20, retry_after=0.1), jitter=0.004, record=False),
            "changing": FakeJogg(0, jitter=0.004, record=False),
        }
        self._injectors = [FaultInjector(self._fakes[name], rng) for name in ("steady", "irregular", "limited")]
        self._changing = ChangingCatalogue(self._fakes["changing"])

    async def run(self) -> None:
        stopped = asyncio.Event()
        async with AsyncExitStack() as stack:
            for fake in self._fakes.values():
                await stack.enter_async_context(fake)
            _print({name: fake.url for name, fake in self._fakes.items()})
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._handle_command, stopped)
            await stopped.wait()

    def _handle_command(self, stopped: asyncio.Event) -> None:
        line = sys.stdin.buffer.readline()
        if not line:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            stopped.set()
            return
        command: dict[str, Any] = json.loads(line)
        if command["do"] == "counts":
            _print(self._counts())
        elif command["do"] == "move":
            self._changing.begin(command["changes"])
            _print({})
        else:
            _print(self._changing.contents())

    def _counts(self) -> dict[str, int]:
        requests = sum(injector.requests for injector in self._injectors)
        faults = sum(injector.faults for injector in self._injectors)
        return {"requests": requests, "faults": faults + self._fakes["limited"].refused}


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Service().run())
