"""From measurements to figures: medians over the rounds; ratios within a round, where all met the same noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final

import attrs

from .measure import Record
from .scenarios import Scenario

Value = Callable[[Record], float]

OURS = "ours"
LIMIT = "limit"


class Figures:
    """All measurements of a run.

    Args:
        records: the measurements.
        scenarios: what was measured.
        import_ratio: what importing the library costs, in times of what it stands on.
    """

    def __init__(self, records: Iterable[Record], scenarios: Iterable[Scenario], import_ratio: float | None) -> None:
        self.scenarios = {scenario.name: scenario for scenario in scenarios}
        self.import_ratio = import_ratio
        self._records: defaultdict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
        for record in records:
            self._records[record.scenario, record.variant][record.turn] = record

    def has(self, scenario: str) -> bool:
        """Whether a scenario was measured, or one whose name begins with this."""
        if scenario == "import":
            return self.import_ratio is not None
        return any(name.startswith(scenario) for name in self.scenarios)

    def variants(self, scenario: str) -> list[str]:
        """Who took part, in the order of the measurements."""
        return [variant for name, variant in self._records if name == scenario]

    def records(self, scenario: str, variant: str) -> list[Record]:
        return list(self._records.get((scenario, variant), {}).values())

    def error(self, scenario: str, variant: str) -> str:
        """How a measurement failed; empty where none did."""
        return next((found.result.error for found in self.records(scenario, variant) if found.result.error), "")

    def value(self, scenario: str, variant: str, value: Value) -> float | None:
        """The median over the rounds; `None` where one failed or none was taken."""
        records = self.records(scenario, variant)
        if not records or self.error(scenario, variant):
            return None
        return median(value(record) for record in records)

    def ratio(self, scenario: str, variant: str, other: tuple[str, str], value: Value) -> float | None:
        """The median of each round's ratio to another measurement of the same round."""
        mine, its = self._records.get((scenario, variant), {}), self._records.get(other, {})
        both = [number for number in mine if number in its]
        if not both or self.error(scenario, variant) or self.error(*other):
            return None
        return median(value(mine[number]) / value(its[number]) for number in both)

    def to_theory(self, scenario: str, variant: str) -> float | None:
        theory = self.scenarios[scenario].theory if scenario in self.scenarios else 0.0
        seconds = self.value(scenario, variant, wall)
        return seconds / theory if theory and seconds is not None else None

    def to_limit(self, scenario: str, variant: str) -> float | None:
        """The scenario's metric in times of the limit's, on the same loop and interpreter."""
        if scenario not in self.scenarios or self.scenarios[scenario].metric not in METRICS:
            return None
        value = METRICS[self.scenarios[scenario].metric]
        return self.ratio(scenario, variant, (scenario, self._limit_of(scenario, variant)), value)

    def _limit_of(self, scenario: str, variant: str) -> str:
        parted = variant.partition(", ")
        same = "".join((LIMIT, *parted[1:])) if parted[0] in (OURS, LIMIT) else LIMIT
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


def refused(record: Record) -> float:
    return record.counts.refused / max(1, record.counts.requests)


METRICS: Final[dict[str, Value]] = {"wall": wall, "cpu": cpu, "first": first}


@attrs.frozen
class Verdict:
    """One thing asked, and what was found.

    Attributes:
        asked: what is asked, in words.
        bound: the figure may be no higher.
        unit: of the figure.
        figures: by variant of ours.
        best: the best peer and its figure.
    """

    scenario: str
    asked: str
    bound: float
    unit: str
    figures: dict[str, float | None]
    best: tuple[str, float] | None

    @property
    def met(self) -> bool:
        """Whether it is met; a measurement that failed meets nothing."""
        figure = self.figures.get(OURS)
        return figure is not None and figure <= self.bound
