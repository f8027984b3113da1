"""``python -m tests.fuzz``: fuzz each target for its share of the time; exit code 1 if one found a fault."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from . import seeds
from .targets import TARGETS

_SHARES: Final = {"pages": 0.4, "bodies": 0.3, "responses": 0.25, "checkpoints": 0.05}
_MEGABYTES: Final = 200
"""Limit of a process's memory; Python, the package and the fuzzer take about 45 MB before the first input."""

_SECONDS: Final = 5
"""Limit for one input; the slowest valid one takes some milliseconds."""

_LONGEST: Final = 60_000
_FIGURES: Final = re.compile(r"cov: (\d+) ft: (\d+) corp: (\S+)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s fuzz --", description="Fuzz the code that reads external input.")
    parser.add_argument("--minutes", type=float, default=60.0, help="duration of all targets together; default 60")
    parser.add_argument("--only", choices=[*TARGETS], help="fuzz one target only")
    parser.add_argument("--folder", type=Path, default=Path("fuzz"), help="folder for the corpus and the findings")
    return parser.parse_args()


def main() -> int:
    """Fuzz the targets."""
    arguments = _arguments()
    os.nice(10)
    shares = {arguments.only: 1.0} if arguments.only else _SHARES
    failed = [
        name for name, share in shares.items() if not _fuzz(name, arguments.folder, 60 * arguments.minutes * share)
    ]
    _say(f"found something: {', '.join(failed)}" if failed else "found nothing")
    return int(bool(failed))


def _fuzz(name: str, folder: Path, seconds: float) -> bool:
    """Fuzz a target; return True if nothing was found. The log and the findings are written to the folder."""
    corpus, log = folder / name, folder / f"{name}.log"
    seeds.write(name, corpus)
    command = [
        *(sys.executable, "-m", f"{__package__}.one", name, str(corpus), f"-dict={corpus.with_suffix('.words')}"),
        *(f"-max_total_time={max(1, round(seconds))}", f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEGABYTES}"),
        *(f"-max_len={_LONGEST}", f"-artifact_prefix={folder}/{name}-found-", "-print_final_stats=1"),
    ]
    with log.open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(encoding="utf-8", errors="replace")
    _say(f"{name}: {_figures(text)}" if not done.returncode else f"{name}: failed, see {log}\n{text[-3000:]}")
    return not done.returncode


def _figures(text: str) -> str:
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", text))
    covered, features, corpus = _FIGURES.findall(text)[-1]
    return (
        f"{int(stats['number_of_executed_units']):,} inputs, {int(stats['average_exec_per_sec']):,} a second,"
        f" at most {stats['peak_rss_mb']} MB, slowest {stats['slowest_unit_time_sec']} s;"
        f" {covered} edges and {features} features covered, corpus {corpus}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
