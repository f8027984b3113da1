"""Tables for the terminal, and the JSON file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import attrs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .figures import Figures, Verdict, asleep, cpu, first, growth, refused, wall
from .measure import Record
from .scenarios import Scenario

_PACKAGES: Final = ("jogg-async", "aiohttp", "attrs", "cattrs", "msgspec", "stamina", "uvloop", "httpx", "openai",
                    "aiostream", "azure-core")  # fmt: skip
_COLUMNS: Final = ("", "s", "/ theory", "/ limit", "µs CPU/track", "first, ms", "growth, MB", "requests", "refused",
                   "opened", "in flight", "server's CPU", "")  # fmt: skip


def machine() -> dict[str, Any]:
    """Return the machine and the versions that the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "load before": os.getloadavg()[0],
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def show(console: Console, figures: Figures, verdicts: Sequence[Verdict]) -> None:
    """Print a table for each scenario, and the verdicts last."""
    for scenario in figures.scenarios.values():
        console.print(_scenario_table(scenario, figures))
    console.print(_verdict_table(verdicts))


def _scenario_table(scenario: Scenario, figures: Figures) -> Table:
    theory = f", theory {scenario.theory:.3f} s" if scenario.theory else ""
    table = Table(title=f"{scenario.name}: {scenario.settings.pages} pages{theory}", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column else "left")
    for name in figures.variants(scenario.name):
        table.add_row(name, *_cells(scenario, name, figures))
    return table


def _cells(scenario: Scenario, name: str, figures: Figures) -> Iterable[str]:
    error = figures.error(scenario.name, name)
    done = [record for record in figures.records(scenario.name, name) if not record.result.error]
    if not done:
        return [""] * (len(_COLUMNS) - 2) + [f"[red]{escape(error)}[/]"]
    tracks = scenario.settings.pages * 100 * scenario.crawls

    def shown(value: Any, pattern: str, factor: float = 1.0) -> str:
        found = figures.value(scenario.name, name, value)
        return "" if found is None else pattern.format(found * factor)

    return [
        shown(wall, "{:.3f}"),
        _times(figures.to_theory(scenario.name, name)),
        _times(figures.to_limit(scenario.name, name)),
        shown(cpu, "{:.2f}", 1e6 / tracks),
        shown(first, "{:.1f}", 1000),
        shown(growth, "{:.1f}"),
        shown(lambda record: record.counts.requests, "{:.0f}"),
        shown(refused, "{:.0%}"),
        shown(lambda record: record.counts.connections, "{:.0f}"),
        shown(lambda record: record.counts.most_in_flight, "{:.0f}"),
        shown(lambda record: record.counts.server_share, "{:.0%}"),
        f"[red]{escape(error)}[/]" if error else _exact(scenario, name, figures),
    ]


def _exact(scenario: Scenario, name: str, figures: Figures) -> str:
    if scenario.fails:
        return figures.records(scenario.name, name)[0].result.raised.partition(":")[0]
    if not scenario.pause:
        return "exact"
    requested = figures.value(scenario.name, name, asleep)
    return f"exact, {requested:.0f} pages requested while the consumer sleeps"


def _times(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.3f}"


def _verdict_table(verdicts: Sequence[Verdict]) -> Table:
    columns = list(dict.fromkeys(name for verdict in verdicts for name in verdict.figures))
    table = Table(title="Targets", title_justify="left")
    for column in ("scenario", "target", "at most", *columns, "best peer", "verdict"):
        table.add_column(column)
    for verdict in verdicts:
        found = (_figure(verdict.figures.get(name), verdict.unit) for name in columns)
        best = f"{_figure(verdict.best[1], verdict.unit)} ({verdict.best[0]})" if verdict.best else ""
        bound = _figure(verdict.bound, verdict.unit)
        table.add_row(
            verdict.scenario, verdict.target, bound, *found, best, "[green]met[/]" if verdict.met else "[red]not met[/]"
        )
    return table


def _figure(figure: float | None, unit: str) -> str:
    if figure is None:
        return ""
    return f"{figure:.0f} {unit}" if unit == "pages" else f"{figure:.2f} {unit}"


def save(path: Path, about: dict[str, Any], records: Iterable[Record], verdicts: Iterable[Verdict]) -> None:
    """Write every measurement and verdict as JSON."""
    found = [{**attrs.asdict(verdict), "met": verdict.met} for verdict in verdicts]
    whole = {**about, "verdicts": found, "records": [attrs.asdict(record) for record in records]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def line(record: Record) -> str:
    """Return one measurement as a line of text."""
    result = record.result
    name = f"{record.repetition + 1:>2} {record.scenario:<18} {record.variant:<24}"
    return f"{name} {result.error or f'{result.wall:8.3f} s {result.cpu:8.3f} s of CPU'}"
