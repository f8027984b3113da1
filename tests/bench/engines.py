"""``python -m tests.bench.engines``: loads through dlt beside its own `rest_api` source, and clusters of Dask.

Each measurement is a new process against the benchmark's server; in every round, the measurements of one row of the
table are taken one after the other.
Needs the dependency group ``engines``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs

from .measure import Server
from .scenarios import CONCURRENCY
from .server import Settings

_PAGES: Final = 1000
_KEY: Final = "bench-key"


@attrs.frozen
class Load:
    """One measurement.

    Attributes:
        row: the row of the table.
        engine: ``"ours"`` and ``"rest_api"`` load through dlt, ``"dask"`` reads with a cluster.
        settings: behaviour of the server.
        destination: destination of dlt: ``"duckdb"`` or ``"parquet"``.
        workers: worker processes of the cluster.
    """

    row: str
    engine: str
    settings: Settings
    destination: str = ""
    workers: int = 0

    @property
    def name(self) -> str:
        return f"{self.workers} workers" if self.workers else self.engine


def loads(pages: int) -> Iterator[Load]:
    for latency in (0.0, 0.05):
        for destination in ("duckdb", "parquet"):
            for engine in ("ours", "rest_api"):
                row = f"dlt into {destination}, {1000 * latency:g} ms"
                yield Load(row, engine, Settings(pages=pages, latency=latency), destination)
    limits = {"50 ms": Settings(pages=pages, latency=0.05), "50 a second": Settings(pages=pages, rate=50)}
    for limit, settings in limits.items():
        for workers in (1, 2, 4):
            yield Load(f"dask, {limit}", "dask", settings, workers=workers)


def main() -> None:
    """Measure, and print each measurement and the medians with their ratios to the first of the row."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=_PAGES, help="pages of 100 tracks")
    parser.add_argument("--only", default="", help="rows by the beginning of their names")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _emit(json.dumps(_measure(**json.loads(arguments.child))))
        return
    times: dict[str, dict[str, list[float]]] = {}
    with Server() as server:
        for _ in range(arguments.rounds):
            for load in loads(arguments.pages):
                if load.row.startswith(arguments.only):
                    times.setdefault(load.row, {}).setdefault(load.name, []).append(_once(server, load))
    for row, taken in times.items():
        first = median(next(iter(taken.values())))
        _emit(
            f"{row}: "
            + ", ".join(f"{name} {median(each):.2f} s ({median(each) / first:.2f})" for name, each in taken.items())
        )


def _once(server: Server, load: Load) -> float:
    server.configure(load.settings)
    child = json.dumps(
        {"engine": load.engine, "destination": load.destination, "workers": load.workers, "url": server.url}
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"{__package__}.engines", "--child", child]
        environment = os.environ | {"JOGG_API_KEY": _KEY, "RUNTIME__DLTHUB_TELEMETRY": "false", "FOLDER": folder}
        done = subprocess.run(command, capture_output=True, check=False, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    seconds, tracks = json.loads(done.stdout.splitlines()[-1])
    counts = server.counts()
    if tracks != load.settings.pages * 100:
        sys.exit(f"{load}: {tracks} tracks")
    refused = 100 * counts.refused / counts.requests
    _emit(f"{load.row}, {load.name}: {seconds:.2f} s, {counts.most_in_flight} at once, {refused:.1f} % refused")
    return float(seconds)


def _emit(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _measure(engine: str, destination: str, workers: int, url: str) -> tuple[float, int]:
    """Return the seconds and the tracks of a load. Imports and the start of the cluster are not timed."""
    return _read(workers, url) if engine == "dask" else _load(engine, destination, url, Path(os.environ["FOLDER"]))


def _load(engine: str, destination: str, url: str, folder: Path) -> tuple[float, int]:
    source = _ours if engine == "ours" else _rest_api
    _run(source(url).add_limit(1), destination, folder / "first")  # pyarrow, DuckDB and others are imported on use
    return _run(source(url), destination, folder / "second")


def _run(source: Any, destination: str, folder: Path) -> tuple[float, int]:
    dlt: Any = import_module("dlt")
    folder.mkdir()
    parquet = dlt.destinations.filesystem(bucket_url=folder.as_uri())
    target = dlt.destinations.duckdb(str(folder / "bench.db")) if destination == "duckdb" else parquet
    options = {"loader_file_format": "parquet"} if destination == "parquet" else {}
    pipeline = dlt.pipeline("bench", pipelines_dir=str(folder), destination=target, dataset_name="music")
    begun = time.perf_counter()
    pipeline.run(source, **options).raise_on_failed_jobs()
    return time.perf_counter() - begun, pipeline.last_trace.last_normalize_info.row_counts["tracks"]


def _ours(url: str) -> Any:
    return import_module("jogg_async.dlt").tracks_resource(base_url=url, concurrency=CONCURRENCY)


def _rest_api(url: str) -> Any:
    paginator = {"type": "page_number", "base_page": 1, "total_path": "data.pagination.total_pages"}
    endpoint = {
        "path": "v2/musics",
        "params": {"page_size": 100},
        "data_selector": "data.music",
        "paginator": paginator,
    }
    resource = {"name": "tracks", "primary_key": "id", "write_disposition": "merge", "endpoint": endpoint}
    client = {"base_url": url, "headers": {"x-api-key": _KEY}}
    return import_module("dlt.sources.rest_api").rest_api_source({"client": client, "resources": [resource]})


def _read(workers: int, url: str) -> tuple[float, int]:
    distributed: Any = import_module("distributed")
    read_tracks = import_module("jogg_async.dask").read_tracks
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=workers, **options) as cluster, distributed.Client(cluster) as client:
        client.run(lambda: import_module("jogg_async.dask"))
        begun = time.perf_counter()
        tracks = len(read_tracks(base_url=url).compute())
        return time.perf_counter() - begun, tracks


if __name__ == "__main__":
    main()
