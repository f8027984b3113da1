"""A save that is killed at any step, and resumed, gives the result of an undisturbed one."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jogg_async._export import save as saving
from jogg_async.testing import FakeJogg
from tests.model import LONG_RUN

from . import killed
from .conftest import MakePager, names, rows_of, skip_without_extra
from .test_mirror import counts, query, rename

if TYPE_CHECKING:
    from tests.conftest import MakeFake

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")

KILLS = 25
"""Kills for each format if the environment variable JOGG_LONG is set."""

FILES = {"csv.gz": 2, "parquet": 1, "jsonl": 0, "jsonl.gz": 0, "jsonl.zst": 0, "csv": 0}
"""Kills for each format in a short run, without JOGG_LONG."""

STATE = "SELECT id, name, music_url, duration, extra, changed_at IS NULL, gone_at IS NULL FROM tracks ORDER BY id"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_BATCH", killed.BATCH)


@pytest.fixture
def steps() -> Iterator[killed.Steps]:
    """Counts the steps of the saves in this process."""
    counting = killed.Steps()
    threading.setprofile(counting)
    yield counting
    threading.setprofile(None)


def chosen(steps: int, seed: str, kills: int) -> list[int]:
    """Steps at which to kill: drawn from all, and the last ones, at which files are renamed and deleted."""
    draw = random.Random(seed)
    kills = KILLS if LONG_RUN else kills
    return [draw.randint(1, steps) if number % 2 else steps - draw.randint(1, 40) for number in range(kills)]


def run_killed(fake: FakeJogg, path: Path, step: int) -> bool:
    """Run the program `killed`, to be killed at a step; return False if it ended before."""
    command = [sys.executable, str(killed.__file__), fake.url, fake.api_key, str(path), str(step)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


@pytest.mark.parametrize("suffix", [suffix for suffix, kills in FILES.items() if kills or LONG_RUN])
async def test_killed_save_of_a_file_is_resumed_to_the_same_content(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, suffix: str, steps: killed.Steps
) -> None:
    skip_without_extra(suffix)
    fake = await make_fake(2530)
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"killed.{suffix}"
    await make_pager(fake).save(whole)
    kills = 0
    planned = chosen(steps.count, suffix, FILES[suffix])
    for step in planned:
        path.write_bytes(b"old")
        kills += await asyncio.to_thread(run_killed, fake, path, step)
        is_old = path.read_bytes() == b"old"
        assert is_old or has_same_content(path, whole), step
        assert (await make_pager(fake).save(path, resume=True)).tracks == 2530
        assert has_same_content(path, whole), step
        assert names(tmp_path) == [path.name, whole.name]
    assert kills > len(planned) // 2


def has_same_content(path: Path, whole: Path) -> bool:
    """Compare bytes; for Parquet compare rows, since its row groups depend on the batches."""
    return rows_of(path) == rows_of(whole) if path.suffix == ".parquet" else path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("exists", [True, False], ids=["sync", "new"])
async def test_killed_save_of_a_mirror_is_resumed_to_the_same_rows(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, exists: bool, steps: killed.Steps
) -> None:
    fake = await make_fake(2530)
    base, whole, path = (tmp_path / f"{name}.db" for name in ("base", "whole", "killed"))
    if exists:
        await make_pager(fake).save(base)
        shutil.copy(base, whole)
    fake.catalogue.remove_ids(1)
    rename(fake, 0, name="renamed")
    fake.catalogue.insert(len(fake.catalogue), count=2)
    before = steps.count
    expected = counts(await make_pager(fake).save(whole))
    kills = 0
    planned = chosen(steps.count - before, f"mirror {exists}", 1 + exists)
    for step in planned:
        path.unlink(missing_ok=True)
        if exists:
            shutil.copy(base, path)
        kills += await asyncio.to_thread(run_killed, fake, path, step)
        had_ended = not path.with_name("killed.db.partial").exists()
        if exists and not had_ended:
            assert query(path, STATE) in (query(base, STATE), query(whole, STATE)), step
        report = await make_pager(fake).save(path, resume=True)
        assert had_ended or counts(report) == expected, step
        assert query(path, STATE) == query(whole, STATE), step
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        assert query(path, "SELECT count(*) FROM crawls WHERE new > 0") == [(1 + exists,)]
        assert names(tmp_path) == sorted({each.name for each in (base, whole, path) if exists or each != base})
    assert kills > len(planned) // 2


@pytest.mark.skipif(not LONG_RUN, reason="JOGG_LONG is not set")
@pytest.mark.parametrize("suffix", ["jsonl", "csv.zst", "parquet", "db"])
async def test_a_command_killed_at_random_moments_is_resumed_to_the_same_content(
    make_fake: MakeFake, make_pager: MakePager, tmp_path: Path, suffix: str
) -> None:
    skip_without_extra(suffix)
    fake = await make_fake(20_000, jitter=0.02)
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"killed.{suffix}"
    await make_pager(fake).save(whole)
    draw = random.Random(suffix)
    command = [sys.executable, "-m", "jogg_async", "crawl", str(path), "--resume"]
    environment = {
        "JOGG_API_KEY": fake.api_key,
        "JOGG_BASE_URL": fake.url,
        "PATH": "",
        "PYTHONPATH": ":".join(sys.path),
    }

    def run(seconds: float) -> int:
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            time.sleep(seconds)
            process.kill()
            return process.wait()

    kills = 0
    while kills < 20:
        kills += await asyncio.to_thread(run, draw.uniform(0.3, 2.5)) == -signal.SIGKILL
        if path.exists():  # whole, even if the journal is still there
            assert rows_of(path) == rows_of(whole)
    await make_pager(fake).save(path, resume=True)
    assert rows_of(path) == rows_of(whole)
