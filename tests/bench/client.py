"""Take one measurement of one peer in a process of its own, and print the result as JSON."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import attrs

from .catalogue import FIRST_ID
from .peers import PEERS, Job, Open, Peer

_STATUS: Final = Path("/proc/self/status")


@attrs.frozen
class Task:
    """One measurement to take.

    Attributes:
        peer: the peer's name.
        base_url: the server's address.
        uvloop: True to run on uvloop.
        concurrency: requests in flight at once.
        pause: seconds for which the consumer sleeps after its first track.
        early: True to let the peer open connections before it needs them.
        attempts: attempts for a request; `None` for the peer's own default.
        warm: crawls over the same session before the measurement.
        crawls: crawls measured.
    """

    peer: str
    base_url: str
    uvloop: bool = False
    concurrency: int = 16
    pause: float = 0.0
    early: bool = False
    attempts: int | None = None
    warm: int = 0
    crawls: int = 1


@attrs.define
class Result:
    """One measurement taken.

    Attributes:
        wall: elapsed seconds.
        cpu: CPU seconds of this process.
        first: seconds to the first track.
        tracks: tracks of a crawl.
        wrong: tracks whose id was not the expected one.
        growth: growth of the process's memory at its peak, in MB.
        raised: error that ended the crawl; else empty.
        error: reason why the measurement is invalid; else empty.
    """

    wall: float = 0.0
    cpu: float = 0.0
    first: float = 0.0
    tracks: int = 0
    wrong: int = 0
    growth: float = 0.0
    raised: str = ""
    error: str = ""


async def _by_track(stream: AsyncIterator[Any], begun: float, pause: float, result: Result, *, dicts: bool) -> None:
    expected, wrong = FIRST_ID, 0
    track = await anext(stream)
    result.first = time.perf_counter() - begun
    await asyncio.sleep(pause)
    wrong += (track["id"] if dicts else track.id) != expected
    if dicts:
        async for track in stream:
            expected += 1
            if track["id"] != expected:
                wrong += 1
    else:
        async for track in stream:
            expected += 1
            if track.id != expected:
                wrong += 1
    result.tracks, result.wrong = expected + 1 - FIRST_ID, wrong


async def _by_page(stream: AsyncIterator[Any], begun: float, pause: float, result: Result, *, dicts: bool) -> None:
    expected, wrong = FIRST_ID - 1, 0
    async for page in stream:
        if expected < FIRST_ID:
            result.first = time.perf_counter() - begun
            await asyncio.sleep(pause)
        if dicts:
            for track in page:
                expected += 1
                if track["id"] != expected:
                    wrong += 1
        else:
            for track in page:
                expected += 1
                if track.id != expected:
                    wrong += 1
    result.tracks, result.wrong = expected + 1 - FIRST_ID, wrong


async def _measure(task: Task, peer: Peer, opened: Open) -> Result:
    result = Result()
    consume = _by_page if peer.by_page else _by_track
    before = forget_peak()
    job = Job(f"{task.base_url}/v2/musics", task.base_url, task.concurrency, task.early, task.attempts)
    wall, cpu = time.perf_counter(), time.process_time()
    async with opened(job) as crawl:
        try:
            for number in range(task.warm + task.crawls):
                if number == task.warm > 0:
                    wall, cpu = time.perf_counter(), time.process_time()
                await consume(crawl(), wall, task.pause, result, dicts=peer.dicts)
        except Exception as error:  # noqa: BLE001 (in an outage the error is the result)
            result.raised = _text(error)
        result.wall, result.cpu = time.perf_counter() - wall, time.process_time() - cpu
    result.growth = memory("VmHWM") - before
    return result


def forget_peak() -> float:
    """Reset the peak of the process's memory, and return its current size in MB. Linux only."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


def memory(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _run(task: Task) -> Result:
    peer = PEERS[task.peer]
    opened = peer.load()
    if task.uvloop:
        import uvloop

        return uvloop.run(_measure(task, peer, opened))
    return asyncio.run(_measure(task, peer, opened))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def main() -> None:
    try:
        result = _run(Task(**json.loads(sys.argv[1])))
    except Exception as error:  # noqa: BLE001 (any error of a peer is its result)
        result = Result(error=_text(error))
    sys.stdout.write(json.dumps(attrs.asdict(result)) + "\n")


if __name__ == "__main__":
    main()
