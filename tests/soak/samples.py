"""Samples of the process's resources, read from /proc (Linux only)."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import gc
import resource
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import attrs
from yarl import URL

from .environment import Environment

_SELF: Final = Path("/proc/self")
_TCP: Final = Path("/proc/net/tcp")
_TIME_WAIT, _CLOSE_WAIT = "06", "08"


@attrs.frozen
class Sample:
    """One sample.

    Attributes:
        seconds: seconds since the start.
        idle: True if no consumer was at work.
        rss: resident memory in megabytes.
        objects: objects tracked by the garbage collector, right after a collection; 0 if they were not counted.
        files: open file descriptors other than sockets.
        sockets: open sockets.
        close_wait: sockets of connections that the other side has closed.
        time_wait: connections to the fakes in TIME_WAIT; they have no descriptor.
        tasks: asyncio tasks other than the consumers.
        threads: threads.
        crawls: crawls so far.
        tracks: tracks yielded so far.
        errors: expected errors raised so far.
        requests: requests that reached the fakes.
        faults: requests that met a fault or a rate limit.
    """

    seconds: float
    idle: bool
    rss: float
    objects: int
    files: int
    sockets: int
    close_wait: int
    time_wait: int
    tasks: int
    threads: int
    crawls: int
    tracks: int
    errors: int
    requests: int
    faults: int


FIELDS: Final = tuple(field.name for field in attrs.fields(Sample))


class Sampler:
    """Take samples, and write each to a file at once, so that they use no memory.

    Args:
        environment: its counts are part of each sample.
        path: CSV file.
    """

    def __init__(self, environment: Environment, path: Path) -> None:
        self._environment = environment
        self._ports = {URL(url).port for url in environment.remote.urls.values()}
        self._file = path.open("w", newline="", encoding="ascii")
        self._writer = csv.writer(self._file)
        self._writer.writerow(FIELDS)
        self.begin()

    def begin(self) -> None:
        """Restart the count of seconds."""
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self._start

    async def take(self, *, idle: bool = False, objects: bool = False, consumers: int = 0) -> Sample:
        """Take a sample, and write it to the file.

        Args:
            idle: True if no consumer is at work.
            objects: True to run the garbage collector and count objects.
            consumers: number of consumer tasks, which are left out of the tasks.
        """
        sample = await self.measure(idle=idle, objects=objects, consumers=consumers)
        self._writer.writerow(int(value) if isinstance(value, bool) else value for value in attrs.astuple(sample))
        self._file.flush()
        return sample

    async def measure(self, *, idle: bool = False, objects: bool = False, consumers: int = 0) -> Sample:
        """Take a sample without writing it to the file."""
        counts, served = self._environment.counts, await self._environment.remote.command("counts")
        close_wait, time_wait = _waiting(self._ports)
        tracked = _tracked() if objects else 0
        files, sockets = _descriptors()
        return Sample(
            seconds=round(self.seconds, 2),
            idle=idle,
            rss=_resident(),
            objects=tracked,
            files=files,
            sockets=sockets,
            close_wait=close_wait,
            time_wait=time_wait,
            tasks=len(asyncio.all_tasks()) - consumers,
            threads=threading.active_count(),
            crawls=counts.crawls,
            tracks=counts.tracks,
            errors=counts.errors,
            requests=served["requests"],
            faults=served["faults"],
        )

    def close(self) -> None:
        self._file.close()


def _tracked() -> int:
    gc.collect()
    return len(gc.get_objects())


def _resident() -> float:
    pages = int((_SELF / "statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 2**20, 3)


def _descriptors() -> tuple[int, int]:
    """Return the numbers of open files and open sockets, without the descriptor of /proc/self/fd itself."""
    links: list[Path] = []
    for path in (_SELF / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(path.readlink())
    sockets = sum(link.name.startswith("socket:") for link in links)
    own = sum(link.name == "fd" for link in links)
    return len(links) - sockets - own, sockets


def _waiting(ports: Collection[int | None]) -> tuple[int, int]:
    """Return the numbers of connections to these ports in CLOSE_WAIT and TIME_WAIT."""
    states: list[str] = []
    for line in _TCP.read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state = line.split(maxsplit=4)[:4]
        if int(remote[9:], 16) in ports or (state == _TIME_WAIT and int(local[9:], 16) in ports):
            states.append(state)
    return states.count(_CLOSE_WAIT), states.count(_TIME_WAIT)


def load(path: Path) -> list[Sample]:
    """Read the samples of a file."""
    with path.open(newline="", encoding="ascii") as file:
        return [_sample(row) for row in csv.DictReader(file)]


def _sample(row: dict[str, str]) -> Sample:
    whole = {name: int(row[name]) for name in FIELDS if name not in ("seconds", "rss", "idle")}
    return Sample(seconds=float(row["seconds"]), rss=float(row["rss"]), idle=row["idle"] == "1", **whole)
