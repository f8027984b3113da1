"""Faults of the soak: a request names the faults that it may meet in its query parameters."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from jogg_async.testing import Fault

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg, RecordedRequest

TRANSIENT: Final = {
    "system": Fault.business(50000),
    "system, http 500": Fault.business(50000, http_status=500),
    "system, named wait": Fault.business(50000, retry_after=0.02),
    "html 503": Fault.html(503),
    "garbage 502": Fault.raw(b"\x00\xff{]", status=502),
    "timeout 408": Fault.html(408),
    "drop": Fault.drop(),
    "reset": Fault.reset(),
    "truncate": Fault.truncate(),
    "truncate, chunked": Fault.truncate(chunked=True),
    "stall": Fault.stall(3.0),
    "stall in the body": Fault.stall_body(3.0),
}
"""Faults that a retry overcomes. The stalls are longer than the timeout of the sessions."""

HARMLESS: Final = {"slow": Fault.slow(0.1), "drip": Fault.drip(0.05), "gzip": Fault.gzip()}
LIMIT: Final = {"limit": Fault.business(429, retry_after=0.05), "limit, unnamed": Fault.business(429)}
FATAL: Final = {
    "10104": Fault.business(10104, http_status=404),
    "10105": Fault.business(10105, http_status=401),
    "18020": Fault.business(18020),
    "18025": Fault.business(18025, http_status=403),
    "40000": Fault.business(40000),
    "garbage": Fault.raw(b"{]"),
    "types": Fault.wrong_types("duration", "12"),
}
"""Faults that are not retried."""

CHAOS: Final = [*TRANSIENT.values(), *HARMLESS.values()] * 3 + [*LIMIT.values()]


class FaultInjector:
    """Apply the faults that requests name in their query.

    ``chaos`` is the share of requests that meet a transient or harmless fault. ``fail_page`` is the page of which every
    second request, on average, meets the permanent fault ``fault``.

    Args:
        fake: it must have no other faults and no scheduled changes.
        rng: source of the random choices.
    """

    def __init__(self, fake: FakeJogg, rng: Random) -> None:
        self._fake = fake
        self._dice = rng
        self.requests = self.faults = 0
        fake.on_request = self._inject

    def _inject(self, seen: RecordedRequest) -> None:
        self.requests += 1
        fault = self._choose(seen)
        if fault is not None:
            self.faults += 1
            self._fake.clear()  # drop faults already used
            self._fake.fail(fault)

    def _choose(self, seen: RecordedRequest) -> Fault | None:
        query = seen.query
        if query.get("fail_page") == str(seen.page) and self._dice.random() < 0.5:
            return FATAL[query["fault"]]
        if self._dice.random() < float(query.get("chaos", 0)):
            return self._dice.choice(CHAOS)
        return None
