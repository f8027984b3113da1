"""Whether anything grew: quarters beside each other, slopes, and the bounds that they are held to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import linear_regression, median
from typing import Final

import attrs

from .run import Outcome
from .samples import Sample
from .world import POOLED

_WARM_UP: Final = 0.1
"""The share of a run that is left out: caches fill, and the allocator finds its size."""

_LONG: Final = 30.0
"""Minutes from which a slope says more than the noise of its ends."""

_RSS_AN_HOUR: Final = 3.0
"""Megabytes: 50 bytes leaked by each of an hour's 70,000 crawls would come to more, a tenth of a byte by each of its
40 million tracks; a single late step of the allocator comes to about as much."""

_RSS_QUARTERS: Final = 4.0
"""Megabytes between the first quarter and the last of a short run: what windows and the allocator move by."""

_OBJECTS: Final = 1000
"""Tracked objects between the rests of the first quarter and those of the last: connections kept for later come to some
hundreds more or less, and one object leaked by each crawl would come to a thousand a minute."""


@attrs.frozen
class Row:
    """A line of the summary: medians of the first and the last quarter, and the slope per hour."""

    name: str
    first: float
    last: float
    slope: float


@attrs.frozen
class Verdict:
    """A bound, and whether it held."""

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
    "RSS at rest, MB": lambda each: each.rss,
    "objects at rest": lambda each: each.objects,
    "descriptors at rest": lambda each: each.files + each.sockets,
    "tasks at rest": lambda each: each.tasks,
}


def warm(samples: Sequence[Sample]) -> list[Sample]:
    """The samples behind the warm-up."""
    begin = samples[-1].seconds * _WARM_UP
    return [each for each in samples if each.seconds >= begin]


def rows(samples: Sequence[Sample], rests: Sequence[Sample]) -> list[Row]:
    """The summary."""
    busy = [each for each in warm(samples) if not each.idle]
    resting = warm(rests)
    return [_row(name, figure, busy) for name, figure in _FIGURES.items()] + [
        _row(name, figure, resting) for name, figure in _IDLE_FIGURES.items()
    ]


def _row(name: str, figure: Figure, samples: Sequence[Sample]) -> Row:
    quarter = max(1, len(samples) // 4)
    values = [figure(each) for each in samples]
    times = [each.seconds / 3600 for each in samples]
    slope = linear_regression(times, values).slope if len(values) > 1 else 0.0
    return Row(name, median(values[:quarter]), median(values[-quarter:]), slope)


def verdicts(samples: Sequence[Sample], outcome: Outcome, minutes: float) -> list[Verdict]:
    """Every bound."""
    if outcome.wrong:
        return [Verdict(False, f"a result was wrong: {text}") for text in outcome.wrong]
    by_name = {row.name: row for row in rows(samples, outcome.rests)}
    return [
        Verdict(True, "every result was that of the sequential model"),
        _memory(by_name["RSS, MB"], minutes),
        _objects(by_name["objects at rest"]),
        *_rests(outcome.rests),
        Verdict(outcome.left == (0, 0), f"descriptors and tasks left at the end: {outcome.left[0]}, {outcome.left[1]}"),
        *[verdict for crowd in outcome.crowds for verdict in _fair(crowd.spread, crowd.first_end, crowd.waited)],
    ]


def _memory(row: Row, minutes: float) -> Verdict:
    if minutes >= _LONG:
        return Verdict(row.slope < _RSS_AN_HOUR, f"RSS: {row.slope:+.2f} MB an hour, below {_RSS_AN_HOUR:g}")
    grown = row.last - row.first
    return Verdict(grown <= _RSS_QUARTERS, f"RSS, last quarter over first: {grown:+.2f} MB, at most {_RSS_QUARTERS:g}")


def _objects(row: Row) -> Verdict:
    grown = row.last - row.first
    return Verdict(grown <= _OBJECTS, f"objects at rest, last quarter over first: {grown:+.0f}, at most {_OBJECTS}")


def _rests(rests: Sequence[Sample]) -> list[Verdict]:
    first, others = rests[0], rests[1:]
    files, tasks, threads = ({getattr(each, name) for each in others} for name in ("files", "tasks", "threads"))
    pooled = max(each.sockets for each in others) - first.sockets
    waiting = max(each.close_wait for each in others)
    return [
        Verdict(
            files == {first.files}, f"files open at each of {len(others)} rests: {files}, as before: {first.files}"
        ),
        Verdict(tasks == {first.tasks}, f"tasks at each rest: {tasks}, as before: {first.tasks}"),
        Verdict(threads == {first.threads}, f"threads at each rest: {threads}, as before: {first.threads}"),
        Verdict(pooled <= POOLED, f"connections kept for later at a rest: {pooled}, at most {POOLED}"),
        Verdict(waiting == 0, f"connections in CLOSE_WAIT at a rest: {waiting}"),
    ]


def _fair(spread: int, first_end: float, waited: int) -> list[Verdict]:
    return [
        Verdict(spread <= 2, f"pages by which one pager of the crowd was ahead of another: {spread}, at most 2"),
        Verdict(first_end >= 0.7, f"pages handed on when its first pager ended: {first_end:.0%}, at least 70 %"),
        Verdict(waited <= 2100, f"pages handed on while a single page was waited for: {waited}, at most a round"),
    ]
