"""The targets: figures of the library, each with its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from .figures import Figures, Value, Verdict, asleep, cpu, growth, paused, refused, requests, wall
from .peers import GATHER, LIMIT, OURS, OURS_BY_PAGE, RETRIED, TUNED
from .scenarios import CONCURRENCY

_MOST_REQUESTED: Final = 1 + 16 * CONCURRENCY + 16
"""Number of pages that may be requested: the one that the consumer reads, and those that may be prefetched."""

_SCALES: Final = ("scale, 100", "scale, 1000", "scale, 10000")

Figure = Callable[[Figures, str], float | None]


@attrs.frozen
class Target:
    """One target: scenario, text, and a figure of a variant with its upper bound."""

    scenario: str
    text: str
    bound: float
    figure: Figure
    unit: str = "×"  # noqa: RUF001
    variant: str = OURS


def _targets() -> Iterator[Target]:
    yield Target("latency", "time / theory", 1.03, _to_theory("latency"))
    yield Target("tail", "time / theory", 1.15, _to_theory("tail"))
    yield Target("small", "time / theory", 1.10, _to_theory("small"))
    yield Target("again", "time / one round trip", 1.20, _to_theory("again"))
    yield Target("first track", "time / the limit's", 1.1, _to_limit("first track"))
    yield from _of_cpu()
    yield from _of_errors()
    yield from _of_rates()
    yield from _of_memory()
    yield Target("import", "time / aiohttp, attrs and cattrs alone", 1.15, _import_ratio)


def _of_cpu() -> Iterator[Target]:
    yield Target("cpu", "CPU / the limit's", 1.4, _to_limit("cpu"))
    yield Target("cpu", "CPU / the best peer's", 1.0, _to_best_peer)
    yield Target("cpu", "CPU / a hand-optimized gather", 1.0, _to_peer("cpu", TUNED, cpu))
    yield Target("unknown", "CPU / the limit's", 2.2, _to_limit("unknown"))
    yield Target("unknown", "CPU / the limit's, by page", 2.0, _to_limit("unknown"), variant=OURS_BY_PAGE)
    yield Target("unknown", "CPU / a gather's", 1.0, _to_peer("unknown", GATHER, cpu))
    yield Target("gzip", "CPU / the limit's", 1.4, _to_limit("gzip"))


def _of_errors() -> Iterator[Target]:
    for concurrency in (8, CONCURRENCY):
        name = f"errors, {concurrency} at once"
        yield Target(name, "time / theory", 1.15, _to_theory(name))
        yield Target(name, "growth", 10, _median(name, growth), "MB")
    name = "errors, no latency"
    yield Target(name, "time / a gather with stamina", 1.0, _to_peer(name, RETRIED, wall))
    for concurrency in (8, 32):
        name = f"outage, {concurrency} at once"
        yield Target(name, "requests / (concurrency * attempts)", 2.0, _to_attempts(name))


def _of_rates() -> Iterator[Target]:
    for name, bound in (("rate limit, 300", 1.45), ("rate limit, 1500", 1.12)):
        yield Target(name, "time / theory", bound, _to_theory(name))
        yield Target(name, "refused", 5, _median(name, lambda record: 100 * refused(record)), "%")
    yield Target("rate limit, lifted", "time / theory", 1.6, _to_theory("rate limit, lifted"))
    yield Target("chance", "time / the pauses", 1.5, _median("chance", lambda record: wall(record) / paused(record)))


def _of_memory() -> Iterator[Target]:
    yield Target("memory", "growth", 10, _median("memory", growth), "MB")
    yield Target("memory", "requested while the consumer sleeps", _MOST_REQUESTED, _median("memory", asleep), "pages")
    yield Target(_SCALES[-1], "CPU for a page, most / least expensive scale", 1.10, _most_to_least_expensive)
    yield Target(_SCALES[-1], "growth beyond that of 1,000 pages", 1.0, _growing, "MB")


def _to_theory(scenario: str) -> Figure:
    return lambda figures, variant: figures.to_theory(scenario, variant)


def _to_limit(scenario: str) -> Figure:
    return lambda figures, variant: figures.to_limit(scenario, variant)


def _to_peer(scenario: str, peer: str, value: Value) -> Figure:
    return lambda figures, variant: figures.ratio(scenario, variant, (scenario, peer), value)


def _median(scenario: str, value: Value) -> Figure:
    return lambda figures, variant: figures.value(scenario, variant, value)


def _to_attempts(scenario: str) -> Figure:
    def figure(figures: Figures, variant: str) -> float | None:
        sent, run = figures.value(scenario, variant, requests), figures.scenarios.get(scenario)
        return sent / run.concurrency / run.attempts if sent and run and run.attempts else None

    return figure


def verdicts(figures: Figures) -> list[Verdict]:
    """Return the verdict on every target measured, with the figures of our variants and of the best peer."""
    return [_verdict(target, figures) for target in _targets() if figures.has(target.scenario)]


def _verdict(target: Target, figures: Figures) -> Verdict:
    names = figures.variants(target.scenario) or [OURS]
    ours = {name: target.figure(figures, name) for name in names if name.startswith(OURS)}
    others = {name: target.figure(figures, name) for name in names if not name.startswith((OURS, LIMIT))}
    found = [(figure, name) for name, figure in others.items() if figure is not None]
    best = min(found, default=None)
    return Verdict(
        target.scenario, target.text, target.bound, target.unit, target.variant, ours, best and (best[1], best[0])
    )


def _to_best_peer(figures: Figures, variant: str) -> float | None:
    peers = [name for name in figures.variants("cpu") if not name.startswith((OURS, LIMIT, TUNED))]
    ratios = [figures.ratio("cpu", variant, ("cpu", peer), cpu) for peer in peers if peer != variant]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _most_to_least_expensive(figures: Figures, variant: str) -> float | None:
    costs = [_cost(figures, scenario, variant) for scenario in _SCALES]
    known = [cost for cost in costs if cost is not None]
    return max(known) / min(known) if len(known) == len(_SCALES) else None


def _cost(figures: Figures, name: str, variant: str) -> float | None:
    seconds = figures.value(name, variant, cpu)
    if seconds is None:
        return None
    scenario = figures.scenarios[name]
    return seconds / scenario.crawls / scenario.settings.pages


def _growing(figures: Figures, variant: str) -> float | None:
    most, some = (figures.value(scenario, variant, growth) for scenario in ("scale, 10000", "scale, 1000"))
    return None if most is None or some is None else max(0.0, most - some)


def _import_ratio(figures: Figures, variant: str) -> float | None:
    return figures.import_ratio if variant == OURS else None
