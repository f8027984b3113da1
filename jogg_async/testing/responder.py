"""Decides what is answered to each request, and when: limits, faults, latency, then the service's own rules."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING

from .answers import Answer, Code
from .limits import RateGate
from .script import ChangeScript, FaultScript
from .service import ENDPOINT, MusicService

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .faults import Fault
    from .limits import Latency, RateLimit
    from .record import SeenRequest

__all__ = ["Responder", "dice"]


def dice(seed: int, purpose: str) -> Random:
    """Random numbers for one purpose, so that a rate of errors does not change the latencies of the same seed."""
    return Random(f"{seed} {purpose}")  # noqa: S311 (no secret)


class Responder:
    """Makes the answers of a fake.

    Args:
        catalogue: The tracks; planned changes are made to it.
        service: The rules of the endpoint.
        latency: How long answers take.
        rate_limit: What is refused; `None` is nothing.
        error_rate: The share of requests, 0 to 1, answered with `code` 50000.
        seed: Decides which.

    Attributes:
        faults: The faults in waiting.
        changes: The changes of the catalogue in waiting.

    Raises:
        ValueError: `error_rate` is outside 0 to 1.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        service: MusicService,
        latency: Latency,
        rate_limit: RateLimit | None,
        error_rate: float,
        seed: int,
    ) -> None:
        if not 0 <= error_rate <= 1:
            raise ValueError(f"error_rate must be 0 to 1, not {error_rate}")
        self.faults: FaultScript = FaultScript()
        self.changes: ChangeScript = ChangeScript()
        self._catalogue = catalogue
        self._service = service
        self._latency = latency
        self._gate = RateGate(rate_limit, time.monotonic)
        self._error_rate = error_rate
        self._draw = dice(seed, "errors").random

    async def respond(self, seen: SeenRequest) -> tuple[Answer, Fault | None]:
        """The answer to one request, and the fault that is to spoil its delivery."""
        if seen.path != ENDPOINT:
            return await self._after_a_while(seen)
        refusal = self._gate.refusal(self._service.failure)
        if refusal is not None:
            return refusal, None
        answer, fault = await self._after_a_while(seen)
        return self._gate.counted(answer), fault

    async def _after_a_while(self, seen: SeenRequest) -> tuple[Answer, Fault | None]:
        # All chances are taken on arrival: they then depend on the order of requests alone, not on that of the answers.
        fault = self.faults.take(seen)
        fails = self._draw() < self._error_rate and seen.path == ENDPOINT
        seconds = self._latency.next() + (fault.delay if fault else 0.0)
        if seconds > 0:
            await asyncio.sleep(seconds)
        answer = self._service.failure(Code.SYSTEM) if fails else self._answer(seen)
        return fault.alter(answer) if fault else answer, fault

    def _answer(self, seen: SeenRequest) -> Answer:
        if seen.path != ENDPOINT or seen.method != "GET":
            return self._service.other(seen.method, seen.path, seen.headers)
        answer = self._service.page(seen.query, seen.headers)
        if answer.code == Code.SUCCESS:
            self.changes.answered(self._catalogue)
        return answer
