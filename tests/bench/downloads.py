"""`download` beside ``aria2c -j16`` (Debian package aria2): ``python -m tests.bench.downloads``.

2,000 files of 50 to 500 KB come from a server in its own process, 20 ms after each request. Both programs run in turn,
from an empty folder; then each is killed in the middle and started again, and the server counts what it sent.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Final

from aiohttp import web

LATENCY: Final = 0.02
_PIECE: Final = 1 << 16
_SEED: Final = random.Random(1)
_POOL: Final = _SEED.randbytes(1 << 20)

OURS: Final = """
import asyncio, sys
from jogg_async import Track, download
url, folder, count = sys.argv[1:]
tracks = [Track(number, f"Track {number}", f"{url}/{number}.mp3") for number in range(int(count))]
report = asyncio.run(download(tracks, folder, concurrency=16, base_url=url))
sys.exit(f"{report.failed[:3]}" if report.failed else 0)
"""
ARIA2: Final = (
    *("aria2c", "-j16", "-c", "--quiet", "--file-allocation=none", "--auto-file-renaming=false"),
    *("--no-conf", "--async-dns=false"),
)


def content(number: int) -> memoryview:
    """Return a file of 50 to 500 KB."""
    draw = random.Random(number)
    start = draw.randrange(len(_POOL) - 500_000)
    return memoryview(_POOL)[start : start + draw.randrange(50_000, 500_000)]


async def _respond(request: web.BaseRequest, sent: Synchronized[int]) -> web.StreamResponse:
    await asyncio.sleep(LATENCY)
    number = int(request.path.strip("/").partition(".")[0])
    whole, wanted = content(number), request.http_range
    body = whole[wanted]
    headers = {"ETag": f'"{number}"', "Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}
    if wanted.start is not None:
        first = wanted.start
        if first >= len(whole):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(whole)}"})
        headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(whole)}"
    response = web.StreamResponse(status=200 if wanted.start is None else 206, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    for begin in range(0, len(body) if request.method == "GET" else 0, _PIECE):
        await response.write(body[begin : begin + _PIECE])
        sent.value += len(body[begin : begin + _PIECE])
    await response.write_eof()
    return response


def _serve(port: Synchronized[int], sent: Synchronized[int]) -> None:
    async def run() -> None:
        runner = web.ServerRunner(web.Server(lambda request: _respond(request, sent)))
        await runner.setup()
        logging.disable()  # what clients that are killed leave behind
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.value = runner.addresses[0][1]
        await asyncio.Event().wait()

    asyncio.run(run())


class Bench:
    """The server, and the programs that download from it."""

    def __init__(self, count: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        port: Any = multiprocessing.Value("i", 0)
        self.sent: Any = multiprocessing.Value("q", 0)
        self._server = multiprocessing.Process(target=_serve, args=(port, self.sent), daemon=True)
        self._server.start()
        while not port.value:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{port.value}"
        self._list = folder / "urls.txt"
        self._list.write_text("".join(f"{self.url}/{number}.mp3\n" for number in range(count)))

    def command(self, program: str) -> list[str]:
        """Return the command line of a program."""
        target = str(self._folder / program)
        if program == "aria2c":
            return [*ARIA2, "-i", str(self._list), "-d", target]
        return [sys.executable, "-c", OURS, self.url, target, str(self._count)]

    def run(self, program: str, until: Callable[[], bool] = lambda: False) -> tuple[float, float, int]:
        """Run a program, and kill it once a condition holds; return its seconds, its CPU seconds, and bytes sent."""
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        self.sent.value = 0
        with subprocess.Popen(self.command(program)) as process:
            while process.poll() is None:
                if until():
                    process.kill()
                time.sleep(0.002)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, self.sent.value

    def clear(self, program: str) -> None:
        """Remove what a program downloaded."""
        shutil.rmtree(self._folder / program, ignore_errors=True)

    def right_files(self, program: str) -> int:
        """Return how many files are there with the right content."""
        expected = {hashlib.sha256(content(number)).digest() for number in range(self._count)}
        files = (self._folder / program).glob("*.mp3")
        return len(expected & {hashlib.sha256(path.read_bytes()).digest() for path in files})

    def close(self) -> None:
        """Stop the server."""
        self._server.terminate()
        self._server.join()


def main() -> None:
    """Measure, and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(arguments.files, Path(place))
        size = sum(len(content(number)) for number in range(arguments.files))
        print(f"{arguments.files:,} files, {size:,} bytes")
        for round_ in range(arguments.rounds):
            for program in ("jogg_async", "aria2c"):
                bench.clear(program)
                seconds, cpu, _ = bench.run(program)
                print(f"round {round_ + 1}  {program:10}  {seconds:6.2f} s  CPU {cpu:5.2f} s", end="  ")
                print(f"{bench.right_files(program):,} files right", flush=True)
        for program in ("jogg_async", "aria2c"):
            bench.clear(program)
            _, _, first = bench.run(program, lambda: bench.sent.value > size / 2)
            seconds, _, second = bench.run(program)
            print(f"killed after {first:,} bytes  {program:10}  then {seconds:.2f} s, {second:,} bytes", end="  ")
            print(f"in all {(first + second) / size:.4f} of the size, {bench.right_files(program):,} files right")
        bench.close()


if __name__ == "__main__":
    main()
