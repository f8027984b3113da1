"""Scenario `crawl`: a catalogue saved in each format, beside a gather written by hand and dlt's REST source.

``python -m bench.saves`` runs one measurement, in a process of its own, and prints it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs
from rich.console import Console
from rich.table import Table

from jogg_async import JoggSession, TrackPager

from .client import forget_peak, memory
from .measure import Server
from .server import Settings

PAGES: Final = 10_000
CAP: Final = 600.0
"""Seconds after which a measurement is stopped."""

_CONCURRENCY: Final = 16
_WARM: Final = 20
"""Pages that are saved before the measurement, so that imports do not count."""

Save = Callable[[str, Path, int], Awaitable[object]]


@attrs.frozen
class Saver:
    """One way to save the catalogue.

    Attributes:
        name: its name in the table.
        save: coroutine function that saves a number of pages from an address into a folder.
        needs: the modules that it needs.
        part: divisor of the number of pages, above 1 for savers that would take minutes; these run in one round only.
    """

    name: str
    save: Save
    needs: tuple[str, ...] = ()
    part: int = 1

    def missing(self) -> str | None:
        """Return the first module that is not installed."""
        return next((name for name in self.needs if find_spec(name) is None), None)


@attrs.define
class Saved:
    """One measurement.

    Attributes:
        saver: the way.
        tracks: tracks saved.
        wall: seconds.
        cpu: seconds of the process, all threads.
        growth: MB that the process grew at its peak.
        size: MB of the files.
    """

    saver: str
    tracks: int
    wall: float
    cpu: float
    growth: float
    size: float


def _ours(suffix: str) -> Save:
    async def save(url: str, folder: Path, pages: int) -> None:
        await _with_pager(url, pages, lambda pager: pager.save(folder / f"tracks.{suffix}"))

    return save


async def _with_pager(url: str, pages: int, use: Callable[[TrackPager], Awaitable[object]]) -> None:
    async with JoggSession("bench", base_url=url, concurrency=_CONCURRENCY) as jogg:
        await use(jogg.tracks(end_page=pages, on_drift="ignore"))


async def _iterate(url: str, folder: Path, pages: int) -> None:
    async def use(pager: TrackPager) -> None:
        async for _ in pager:
            pass

    await _with_pager(url, pages, use)


async def _gather(url: str, folder: Path, pages: int) -> None:
    """Fetch all pages under a semaphore, and write one Parquet table: the code that many users would write by hand."""
    import aiohttp

    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    semaphore = asyncio.Semaphore(_CONCURRENCY)

    async def fetch(number: int) -> list[dict[str, Any]]:
        async with semaphore, http.get(f"{url}/v2/musics", params={"page": number, "page_size": 100}) as response:
            tracks: list[dict[str, Any]] = (await response.json())["data"]["music"]
        return tracks

    async with aiohttp.ClientSession(headers={"x-api-key": "bench"}, raise_for_status=True) as http:
        found = await asyncio.gather(*map(fetch, range(1, pages + 1)))
    parquet.write_table(arrow.Table.from_pylist([track for page in found for track in page]), folder / "tracks.parquet")


def _dlt(destination: str) -> Save:
    async def save(url: str, folder: Path, pages: int) -> None:
        dlt: Any = import_module("dlt")
        rest_api: Any = import_module("dlt.sources.rest_api")
        source = rest_api.rest_api_source(
            {
                "client": {
                    "base_url": url,
                    "headers": {"x-api-key": "bench"},
                    "paginator": {
                        "type": "page_number", "base_page": 1, "page_param": "page", "total_path": None,
                        "maximum_page": pages,
                    },
                },
                "resources": [
                    {
                        "name": "tracks",
                        "endpoint": {
                            "path": "v2/musics", "params": {"page_size": 100}, "data_selector": "data.music",
                        },
                    }
                ],
            }
        )  # fmt: skip
        if destination == "duckdb":
            target, options = dlt.destinations.duckdb(str(folder / "tracks.duckdb")), {}
        else:
            target, options = dlt.destinations.filesystem(str(folder / "out")), {"loader_file_format": "parquet"}
        name = f"bench_{destination}_{pages}"
        pipeline = dlt.pipeline(name, destination=target, dataset_name="music", pipelines_dir=str(folder / "state"))
        pipeline.run(source, **options)

    return save


_DLT: Final = ("dlt", "pyarrow")

SAVERS: Final = {
    saver.name: saver
    for saver in (
        Saver("plain iteration", _iterate),
        Saver("jsonl", _ours("jsonl")),
        Saver("jsonl.gz", _ours("jsonl.gz")),
        Saver("jsonl.zst", _ours("jsonl.zst"), ("backports",)),
        Saver("csv", _ours("csv")),
        Saver("parquet", _ours("parquet"), ("pyarrow",)),
        Saver("db", _ours("db")),
        Saver("gather, pyarrow", _gather, ("pyarrow",)),
        Saver("dlt, Parquet", _dlt("parquet"), _DLT, part=10),
        Saver("dlt, DuckDB", _dlt("duckdb"), (*_DLT, "duckdb"), part=10),
    )
}


async def _measure(saver: Saver, url: str, pages: int) -> Saved:
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as folder:
        await saver.save(url, Path(warm), _WARM)
        before = forget_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        await saver.save(url, Path(folder), pages)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        growth = memory("VmHWM") - before
        files = [each for each in Path(folder).rglob("*") if each.is_file() and "state" not in each.parts]
        size = sum(each.stat().st_size for each in files) / 1e6
    return Saved(saver.name, pages * 100, wall, cpu, growth, size)


def measure(chosen: Sequence[str], rounds: int, *, part: int, latency: float) -> Iterator[Saved | str]:
    """Yield the measurements, and a sentence for each that was not taken.

    Args:
        chosen: prefixes of the names of the savers to run.
        rounds: number of rounds; savers with a `part` above 1 run in the first one only.
        part: divisor of the number of pages.
        latency: seconds from a request to its response.
    """
    with Server() as server:
        for number in range(rounds):
            for saver in SAVERS.values():
                if not saver.name.startswith(tuple(chosen)) or (number and saver.part > 1):
                    continue
                if missing := saver.missing():
                    yield f"{saver.name} is skipped: {missing} is not installed."
                    continue
                server.configure(Settings(pages=PAGES // part, latency=latency))
                yield _once(saver, server.url, PAGES // part // saver.part)


def _once(saver: Saver, url: str, pages: int) -> Saved | str:
    command = [sys.executable, "-m", f"{__package__}.saves", saver.name, url, str(pages)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=CAP)
    except subprocess.TimeoutExpired:
        return f"{saver.name} was not done within {CAP:g} s."
    if done.returncode:
        return f"{saver.name} failed: {(done.stderr.strip().splitlines() or ['it died'])[-1][:200]}"
    return Saved(**json.loads(done.stdout.splitlines()[-1]))


def show(console: Console, found: Sequence[Saved]) -> None:
    """Print the table of medians."""
    columns = ("", "tracks", "tracks/s", "CPU: µs a track", "to the plain", "growth, MB", "size, MB")
    table = Table(*columns, title="crawl")
    by_saver = {name: [each for each in found if each.saver == name] for name in SAVERS}
    plain = _median(by_saver["plain iteration"], _cpu) if by_saver["plain iteration"] else 0.0
    for name, saved in by_saver.items():
        if saved:
            cpu = _median(saved, _cpu)
            table.add_row(
                name,
                f"{saved[0].tracks:,}",
                f"{_median(saved, lambda each: each.tracks / each.wall):,.0f}",
                f"{cpu:.2f}",
                f"{cpu / plain:.2f}" if plain else "",
                f"{_median(saved, lambda each: each.growth):.0f}",
                f"{_median(saved, lambda each: each.size):.1f}",
            )
    console.print(table)


def _cpu(saved: Saved) -> float:
    return saved.cpu / saved.tracks * 1e6


def _median(saved: Sequence[Saved], value: Callable[[Saved], float]) -> float:
    return median(map(value, saved))


def main() -> None:
    name, url, pages = sys.argv[1:]
    saved = asyncio.run(_measure(SAVERS[name], url, int(pages)))
    sys.stdout.write(json.dumps(attrs.asdict(saved)) + "\n")


if __name__ == "__main__":
    main()
