"""``python -m tests.mutants``: plant faults, run the tests, report; exit code 1 if too few are noticed."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from .faults import Fault, change, faults_of, read
from .modules import MODULES
from .report import Outcome, accepted, save, share, table
from .trees import PACKAGE, Tree

_ROOT: Final = Path(__file__).resolve().parents[2]
_WANTED: Final = 0.9
_SLACK: Final = 30.0
"""Seconds added to four times the duration without a fault, so that a busy machine does not count as a timeout."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description="Plant faults, and run the tests.")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="prefixes of module names")
    parser.add_argument("--sample", type=int, help="number of faults to draw; default all")
    parser.add_argument("--each", type=int, help="most faults to draw of each module")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--workers", type=int, default=2, help="faults tried at a time; default 2")
    parser.add_argument("--json", type=Path, default=Path("mutants.json"), help="file for the outcomes")
    return parser.parse_args()


def main() -> int:
    """Run the mutation tests."""
    arguments = _arguments()
    modules = [name for name in MODULES if name.startswith(tuple(arguments.only))]
    draw = random.Random(arguments.seed)
    faults = [
        fault
        for name in modules
        for fault in _drawn(draw, list(faults_of(name, read(_ROOT / PACKAGE, name))), arguments.each)
    ]
    faults = _drawn(draw, faults, arguments.sample)
    faults.sort(key=lambda fault: (modules.index(fault.module), fault.line))
    with tempfile.TemporaryDirectory() as scratch:
        trees = [Tree(_ROOT, Path(scratch, f"tree-{number}")) for number in range(arguments.workers)]
        outcomes = list(_outcomes(faults, trees))
    _say(*table(outcomes))
    save(arguments.json, {"sample": arguments.sample, "seed": arguments.seed}, outcomes)
    return int(share(outcomes) < _WANTED)


def _drawn(draw: random.Random, faults: list[Fault], most: int | None) -> list[Fault]:
    return faults if most is None or most >= len(faults) else draw.sample(faults, most)


def _outcomes(faults: Sequence[Fault], trees: Sequence[Tree]) -> Iterator[Outcome]:
    times = _times(trees, list(dict.fromkeys(fault.module for fault in faults)))
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)
    excused = accepted()

    def attempt(fault: Fault) -> Outcome | None:
        code = read(_ROOT / PACKAGE, fault.module)
        planted = fault.plant(code)
        if planted is None:
            return None
        tree = free.get()
        try:
            run = tree.run_with(fault.module, planted, MODULES[fault.module], 4 * times[fault.module] + _SLACK)
        finally:
            free.put(tree)
        before, after = change(code, planted)
        reason = "" if not run.passed else excused.get((fault.module, before, after), "")
        return Outcome(fault, before, after, noticed=not run.passed, timed_out=not run.ended, reason=reason)

    with ThreadPoolExecutor(len(trees)) as pool:
        for outcome in pool.map(attempt, faults):
            if outcome is not None:
                _say(f"{'noticed' if outcome.noticed else 'accepted' if outcome.reason else 'SURVIVED'}  {outcome}")
                yield outcome


def _times(trees: Sequence[Tree], modules: Sequence[str]) -> dict[str, float]:
    """Run the tests without a fault in every tree at once; return the longest duration for each module."""
    suites = dict.fromkeys(MODULES[name] for name in modules)
    with ThreadPoolExecutor(len(trees)) as pool:
        seconds = list(pool.map(lambda tree: {tests: _time(tree, tests) for tests in suites}, trees))
    return {name: max(of_tree[MODULES[name]] for of_tree in seconds) for name in modules}


def _time(tree: Tree, tests: tuple[str, ...]) -> float:
    if not tree.imports_itself():
        sys.exit(f"The tests would import another {PACKAGE} than the copy in {tree.folder}.")
    run = tree.run(tests, 900, cached=True)
    if not run.passed:
        sys.exit(f"Without a fault these tests do not pass: {', '.join(tests)}\n{run.output}")
    return run.seconds


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
