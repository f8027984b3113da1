"""Standard output: writes in threads, their end after a cancellation, and readers that leave."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.cli import outlet, running
from jogg_async.cli.outlet import Outlet
from tests.model import no_loop_errors, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")


class Ending:
    """Ending that only notes its codes."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.writing_hangs = False

    def end(self, code: int) -> None:
        self.codes.append(code)


@pytest.fixture
def ending() -> Ending:
    return Ending()


@pytest.fixture
def make_outlet(monkeypatch: pytest.MonkeyPatch, ending: Ending) -> Callable[[int], Outlet]:
    """Return a function that makes an outlet on a file descriptor."""

    def make(descriptor: int) -> Outlet:
        monkeypatch.setattr(outlet, "sys", SimpleNamespace(stdout=SimpleNamespace(fileno=lambda: descriptor)))
        noting: Any = ending
        return Outlet(noting)

    return make


@pytest.fixture
def pipe() -> Iterator[tuple[int, list[int]]]:
    """Return the writing end of a pipe, and a list with the reading end, which a test may close and remove."""
    reading, writing = os.pipe()
    left = [reading]
    yield writing, left
    for descriptor in (*left, writing):
        os.close(descriptor)


def test_closed_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch, ending: Ending) -> None:
    monkeypatch.setattr(outlet, "sys", SimpleNamespace(stdout=None))
    noting: Any = ending
    with pytest.raises(OSError, match="standard output is closed"):
        Outlet(noting)


async def test_job_runs_in_a_daemon_thread_and_its_error_is_raised(
    make_outlet: Callable[[int], Outlet], ending: Ending
) -> None:
    threads: list[threading.Thread] = []

    def job() -> None:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            raise OSError("no space")

    out = make_outlet(1)
    await out.run_in_thread(job)
    with pytest.raises(OSError, match="no space"):
        await out.run_in_thread(job)
    assert [(thread.daemon, thread is threading.main_thread()) for thread in threads] == [(True, False)] * 2
    assert not ending.writing_hangs


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_write_gets_a_moment_to_finish_and_its_error_no_longer_matters(
    make_outlet: Callable[[int], Outlet], ending: Ending, fails: bool
) -> None:
    released = threading.Event()

    def job() -> None:
        released.wait(10)
        if fails:
            raise OSError("no space")

    with no_loop_errors():
        writing = asyncio.ensure_future(make_outlet(1).run_in_thread(job))
        await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.sleep(0.01)
        assert not writing.done()
        released.set()
        await asyncio.wait((writing,))  # without an exception here, whose traceback would keep what it reports
        assert writing.cancelled()
        del writing
    assert not ending.writing_hangs


async def test_cancelled_write_that_does_not_finish_hangs(
    monkeypatch: pytest.MonkeyPatch, make_outlet: Callable[[int], Outlet], ending: Ending
) -> None:
    assert outlet._LAST_WRITE_TIMEOUT < running._GRACE  # else the process exits before
    monkeypatch.setattr(outlet, "_LAST_WRITE_TIMEOUT", 0.01)
    released, done = threading.Event(), threading.Event()

    def job() -> None:
        released.wait(10)
        done.set()

    writing = asyncio.ensure_future(make_outlet(1).run_in_thread(job))
    await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ending.writing_hangs
    released.set()
    await until(done.is_set)


async def test_reader_that_leaves_ends_the_command_once(
    make_outlet: Callable[[int], Outlet], ending: Ending, pipe: tuple[int, list[int]]
) -> None:
    writing, reading = pipe
    with make_outlet(writing).watched():
        await asyncio.sleep(0.01)
        assert ending.codes == []
        os.close(reading.pop())
        await until(lambda: bool(ending.codes))
        await asyncio.sleep(0.01)
    assert ending.codes == [0]


async def test_reader_that_leaves_after_the_command_goes_unnoticed(
    make_outlet: Callable[[int], Outlet], ending: Ending, pipe: tuple[int, list[int]]
) -> None:
    writing, reading = pipe
    with make_outlet(writing).watched():
        pass
    os.close(reading.pop())
    await asyncio.sleep(0.02)
    assert ending.codes == []


async def test_file_is_not_watched(make_outlet: Callable[[int], Outlet], ending: Ending, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file, make_outlet(file.fileno()).watched():
        await asyncio.sleep(0.01)
    assert ending.codes == []
