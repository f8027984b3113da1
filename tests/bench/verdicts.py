"""What is asked of the library, as figures with a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import attrs

from jogg_async import RetryPolicy

from .figures import LIMIT, OURS, Figures, Value, Verdict, asleep, cpu, growth, refused, wall
from .peers import TUNED
from .scenarios import CONCURRENCY, longest_backoff

_MOST_ASKED: Final = 1 + 16 * CONCURRENCY + 16
"""The page that the consumer reads, and what may be fetched ahead of it."""

_SCALES: Final = ("scale, 100", "scale, 1000", "scale, 10000")

Figure = Callable[[Figures, str], float | None]


@attrs.frozen
class Row:
    """One thing asked: in which scenario, in words, and as a figure of a variant."""

    scenario: str
    asked: str
    bound: float
    figure: Figure
    unit: str = "×"  # noqa: RUF001


def _rows() -> Iterator[Row]:
    yield Row("latency", "time to theory", 1.03, _to_theory("latency"))
    yield Row("tail", "time to theory", 1.15, _to_theory("tail"))
    yield Row("cpu", "CPU to the limit's", 1.4, _to_limit("cpu"))
    yield Row("cpu", "CPU to the best peer's", 1.0, _to_best_peer)
    yield Row("cpu", "CPU to a gather made fast by hand", 1.0, lambda figures, who: _to_peer(figures, who, TUNED))
    yield Row("small", "time to theory", 1.10, _to_theory("small"))
    for scenario, bound in (("rate limit, 300", 2.0), ("rate limit, 1500", 1.25)):
        yield Row(scenario, "time to theory", bound, _to_theory(scenario))
        yield Row(scenario, "refused", 5, _median(scenario, lambda record: 100 * refused(record)), "%")
    yield Row("faults", "time to the faultless time plus the longest backoff", 1.15, _to_faultless)
    yield Row("memory", "growth", 10, _median("memory", growth), "MB")
    yield Row("memory", "asked for while it sleeps", _MOST_ASKED, _median("memory", asleep), "pages")
    yield Row("scale", "CPU for a page, dearest to cheapest", 1.10, _dearest_to_cheapest)
    yield Row("scale", "growth, 10,000 pages beyond 1,000", 1.0, _growing, "MB")
    yield Row("first track", "time to the limit's", 1.1, _to_limit("first track"))
    yield Row("import", "time to aiohttp, attrs and cattrs alone", 1.15, _importing)


def _to_theory(scenario: str) -> Figure:
    return lambda figures, who: figures.to_theory(scenario, who)


def _to_limit(scenario: str) -> Figure:
    return lambda figures, who: figures.to_limit(scenario, who)


def _median(scenario: str, value: Value) -> Figure:
    return lambda figures, who: figures.value(scenario, who, value)


def verdicts(figures: Figures) -> list[Verdict]:
    """Every row that was measured, for each variant of ours, beside the best peer."""
    return [_verdict(row, figures) for row in _rows() if figures.has(row.scenario)]


def _verdict(row: Row, figures: Figures) -> Verdict:
    scenario = "scale, 100" if row.scenario == "scale" else row.scenario
    names = figures.variants(scenario) or [OURS]
    ours = {name: row.figure(figures, name) for name in names if name.startswith(OURS)}
    others = {name: row.figure(figures, name) for name in names if not name.startswith((OURS, LIMIT))}
    found = [(figure, name) for name, figure in others.items() if figure is not None]
    best = min(found, default=None)
    return Verdict(row.scenario, row.asked, row.bound, row.unit, ours, best and (best[1], best[0]))


def _to_best_peer(figures: Figures, who: str) -> float | None:
    peers = [name for name in figures.variants("cpu") if not name.startswith((OURS, LIMIT, TUNED))]
    ratios = [_to_peer(figures, who, peer) for peer in peers if peer != who]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _to_peer(figures: Figures, who: str, peer: str) -> float | None:
    return figures.ratio("cpu", who, ("cpu", peer), cpu)


def _to_faultless(figures: Figures, who: str) -> float | None:
    mine = figures.value("faults", who, wall)
    faultless = figures.value("faults, none", OURS, wall)
    if mine is None or faultless is None:
        return None
    backoff = longest_backoff(figures.scenarios["faults"].settings, RetryPolicy().wait_initial)
    return mine / (faultless + backoff)


def _dearest_to_cheapest(figures: Figures, who: str) -> float | None:
    costs = [_cost(figures, scenario, who) for scenario in _SCALES]
    known = [cost for cost in costs if cost is not None]
    return max(known) / min(known) if len(known) == len(_SCALES) else None


def _cost(figures: Figures, scenario: str, who: str) -> float | None:
    seconds = figures.value(scenario, who, cpu)
    if seconds is None:
        return None
    asked = figures.scenarios[scenario]
    return seconds / asked.crawls / asked.settings.pages


def _growing(figures: Figures, who: str) -> float | None:
    most, some = (figures.value(scenario, who, growth) for scenario in ("scale, 10000", "scale, 1000"))
    return None if most is None or some is None else max(0.0, most - some)


def _importing(figures: Figures, who: str) -> float | None:
    return figures.import_ratio if who == OURS else None
