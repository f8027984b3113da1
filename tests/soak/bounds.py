"""Bounds of the soak: growth from the first quarter to the last, slopes, leaks and fairness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import linear_regression, median
from typing import Final

import attrs

from .environment import POOLED
from .fairness import Fairness
from .run import Outcome
from .samples import Sample

_WARM_UP: Final = 0.1
"""Share of the run that is left out at its start, while caches fill and the allocator grows."""

_LONG: Final = 30.0
"""Minutes from which the slope is more precise than the difference of the quarters."""

_RSS_AN_HOUR: Final = 3.0
"""Megabytes per hour. 50 bytes leaked by each of an hour's 70,000 crawls would exceed it, and so would a tenth of a
byte by each of its 40 million tracks. A single late step of the allocator is about as large."""

_RSS_QUARTERS: Final = 4.0
"""Megabytes between the first and the last quarter of a short run: noise of windows and allocator."""

_OBJECTS: Final = 1000
"""Tracked objects between the idle samples of the first quarter and those of the last. Idle connections vary by some
hundred objects; one object leaked by each crawl would add a thousand a minute."""


@attrs.frozen
class Row:
    """Line of the summary: medians of the first and the last quarter, and the slope per hour."""

    name: str
    first: float
    last: float
    slope: float


@attrs.frozen
class BoundResult:
    """Result of one bound; `holds` is False if it was exceeded."""

    holds: bool
    text: str


Figure = Callable[[Sample], float]

_FIGURES: Final[dict[str, Figure]] = {
    "RSS, MB": lambda each: each.rss,
    "descriptors": lambda each: each.files + each.sockets,
    "tasks": lambda each: each.tasks,
    "threads": lambda each: each.threads,
    "CLOSE_WAIT": lambda each: each.close_wait,
    "TIME_WAIT": lambda each: each.time_wait,
}
_IDLE_FIGURES: Final[dict[str, Figure]] = {
    "idle RSS, MB": lambda each: each.rss,
    "idle objects": lambda each: each.objects,
    "idle descriptors": lambda each: each.files + each.sockets,
    "idle tasks": lambda each: each.tasks,
}


def warm(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples after the warm-up."""
    begin = samples[-1].seconds * _WARM_UP
    return [each for each in samples if each.seconds >= begin]


def rows(samples: Sequence[Sample], idle_samples: Sequence[Sample]) -> list[Row]:
    """Return the lines of the summary."""
    busy = [each for each in warm(samples) if not each.idle]
    idle = warm(idle_samples)
    return [_row(name, figure, busy) for name, figure in _FIGURES.items()] + [
        _row(name, figure, idle) for name, figure in _IDLE_FIGURES.items()
    ]


def _row(name: str, figure: Figure, samples: Sequence[Sample]) -> Row:
    quarter = max(1, len(samples) // 4)
    values = [figure(each) for each in samples]
    times = [each.seconds / 3600 for each in samples]
    slope = linear_regression(times, values).slope if len(values) > 1 else 0.0
    return Row(name, median(values[:quarter]), median(values[-quarter:]), slope)


def bound_results(samples: Sequence[Sample], outcome: Outcome, minutes: float) -> list[BoundResult]:
    """Return the result of every bound."""
    if outcome.failures:
        return [BoundResult(False, f"unexpected result: {text}") for text in outcome.failures]
    by_name = {row.name: row for row in rows(samples, outcome.idle_samples)}
    return [
        BoundResult(True, "every result was that of the sequential model"),
        _memory(by_name["RSS, MB"], minutes),
        _objects(by_name["idle objects"]),
        *_idle(outcome.idle_samples),
        BoundResult(
            outcome.left == (0, 0), f"descriptors and tasks left at the end: {outcome.left[0]}, {outcome.left[1]}"
        ),
        *[result for fairness in outcome.fairness for result in _fairness(fairness)],
    ]


def _memory(row: Row, minutes: float) -> BoundResult:
    if minutes >= _LONG:
        return BoundResult(row.slope < _RSS_AN_HOUR, f"RSS: {row.slope:+.2f} MB an hour, below {_RSS_AN_HOUR:g}")
    grown = row.last - row.first
    return BoundResult(
        grown <= _RSS_QUARTERS, f"RSS, last quarter over first: {grown:+.2f} MB, at most {_RSS_QUARTERS:g}"
    )


def _objects(row: Row) -> BoundResult:
    grown = row.last - row.first
    return BoundResult(grown <= _OBJECTS, f"idle objects, last quarter over first: {grown:+.0f}, at most {_OBJECTS}")


def _idle(idle_samples: Sequence[Sample]) -> list[BoundResult]:
    first, others = idle_samples[0], idle_samples[1:]
    files, tasks, threads = ({getattr(each, name) for each in others} for name in ("files", "tasks", "threads"))
    pooled = max(each.sockets for each in others) - first.sockets
    waiting = max(each.close_wait for each in others)
    return [
        BoundResult(files == {first.files}, f"files in {len(others)} idle samples: {files}, at first {first.files}"),
        BoundResult(tasks == {first.tasks}, f"tasks in idle samples: {tasks}, at first {first.tasks}"),
        BoundResult(threads == {first.threads}, f"threads in idle samples: {threads}, at first {first.threads}"),
        BoundResult(pooled <= POOLED, f"idle connections: {pooled}, at most {POOLED}"),
        BoundResult(waiting == 0, f"connections in CLOSE_WAIT in idle samples: {waiting}"),
    ]


def _fairness(measured: Fairness) -> list[BoundResult]:
    spread, first_end, waited = measured.spread, measured.first_end, measured.waited
    return [
        BoundResult(spread <= 2, f"pages by which one pager was ahead of another: {spread}, at most 2"),
        BoundResult(first_end >= 0.7, f"pages yielded when the first pager ended: {first_end:.0%}, at least 70 %"),
        BoundResult(waited <= 2100, f"pages yielded while a single page was fetched: {waited}, at most one round"),
    ]
