"""What is measured, and the theory: the time that the server's own waits leave no way around."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import attrs

from .catalogue import fails
from .peers import PEERS
from .server import Settings

CONCURRENCY: Final = 16
_SERIAL: Final = tuple(peer.name for peer in PEERS.values() if peer.serial)
_RETRYING: Final = tuple(peer.name for peer in PEERS.values() if peer.retries)
_ALL: Final = tuple(PEERS)


@attrs.frozen
class Scenario:
    """One row of measurements.

    Attributes:
        name: its name, by which `--only` finds it.
        settings: how the server behaves.
        peers: who takes part.
        theory: seconds below which nobody can be; 0 where it cannot be computed.
        metric: what the table compares: a field of the result, or ``cpu`` for µs of CPU a track.
        once: who runs in the first round alone, since it takes long.
        rounds: the most rounds worth their time.
        times: how often everyone takes part in a round: more than once where a measurement is short.
        cap: seconds after which a peer is given up.
        pause: seconds for which the consumer sleeps after its first track.
        early: whether the limit opens connections before it needs them.
        warm: crawls before the measurement.
        crawls: crawls measured together.
        columns: whether uvloop and other Pythons take part.
    """

    name: str
    settings: Settings
    peers: tuple[str, ...] = _ALL
    theory: float = 0.0
    metric: str = "wall"
    once: tuple[str, ...] = ()
    rounds: int = 100
    times: int = 1
    cap: float = 120.0
    pause: float = 0.0
    early: bool = False
    warm: int = 0
    crawls: int = 1
    columns: bool = True


def waves(pages: int, latency: float) -> float:
    """Page 1, which tells how many there are, then the others in waves."""
    return (1 + math.ceil((pages - 1) / CONCURRENCY)) * latency


def shared_out(settings: Settings) -> float:
    """Page 1, then the others' latencies shared out evenly."""
    rest = sum(settings.latency_of(page) for page in range(2, settings.pages + 1))
    return settings.latency_of(1) + rest / CONCURRENCY


def rationed(settings: Settings) -> float:
    """The burst at once, then the rate."""
    return (settings.pages - settings.burst) / settings.rate


def longest_backoff(settings: Settings, initial: float) -> float:
    """The most seconds that the errors of one page cost in waits: `initial`, and twice as long each time."""
    return max(_backoff(settings, page, initial) for page in range(1, settings.pages + 1))


def _backoff(settings: Settings, page: int, initial: float) -> float:
    waited, attempt = 0.0, 1
    while fails(page, attempt, settings.faults):
        waited += initial * 2 ** (attempt - 1)
        attempt += 1
    return waited


def scenarios(*, quick: bool) -> list[Scenario]:
    """All of them; a tenth of the pages where it has to be quick."""
    return list(_scenarios(10 if quick else 1))


def _scenarios(part: int) -> Iterator[Scenario]:
    latency = Settings(pages=1000 // part, latency=0.05)
    tail = Settings(pages=1000 // part, latency=0.02, slow_share=0.02)
    small = Settings(pages=3, latency=0.03, opening=0.06)
    yield Scenario("latency", latency, theory=waves(latency.pages, latency.latency), once=_SERIAL)
    yield Scenario("tail", tail, theory=shared_out(tail), once=_SERIAL)
    yield Scenario("cpu", Settings(pages=2000 // part), metric="cpu")
    yield Scenario("small", small, theory=small.opening + 2 * small.latency, early=True, times=3)
    yield from _rates(part)
    yield Scenario("faults", attrs.evolve(latency, faults=0.05), _RETRYING, once=_SERIAL, columns=False)
    yield Scenario("faults, none", latency, ("ours",), columns=False)
    memory = Settings(pages=5000 // part)
    yield Scenario("memory", memory, metric="growth", once=_SERIAL, rounds=3, pause=2.0, columns=False)
    yield from _scales(part)
    yield Scenario("first track", Settings(pages=32, latency=0.02), metric="first", times=5)


def _rates(part: int) -> Iterator[Scenario]:
    others = tuple(peer for peer in _RETRYING if not peer.startswith("ours"))
    for pages, peers in ((300, ("ours", *others)), (1500, ("ours",))):
        settings = Settings(pages=pages // min(part, 5), rate=50, burst=10)
        yield Scenario(
            f"rate limit, {pages}", settings, peers, rationed(settings), once=others, rounds=3, cap=60, columns=False
        )


def _scales(part: int) -> Iterator[Scenario]:
    for pages, crawls in ((100, 20), (1000, 2), (10000, 1)):
        settings = Settings(pages=pages // min(part, 5))
        warm = 1 if crawls > 1 else 0
        yield Scenario(
            f"scale, {pages}", settings, ("ours", "limit"), metric="cpu", warm=warm, crawls=crawls, columns=False
        )
