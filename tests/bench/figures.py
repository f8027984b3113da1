"""Figures from measurements: medians over the rounds, and medians of ratios within the same repetition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final

import attrs

from .measure import Record
from .peers import LIMIT, OURS
from .scenarios import Scenario

Value = Callable[[Record], float]


class Figures:
    """All measurements of a run.

    Args:
        records: the measurements.
        scenarios: the scenarios that were measured.
        import_ratio: time to import the library, divided by that of its dependencies.
    """

    def __init__(self, records: Iterable[Record], scenarios: Iterable[Scenario], import_ratio: float | None) -> None:
        self.scenarios = {scenario.name: scenario for scenario in scenarios}
        self.import_ratio = import_ratio
        self._records: defaultdict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
        for record in records:
            self._records[record.scenario, record.variant][record.repetition] = record

    def has(self, scenario: str) -> bool:
        """Return True if a scenario was measured."""
        return self.import_ratio is not None if scenario == "import" else scenario in self.scenarios

    def variants(self, scenario: str) -> list[str]:
        """Return the variants that ran, in the order of the measurements."""
        return [variant for name, variant in self._records if name == scenario]

    def records(self, scenario: str, variant: str) -> list[Record]:
        return list(self._records.get((scenario, variant), {}).values())

    def error(self, scenario: str, variant: str) -> str:
        """Return the error of the first failed measurement; empty if none failed."""
        return next((found.result.error for found in self.records(scenario, variant) if found.result.error), "")

    def value(self, scenario: str, variant: str, value: Value) -> float | None:
        """Return the median over the rounds; `None` if a measurement failed or none was taken."""
        records = self.records(scenario, variant)
        if not records or self.error(scenario, variant):
            return None
        return median(value(record) for record in records)

    def ratio(self, scenario: str, variant: str, other: tuple[str, str], value: Value) -> float | None:
        """Return the median of the ratios to another measurement of the same repetition."""
        upper, lower = self._records.get((scenario, variant), {}), self._records.get(other, {})
        both = [number for number in upper if number in lower]
        if not both or self.error(scenario, variant) or self.error(*other):
            return None
        return median(value(upper[number]) / value(lower[number]) for number in both)

    def to_theory(self, scenario: str, variant: str) -> float | None:
        """Return the time divided by the scenario's theoretical minimum."""
        theory = self.scenarios[scenario].theory if scenario in self.scenarios else 0.0
        seconds = self.value(scenario, variant, wall)
        return seconds / theory if theory and seconds is not None else None

    def to_limit(self, scenario: str, variant: str) -> float | None:
        """Return the scenario's metric divided by that of the peer `LIMIT`, on the same loop and interpreter."""
        if scenario not in self.scenarios or self.scenarios[scenario].metric not in METRICS:
            return None
        value = METRICS[self.scenarios[scenario].metric]
        return self.ratio(scenario, variant, (scenario, self._limit_of(scenario, variant)), value)

    def _limit_of(self, scenario: str, variant: str) -> str:
        parts = variant.partition(", ")
        same = "".join((LIMIT, *parts[1:])) if parts[0] in (OURS, LIMIT) else LIMIT
        return same if (scenario, same) in self._records else LIMIT


def wall(record: Record) -> float:
    return record.result.wall


def cpu(record: Record) -> float:
    return record.result.cpu


def first(record: Record) -> float:
    return record.result.first


def growth(record: Record) -> float:
    return record.result.growth


def asleep(record: Record) -> float:
    return record.counts.asleep


def requests(record: Record) -> float:
    return record.counts.requests


def paused(record: Record) -> float:
    return record.counts.paused


def refused(record: Record) -> float:
    return record.counts.refused / max(1, record.counts.requests)


METRICS: Final[dict[str, Value]] = {"wall": wall, "cpu": cpu, "first": first}


@attrs.frozen
class Verdict:
    """A target and its figures.

    Attributes:
        scenario: the scenario's name.
        target: the target's text.
        bound: highest figure that meets the target.
        unit: unit of the figure.
        variant: the variant that has to meet the target.
        figures: the figure of each variant of ours.
        best: the best peer and its figure.
    """

    scenario: str
    target: str
    bound: float
    unit: str
    variant: str
    figures: dict[str, float | None]
    best: tuple[str, float] | None

    @property
    def met(self) -> bool:
        """True if the target is met; False if a measurement failed."""
        figure = self.figures.get(self.variant)
        return figure is not None and figure <= self.bound
