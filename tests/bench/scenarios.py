"""Scenarios, each with its theory: the least time that the server's latency and limits allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import attrs

from .peers import GATHER, LIMIT, OURS, OURS_BY_PAGE, PEERS, RETRIED, TUNED
from .server import Settings

CONCURRENCY: Final = 16
_OURS: Final = (OURS, OURS_BY_PAGE)
_SERIAL: Final = tuple(peer.name for peer in PEERS.values() if peer.serial)
_RETRYING: Final = tuple(peer.name for peer in PEERS.values() if peer.retries)
_ALL: Final = tuple(PEERS)


@attrs.frozen
class Scenario:
    """One table of measurements.

    Attributes:
        name: name, matched by `--only`.
        settings: behaviour of the server.
        peers: the peers that run.
        theory: least possible seconds; 0 if it cannot be computed.
        metric: figure that the table compares: a field of the result.
        concurrency: requests in flight at once.
        attempts: attempts for a request; `None` for each peer's own default.
        fails: True if the crawl has to end in an error.
        once: slow peers, which run in the first round only.
        rounds: maximum number of rounds.
        times: repetitions in a round: more than one if a measurement is short.
        cap: seconds after which a peer is stopped.
        pause: seconds for which the consumer sleeps after its first track.
        early: True to let the limit open connections before it needs them.
        warm: crawls before the measurement.
        crawls: crawls measured together.
        columns: True to run on uvloop and on other Pythons as well.
    """

    name: str
    settings: Settings
    peers: tuple[str, ...] = _ALL
    theory: float = 0.0
    metric: str = "wall"
    concurrency: int = CONCURRENCY
    attempts: int | None = None
    fails: bool = False
    once: tuple[str, ...] = ()
    rounds: int = 100
    times: int = 1
    cap: float = 120.0
    pause: float = 0.0
    early: bool = False
    warm: int = 0
    crawls: int = 1
    columns: bool = False


def waves(pages: int, latency: float, concurrency: int = CONCURRENCY) -> float:
    """Return the seconds for page 1, then the others in waves of `concurrency`."""
    return (1 + math.ceil((pages - 1) / concurrency)) * latency


def evenly_divided(settings: Settings) -> float:
    """Return the seconds for page 1, then the latencies of the others divided by the concurrency."""
    rest = sum(settings.latency_of(page) for page in range(2, settings.pages + 1))
    return settings.latency_of(1) + rest / CONCURRENCY


def limited(settings: Settings) -> float:
    """Return the seconds under the rate limit: the burst at once, then as the rate allows."""
    left, begun, rate = settings.pages - settings.burst, 0.0, settings.rate
    for changed, next_rate in settings.changes:
        admitted = (changed - begun) * rate
        if admitted >= left:
            break
        left, begun, rate = left - admitted, changed, next_rate
    return begun + left / rate


def scenarios(*, quick: bool) -> list[Scenario]:
    """Return all scenarios; if `quick`, with a tenth of the pages."""
    part = 10 if quick else 1
    return [*_speed(part), *_bodies(part), *_errors(part), *_limits(part), *_refusals(part), *_sizes(part)]


def _speed(part: int) -> Iterator[Scenario]:
    latency = Settings(pages=1000 // part, latency=0.05)
    tail = Settings(pages=1000 // part, latency=0.02, slow_share=0.02)
    small = Settings(pages=3, latency=0.03, opening=0.06)
    again = Settings(pages=CONCURRENCY, latency=0.05)
    yield Scenario("latency", latency, theory=waves(latency.pages, latency.latency), once=_SERIAL, columns=True)
    yield Scenario("tail", tail, theory=evenly_divided(tail), once=_SERIAL, columns=True)
    yield Scenario("small", small, theory=small.opening + 2 * small.latency, early=True, times=3, columns=True)
    yield Scenario("again", again, (*_OURS, LIMIT, GATHER), theory=again.latency, warm=1, times=3)
    yield Scenario("first track", Settings(pages=32, latency=0.02), metric="first", times=5, columns=True)


def _bodies(part: int) -> Iterator[Scenario]:
    plain = Settings(pages=2000 // part)
    peers = (*_OURS, LIMIT, GATHER, TUNED)
    yield Scenario("cpu", plain, metric="cpu", columns=True)
    yield Scenario("unknown", attrs.evolve(plain, undocumented=True), peers, metric="cpu")
    yield Scenario("gzip", attrs.evolve(plain, gzipped=True), peers, metric="cpu")


def _errors(part: int) -> Iterator[Scenario]:
    faults = Settings(pages=1000 // part, faults=0.05)
    delayed = attrs.evolve(faults, latency=0.05)
    peers = (*_OURS, RETRIED)
    for concurrency in (8, CONCURRENCY):
        theory = 1.05 * waves(delayed.pages, delayed.latency, concurrency)
        yield Scenario(f"errors, {concurrency} at once", delayed, peers, theory, concurrency=concurrency, rounds=3)
    yield Scenario("errors, no latency", faults, peers)
    outage = Settings(pages=1000, outage=2)
    for concurrency in (8, 32):
        yield Scenario(
            f"outage, {concurrency} at once", outage, (OURS, RETRIED), concurrency=concurrency, attempts=5, fails=True,
            rounds=2,
        )  # fmt: skip


def _limits(part: int) -> Iterator[Scenario]:
    others = tuple(peer for peer in _RETRYING if peer not in _OURS)
    for pages, peers in ((300, (OURS, *others)), (1500, (OURS,))):
        settings = Settings(pages=pages // min(part, 5), rate=50)
        yield Scenario(f"rate limit, {pages}", settings, peers, limited(settings), once=others, rounds=3, cap=60)
    lifted = Settings(pages=1000, latency=0.01, rate=50, changes=[(5, 5), (10, 200)])
    yield Scenario("rate limit, lifted", lifted, (OURS, RETRIED), limited(lifted), once=(RETRIED,), rounds=2, cap=60)


def _refusals(part: int) -> Iterator[Scenario]:
    settings = Settings(pages=200 // min(part, 4), refusals=0.1)
    yield Scenario("chance", settings, (OURS, RETRIED), once=(RETRIED,), rounds=2, cap=60)


def _sizes(part: int) -> Iterator[Scenario]:
    yield Scenario("memory", Settings(pages=5000 // part), metric="growth", once=_SERIAL, rounds=3, pause=2.0)
    for pages, crawls in ((100, 20), (1000, 2), (10000, 1)):
        settings = Settings(pages=pages // min(part, 5))
        warm = 1 if crawls > 1 else 0
        yield Scenario(f"scale, {pages}", settings, (OURS, LIMIT), metric="cpu", warm=warm, crawls=crawls)
