"""What the process holds, second after second. Linux only: it is read from /proc."""

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

from .world import World

_SELF: Final = Path("/proc/self")
_TCP: Final = Path("/proc/net/tcp")
_TIME_WAIT, _CLOSE_WAIT = "06", "08"


@attrs.frozen
class Sample:
    """One moment.

    Attributes:
        seconds: since the start.
        idle: whether no consumer was at work.
        rss: megabytes resident.
        objects: what the collector tracks, right after a collection; 0 where it was not counted.
        files: open file descriptors, sockets apart.
        sockets: open sockets.
        close_wait: of these, connections that the other side has closed.
        time_wait: connections to the fakes that the kernel still remembers; no descriptor belongs to them.
        tasks: tasks of asyncio, the consumers apart.
        threads: threads.
        crawls: crawls done so far.
        tracks: tracks yielded so far.
        errors: errors raised so far, as was asked for.
        requests: requests that reached the fakes.
        faults: how many of them met a fault or a refusal.
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
    """Writes samples to a file at once, so that they take no memory.

    Args:
        world: whose counts.
        path: the file, CSV.
    """

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._ports = {URL(url).port for url in world.remote.urls.values()}
        self._file = path.open("w", newline="", encoding="ascii")
        self._writer = csv.writer(self._file)
        self._writer.writerow(FIELDS)
        self.begin()

    def begin(self) -> None:
        """Count the seconds from now."""
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._start

    async def take(self, *, idle: bool = False, objects: bool = False, consumers: int = 0) -> Sample:
        """Look, and write it down.

        Args:
            idle: whether all are at rest.
            objects: whether to collect and count objects.
            consumers: tasks of the consumers, which are no finding.
        """
        sample = await self.look(idle=idle, objects=objects, consumers=consumers)
        self._writer.writerow(int(value) if isinstance(value, bool) else value for value in attrs.astuple(sample))
        self._file.flush()
        return sample

    async def look(self, *, idle: bool = False, objects: bool = False, consumers: int = 0) -> Sample:
        """The same, not written down."""
        counts, served = self._world.counts, await self._world.remote.tell("counts")
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
    """Open files and open sockets; the listing's own descriptor is none of them."""
    links: list[Path] = []
    for path in (_SELF / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(path.readlink())
    sockets = sum(link.name.startswith("socket:") for link in links)
    listing = sum(link.name == "fd" for link in links)
    return len(links) - sockets - listing, sockets


def _waiting(ports: Collection[int | None]) -> tuple[int, int]:
    """Connections to these ports in CLOSE_WAIT and TIME_WAIT."""
    states: list[str] = []
    for line in _TCP.read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state = line.split(maxsplit=4)[:4]
        if int(remote[9:], 16) in ports or (state == _TIME_WAIT and int(local[9:], 16) in ports):
            states.append(state)
    return states.count(_CLOSE_WAIT), states.count(_TIME_WAIT)


def load(path: Path) -> list[Sample]:
    """The samples of a file."""
    with path.open(newline="", encoding="ascii") as file:
        return [_sample(row) for row in csv.DictReader(file)]


def _sample(row: dict[str, str]) -> Sample:
    whole = {name: int(row[name]) for name in FIELDS if name not in ("seconds", "rss", "idle")}
    return Sample(seconds=float(row["seconds"]), rss=float(row["rss"]), idle=row["idle"] == "1", **whole)
