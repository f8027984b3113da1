"""Plot of the samples as an SVG: panels one above the other, legible on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

import attrs

from .samples import Sample

WIDTH: Final = 860
LEFT, RIGHT, TOP, HEIGHT, GAP, BOTTOM = 76, 20, 64, 104, 40, 72
_POINTS: Final = 800

# The card has its own background: it stays legible on a page whose dark mode the media query does not see.
_STYLE: Final = """
.card { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d8dee4 } .axis { stroke: #6e7781 }
text { fill: #24292f; font: 12px system-ui, sans-serif } .title { font-weight: 600; font-size: 13px }
.head { font-weight: 600; font-size: 16px } .note { fill: #57606a }
.line { fill: none; stroke: #0969da; stroke-width: 1.4 } .dot { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #30363d } .grid { stroke: #21262d } .axis { stroke: #8b949e }
text { fill: #e6edf3 } .note { fill: #9ea7b3 } .line { stroke: #58a6ff } .dot { fill: #f0883e } }
"""

Value = Callable[[Sample], float]


@attrs.frozen
class Panel:
    """One figure over time.

    Attributes:
        title: name of the figure, with its unit.
        value: the figure of a sample, drawn as a line.
        idle_value: the figure of an idle sample, drawn as a dot; `None` for no dots.
        needs: true for the samples that have the figure.
        zoomed: True to begin the axis near the lowest value instead of at 0.
    """

    title: str
    value: Value
    idle_value: Value | None = None
    needs: Value = attrs.field(default=lambda _: 1.0)
    zoomed: bool = False


@attrs.frozen
class Scale:
    """An axis with round ticks."""

    least: float
    step: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float], *, zoomed: bool) -> Scale:
        low, high = (min(values, default=0.0) if zoomed else 0.0), max(values, default=1.0)
        step = _step(max(high - low, 0.3) / 3)
        least = step * (low // step)
        return cls(least, step, max(1, math.ceil((high - least) / step)))

    def ticks(self) -> Iterator[float]:
        return (self.least + number * self.step for number in range(self.count + 1))

    def share(self, value: float) -> float:
        return (value - self.least) / (self.step * self.count)


PANELS: Final = (
    Panel(
        "Resident memory, MB (the axis does not begin at 0)", lambda each: each.rss, lambda each: each.rss, zoomed=True
    ),
    Panel(
        "Objects the collector tracks", lambda each: each.objects, lambda each: each.objects, lambda each: each.objects
    ),
    Panel("Open descriptors", lambda each: each.files + each.sockets, lambda each: each.files + each.sockets),
    Panel("Tasks", lambda each: each.tasks, lambda each: each.tasks),
    Panel("Connections in TIME_WAIT", lambda each: each.time_wait),
    Panel("Tracks yielded, thousands", lambda each: each.tracks / 1000),
    Panel("Faults and refusals met, thousands", lambda each: each.faults / 1000),
)


def plot(samples: Sequence[Sample], about: str) -> str:
    """Return the SVG.

    Args:
        samples: samples in order of time.
        about: line below the heading.
    """
    height = TOP + len(PANELS) * (HEIGHT + GAP) + BOTTOM - GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(about)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        _text(LEFT, 26, "Soak: one process, crawling under faults and limits", "head"),
        _text(LEFT, 46, about, "note"),
    ]
    end = samples[-1].seconds
    for place, panel in enumerate(PANELS):
        parts += _panel(panel, samples, TOP + 16 + place * (HEIGHT + GAP), end)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 12, "minutes (dots: idle)", "note", "middle"))
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, samples: Sequence[Sample], top: float, end: float) -> Iterator[str]:
    shown = [each for each in samples if panel.needs(each)]
    line = [(each.seconds, panel.value(each)) for each in shown if not each.idle]
    dots: list[tuple[float, float]] = []
    if panel.idle_value is not None:
        dots = [(each.seconds, panel.idle_value(each)) for each in shown if each.idle]
    scale = Scale.of([value for _, value in line + dots], zoomed=panel.zoomed)
    yield _text(LEFT, top - 6, panel.title, "title")
    yield from _grid(top, scale, end)

    def point(seconds: float, value: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end, top + HEIGHT * (1 - scale.share(value))

    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (point(*each) for each in _thinned(line)))
    yield f'<polyline class="line" points="{points}"/>'
    for x, y in (point(*each) for each in dots):
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'


def _thinned(line: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield as many points as the plot can show: the highest and the lowest of each bucket, to keep the peaks."""
    size = max(1, 2 * len(line) // _POINTS)
    for start in range(0, len(line), size):
        bucket = line[start : start + size]
        yield from sorted({min(bucket, key=_second), max(bucket, key=_second)})


def _second(point: tuple[float, float]) -> float:
    return point[1]


def _grid(top: float, scale: Scale, end: float) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, top + HEIGHT
    for value in scale.ticks():
        y = bottom - HEIGHT * scale.share(value)
        style = "axis" if value == scale.least else "grid"
        yield f'<line class="{style}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(LEFT - 8, y + 4, f"{value:,.10g}", "note", "end")
    minutes = _step(end / 60 / 10)
    for number in range(int(end / 60 / minutes) + 1):
        x = LEFT + (right - LEFT) * number * minutes * 60 / end
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield _text(x, bottom + 17, f"{number * minutes:g}", "note", "middle")


def _step(least: float) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
