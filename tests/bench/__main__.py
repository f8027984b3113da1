"""``python -m bench``: measure, print the tables, write the JSON file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from . import imports, saves
from .figures import Figures
from .measure import Record, measure, variants
from .report import line, machine, save, show
from .scenarios import scenarios
from .targets import verdicts

_IMPORT: Final = "import"
_CRAWL: Final = "crawl"
_TABLE: Final = 180
"""Columns of a terminal that the widest table needs."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description="Measure the library beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the pages, and two rounds")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="prefixes of scenario names")
    parser.add_argument("--peers", nargs="+", default=[""], metavar="NAME", help="prefixes of peer names")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per page, for --only crawl")
    parser.add_argument("--rounds", type=int, help="rounds; default 5, with --quick 2")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="file for the measurements")
    parser.add_argument("--python", action="append", default=[], metavar="VERSION=PATH", help="another interpreter")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    arguments = _arguments()
    console = Console(width=max(_TABLE, Console().width))
    if arguments.only == [_CRAWL]:
        _measure_saves(console, arguments)
        return
    rounds: int = arguments.rounds or (2 if arguments.quick else 5)
    chosen = [each for each in scenarios(quick=arguments.quick) if _is_chosen(each.name, arguments.only)]
    about = machine() | {"rounds": rounds, "quick": arguments.quick}
    pythons = dict(each.split("=", 1) for each in arguments.python)
    runnable, skipped = variants(pythons)
    runnable = [each for each in runnable if _is_chosen(each.name, arguments.peers)]
    records: list[Record] = []
    for record in measure(chosen, runnable, rounds):
        records.append(record)
        console.print(line(record), highlight=False, markup=False, soft_wrap=True)
    times = imports.measure(5 * rounds) if _is_chosen(_IMPORT, arguments.only) else None
    figures = Figures(records, chosen, imports.ratio(times) if times else None)
    found = verdicts(figures)
    show(console, figures, found)
    for sentence in skipped:
        console.print(sentence)
    save(arguments.json, about | {"skipped": skipped, "imports": times}, records, found)


def _measure_saves(console: Console, arguments: argparse.Namespace) -> None:
    """Measure the scenario `crawl`, which takes minutes and writes files. It runs only if no other is chosen."""
    found: list[saves.Saved] = []
    part = 10 if arguments.quick else 1
    for each in saves.measure(arguments.peers, arguments.rounds or 3, part=part, latency=arguments.latency):
        console.print(each, soft_wrap=True)
        if isinstance(each, saves.Saved):
            found.append(each)
    saves.show(console, found)


def _is_chosen(name: str, beginnings: Sequence[str]) -> bool:
    return name.startswith(tuple(beginnings))


if __name__ == "__main__":
    main()
