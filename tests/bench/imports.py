"""Time to import the library and its dependencies, each time in a new process."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Final

_IMPORTS: Final = {
    "jogg_async": "import jogg_async; jogg_async.JoggSession",
    "aiohttp, attrs, cattrs": "import aiohttp, attrs, cattrs",
}


def measure(times: int) -> dict[str, list[float]]:
    """Return the seconds of each import, interleaved, after a first run that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for number in range(times + 1):
        for name, statement in _IMPORTS.items():
            seconds = _time(statement)
            if number:
                taken[name].append(seconds)
    return taken


def ratio(taken: dict[str, list[float]]) -> float:
    """Return the median of the library's time divided by that of its dependencies."""
    ours, dependencies = taken.values()
    return median(upper / lower for upper, lower in zip(ours, dependencies, strict=True))


def _time(statement: str) -> float:
    code = f"from time import perf_counter as now\nbegun = now()\n{statement}\nprint(now() - begun)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
