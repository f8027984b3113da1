"""Accepted survivors, the table for the terminal, and the JSON file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from .faults import Fault

_ACCEPTED: Final = Path(__file__).with_name("accepted.toml")
Key = tuple[str, str, str]


@attrs.frozen
class Outcome:
    """The outcome of one planted fault.

    Attributes:
        fault: the fault.
        before: the lines without it.
        after: the lines with it.
        noticed: True if a test failed.
        timed_out: True if the tests did not end in time.
        reason: reason to accept that it survived; else empty.
    """

    fault: Fault
    before: str
    after: str
    noticed: bool
    timed_out: bool
    reason: str

    @property
    def survived(self) -> bool:
        """True if no test noticed the fault, and that is not accepted."""
        return not self.noticed and not self.reason

    def __str__(self) -> str:
        return f"{self.fault.module}:{self.fault.line} {self.fault.operator}\n  - {self.before}\n  + {self.after}"


def accepted() -> dict[Key, str]:
    """Return the reason for each accepted survivor, by module, lines before and lines after."""
    entries = tomllib.loads(_ACCEPTED.read_text(encoding="utf-8")).get("accepted", [])
    return {(entry["module"], entry["before"], entry["after"]): entry["reason"] for entry in entries}


def share(outcomes: Iterable[Outcome]) -> float:
    """Return the share of faults that were noticed; accepted survivors do not count."""
    counted = [outcome.noticed for outcome in outcomes if not outcome.reason]
    return sum(counted) / len(counted) if counted else 1.0


def table(outcomes: Sequence[Outcome]) -> Iterable[str]:
    """Yield the lines of the report: each survivor, then a row for each module."""
    yield from (str(outcome) for outcome in outcomes if outcome.survived)
    yield f"{'':18}{'planted':>9}{'noticed':>9}{'by time':>9}{'survived':>9}{'accepted':>9}{'share':>8}"
    modules = dict.fromkeys(outcome.fault.module for outcome in outcomes)
    for module in (*modules, "all"):
        yield _row(module, [outcome for outcome in outcomes if module in {outcome.fault.module, "all"}])


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    noticed = sum(outcome.noticed for outcome in outcomes)
    timed_out = sum(outcome.timed_out for outcome in outcomes)
    survived = sum(outcome.survived for outcome in outcomes)
    excused = sum(bool(outcome.reason) for outcome in outcomes)
    return f"{name:18}{len(outcomes):9}{noticed:9}{timed_out:9}{survived:9}{excused:9}{share(outcomes):8.1%}"


def save(path: Path, about: Mapping[str, Any], outcomes: Iterable[Outcome]) -> None:
    """Write every outcome as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {**about, "outcomes": [attrs.asdict(outcome) for outcome in outcomes]}
    path.write_text(json.dumps(whole, indent=1), encoding="utf-8")
