"""``python -m tests.soak``: run, show, save; the exit code is 1 where a bound did not hold."""

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

from .plot import plot
from .run import Outcome, soak
from .samples import Sample, load
from .verdicts import rows, verdicts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s soak --", description="Crawl for a long time, and watch the process.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long; 60 unless told")
    parser.add_argument("--samples", type=Path, default=Path("soak.csv"), help="where to write the samples, as CSV")
    parser.add_argument("--plot", type=Path, help="where to draw them, as SVG")
    parser.add_argument("--seed", type=int, default=0, help="decides what is crawled")
    parser.add_argument("--nice", type=int, default=10, help="how nice to be to other programs, 0 to 19")
    return parser.parse_args()


def main() -> int:
    """Run the soak."""
    asked = _arguments()
    os.nice(asked.nice)
    warnings.simplefilter("error")
    logging.getLogger("jogg_async").addHandler(logging.NullHandler())  # it tells of each record that is no track
    outcome = asyncio.run(soak(asked.minutes, asked.samples, asked.seed))
    samples = load(asked.samples)
    about = _about(samples[-1])
    _say(about, ", ".join(f"{name} {count}" for name, count in sorted(outcome.kinds.items())))
    _show(samples, outcome)
    if asked.plot is not None:
        asked.plot.write_text(plot(samples, about), encoding="utf-8")
    found = verdicts(samples, outcome, asked.minutes)
    _say(*(f"{'ok  ' if verdict.holds else 'FAIL'}  {verdict.text}" for verdict in found))
    return int(not all(verdict.holds for verdict in found))


def _about(last: Sample) -> str:
    minutes = f"{last.seconds / 60:.0f} minutes, {last.crawls:,} crawls, {last.tracks:,} tracks"
    met = f"{last.requests:,} requests, {last.faults:,} faults and refusals"
    return f"{minutes}, {met}; jogg-async {__version__}, Python {platform.python_version()}"


def _show(samples: Sequence[Sample], outcome: Outcome) -> None:
    _say(f"{'':22}{'first quarter':>14}{'last quarter':>14}{'an hour':>12}")
    for row in rows(samples, outcome.rests):
        _say(f"{row.name:22}{row.first:14,.1f}{row.last:14,.1f}{row.slope:+12,.1f}")
    for crowd in outcome.crowds:
        _say(
            f"a crowd in {crowd.seconds:.1f} s: at most {crowd.spread} pages apart, the first ended at"
            f" {crowd.first_end:.0%} of all pages, a single page waited for {crowd.waited}"
        )


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
