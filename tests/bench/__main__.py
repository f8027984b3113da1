"""``python -m bench``: measure, show, save."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from rich.console import Console

from . import imports
from .figures import Figures
from .measure import Record, measure, variants
from .report import line, machine, save, show
from .scenarios import scenarios
from .verdicts import verdicts

_IMPORT: Final = "import"
_TABLE: Final = 180
"""Columns of a terminal that the widest table needs."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description="Measure the library beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the pages, and two rounds: to try things out")
    parser.add_argument("--only", default="", help="scenarios by the beginnings of their names, parted by commas")
    parser.add_argument("--peers", default="", help="peers by the beginnings of their names, parted by commas")
    parser.add_argument("--rounds", type=int, help="rounds; 5, and 2 where it has to be quick")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to save everything")
    parser.add_argument("--python", action="append", default=[], metavar="VERSION=PATH", help="a further interpreter")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    asked = _arguments()
    console = Console(width=max(_TABLE, Console().width))
    rounds: int = asked.rounds or (2 if asked.quick else 5)
    chosen = [each for each in scenarios(quick=asked.quick) if _is_chosen(each.name, asked.only)]
    about = machine() | {"rounds": rounds, "quick": asked.quick}
    pythons = dict(each.split("=", 1) for each in asked.python)
    taking_part, skipped = variants(pythons)
    taking_part = [each for each in taking_part if _is_chosen(each.name, asked.peers)]
    records: list[Record] = []
    for record in measure(chosen, taking_part, rounds):
        records.append(record)
        console.print(line(record), highlight=False, markup=False, soft_wrap=True)
    times = imports.measure(5 * rounds) if _is_chosen(_IMPORT, asked.only) else None
    figures = Figures(records, chosen, imports.ratio(times) if times else None)
    found = verdicts(figures)
    show(console, figures, found)
    for sentence in skipped:
        console.print(sentence)
    save(asked.json, about | {"skipped": skipped, "imports": times}, records, found)


def _is_chosen(name: str, asked: str) -> bool:
    return not asked or name.startswith(tuple(each.strip() for each in asked.split(",")))


if __name__ == "__main__":
    main()
