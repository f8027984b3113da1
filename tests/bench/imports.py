"""What importing costs: the library beside the libraries that it stands on, each time in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Final

_SUBJECTS: Final = {
    "jogg_async": "import jogg_async; jogg_async.JoggSession",
    "aiohttp, attrs, cattrs": "import aiohttp, attrs, cattrs",
}


def measure(times: int) -> dict[str, list[float]]:
    """Seconds for each subject, taken in turns, after a first time that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in _SUBJECTS}
    for number in range(times + 1):
        for name, statement in _SUBJECTS.items():
            seconds = _time(statement)
            if number:
                taken[name].append(seconds)
    return taken


def ratio(taken: dict[str, list[float]]) -> float:
    """How much longer the library takes than what it stands on: the median of the turns."""
    ours, theirs = taken.values()
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def _time(statement: str) -> float:
    code = f"from time import perf_counter as now\nbegun = now()\n{statement}\nprint(now() - begun)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
