"""``python -m tests.soak``: run the soak, print the summary, save the samples; exit code 1 if a bound is exceeded."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from jogg_async import __version__

from .bounds import bound_results, rows
from .plot import plot
from .run import Outcome, soak
from .samples import Sample, load


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s soak --", description="Crawl for a long time, and watch the process.")
    parser.add_argument("--minutes", type=float, default=60.0, help="duration; default 60")
    parser.add_argument("--samples", type=Path, default=Path("soak.csv"), help="CSV file for the samples")
    parser.add_argument("--plot", type=Path, help="SVG file for a plot of them")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random crawls")
    parser.add_argument("--nice", type=int, default=10, help="niceness of the process, 0 to 19")
    return parser.parse_args()


def main() -> int:
    """Run the soak."""
    arguments = _arguments()
    os.nice(arguments.nice)
    warnings.simplefilter("error")
    logging.getLogger("jogg_async").addHandler(logging.NullHandler())  # each skipped record is logged
    outcome = asyncio.run(soak(arguments.minutes, arguments.samples, arguments.seed))
    samples = load(arguments.samples)
    about = _about(samples[-1])
    _print(about, ", ".join(f"{name} {count}" for name, count in sorted(outcome.kinds.items())))
    _show(samples, outcome)
    if arguments.plot is not None:
        arguments.plot.write_text(plot(samples, about), encoding="utf-8")
    found = bound_results(samples, outcome, arguments.minutes)
    _print(*(f"{'ok  ' if result.holds else 'FAIL'}  {result.text}" for result in found))
    return int(not all(result.holds for result in found))


def _about(last: Sample) -> str:
    minutes = f"{last.seconds / 60:.0f} minutes, {last.crawls:,} crawls, {last.tracks:,} tracks"
    requests = f"{last.requests:,} requests, {last.faults:,} faults and refusals"
    return f"{minutes}, {requests}; jogg-async {__version__}, Python {platform.python_version()}"


def _show(samples: Sequence[Sample], outcome: Outcome) -> None:
    _print(f"{'':22}{'first quarter':>14}{'last quarter':>14}{'per hour':>12}")
    for row in rows(samples, outcome.idle_samples):
        _print(f"{row.name:22}{row.first:14,.1f}{row.last:14,.1f}{row.slope:+12,.1f}")
    for fairness in outcome.fairness:
        _print(
            f"handlers served in {fairness.seconds:.1f} s: at most {fairness.spread} pages apart, the first ended"
            f" at {fairness.first_end:.0%} of all pages, a single page waited for {fairness.waited}"
        )


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
