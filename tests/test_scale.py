"""Memory of a crawl of a million tracks, in a process of its own, from a fake in another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = """
import asyncio
from jogg_async.testing import FakeJogg

async def main():
    async with FakeJogg(1_000_000, record=False) as fake:
        print(fake.url, fake.api_key, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""

CRAWL = """
import asyncio, gc, sys
from pathlib import Path
from jogg_async import JoggSession

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

async def main(url, key):
    async with JoggSession(key, base_url=url, concurrency=16) as jogg:
        async for track in jogg.tracks(end_page=300):
            pass  # modules that load at first use and a full window do not count as growth
        gc.collect()
        before = most = resident()
        count = last = 0
        async for track in jogg.tracks():
            count += 1
            assert track.id > last
            last = track.id
            if count % 10_000 == 0:
                most = max(most, resident())
        async for track in jogg.tracks():
            if track.id == 50_000:
                break
        await asyncio.sleep(0.1)
        print(count, most - before, len(asyncio.all_tasks()))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_a_million_tracks_take_at_most_15_mb_and_leave_no_task() -> None:
    slow = ("COVERAGE", "COV_", "PYTHONDEVMODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(slow)}
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()
            command = [sys.executable, "-c", CRAWL, *address]
            crawl = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=100)
        finally:
            server.kill()
    assert crawl.stderr == ""
    count, growth, tasks = crawl.stdout.split()
    assert (count, tasks) == ("1000000", "1")
    assert float(growth) <= 15
