"""Take the measurements: one server, a new client process for each, interleaved so that noise affects all alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import attrs

from .client import Result, Task
from .peers import LIMIT, OURS, PEERS
from .scenarios import Scenario
from .server import Counts, Settings

if TYPE_CHECKING:
    from typing import Self


@attrs.frozen
class Variant:
    """A peer on one event loop and interpreter. Its name states them if they are not the default."""

    name: str
    peer: str
    uvloop: bool = False
    python: str = sys.executable


@attrs.frozen
class Record:
    """One measurement; those of the same repetition were taken one right after the other."""

    scenario: str
    variant: str
    repetition: int
    result: Result
    counts: Counts


class Server:
    """Process of the server."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", f"{__package__}.server"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self._read()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()  # it ends with its input

    def configure(self, settings: Settings) -> None:
        self._command(attrs.asdict(settings))

    def counts(self) -> Counts:
        return Counts(**cast("dict[str, Any]", self._command(None)))

    def _command(self, command: object) -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> object:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def variants(pythons: Mapping[str, str]) -> tuple[list[Variant], list[str]]:
    """Return the variants that can run here, and a sentence for each that cannot.

    Args:
        pythons: further interpreters by version, with the library and its dependencies installed.
    """
    runnable: list[Variant] = []
    skipped: list[str] = []
    for peer in PEERS.values():
        if missing := peer.missing():
            skipped.append(f"{peer.name} is skipped: {missing} is not installed.")
        else:
            runnable.append(Variant(peer.name, peer.name))
    has_uvloop = find_spec("uvloop") is not None
    for name in (OURS, LIMIT):
        if has_uvloop:
            runnable.append(Variant(f"{name}, uvloop", name, uvloop=True))
        runnable += [Variant(f"{name}, {version}", name, python=python) for version, python in pythons.items()]
    if not has_uvloop:
        skipped.append("The uvloop column is skipped: uvloop is not installed.")
    return runnable, skipped


def measure(chosen: Sequence[Scenario], runnable: Sequence[Variant], rounds: int) -> Iterator[Record]:
    """Measure every scenario with each of its variants, `rounds` times over."""
    with Server() as server:
        for number in range(rounds):
            for scenario in chosen:
                for repetition in range(number * scenario.times, (number + 1) * scenario.times):
                    for variant in runnable:
                        if _runs(scenario, variant, repetition):
                            yield _once(server, scenario, variant, repetition)


def _runs(scenario: Scenario, variant: Variant, repetition: int) -> bool:
    if variant.peer not in scenario.peers or repetition >= scenario.rounds * scenario.times:
        return False
    if variant.name != variant.peer and not scenario.columns:
        return False
    return repetition == 0 or variant.peer not in scenario.once


def _once(server: Server, scenario: Scenario, variant: Variant, repetition: int) -> Record:
    task = Task(
        peer=variant.peer,
        base_url=server.url,
        uvloop=variant.uvloop,
        concurrency=scenario.concurrency,
        attempts=scenario.attempts,
        pause=scenario.pause,
        early=scenario.early,
        warm=scenario.warm,
        crawls=scenario.crawls,
    )
    server.configure(scenario.settings)
    result = _client(variant.python, task, scenario.cap)
    result.error = result.error or _error(scenario, result)
    return Record(scenario.name, variant.name, repetition, result, server.counts())


def _error(scenario: Scenario, result: Result) -> str:
    if scenario.fails:
        return "" if result.raised else "no error was raised"
    if result.raised:
        return result.raised
    if result.wrong or result.tracks != scenario.settings.pages * 100:
        return f"{result.tracks} tracks, {result.wrong} of them wrong"
    return ""


def _client(python: str, task: Task, cap: float) -> Result:
    command = [python, "-m", f"{__package__}.client", json.dumps(attrs.asdict(task))]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=cap + task.pause)
    except subprocess.TimeoutExpired:
        return Result(error=f"not done within {cap:g} s")
    if done.returncode:
        return Result(error=(done.stderr.strip().splitlines() or ["it died"])[-1][:200])
    return Result(**json.loads(done.stdout.splitlines()[-1]))
