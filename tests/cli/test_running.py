"""Running a command: signals, exit codes, and warnings as lines."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import warnings
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async import CatalogueChangedWarning
from jogg_async.cli import running

from .processes import PATIENCE

if TYPE_CHECKING:
    from jogg_async.cli.running import Ending

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ExitedError(Exception):
    """Raised instead of an exit of the process, with its code."""


class Timer:
    """Timer that only notes its calls."""

    daemon = False

    def __init__(self, seconds: float, function: Any, arguments: tuple[int]) -> None:
        self.calls: list[Any] = [(seconds, function, arguments)]

    def start(self) -> None:
        self.calls.append("start as daemon" if self.daemon else "start")

    def cancel(self) -> None:
        self.calls.append("cancel")


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Timer]:
    """Replace timers and the exit of the process; return the timers made."""
    made: list[Timer] = []

    def make(*arguments: Any) -> Timer:
        made.append(Timer(*arguments))
        return made[-1]

    monkeypatch.setattr(running, "threading", SimpleNamespace(Timer=make))
    monkeypatch.setattr(running, "os", SimpleNamespace(_exit=exit_with))
    return made


def exit_with(code: int) -> None:
    raise ExitedError(code)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("after_signal", [None, 0])
def test_signal_ends_the_command_and_its_handlers_are_restored(
    number: signal.Signals, after_signal: int | None
) -> None:
    async def work(_: Ending) -> None:
        signal.raise_signal(number)
        await asyncio.sleep(PATIENCE)

    before = [signal.getsignal(each) for each in SIGNALS]
    assert running.INTERRUPTED == 130
    code = {signal.SIGINT: 130, signal.SIGTERM: 143}[number] if after_signal is None else after_signal
    assert running.run(work, after_signal=after_signal) == code
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert all(each.finished.is_set() for each in threading.enumerate() if isinstance(each, threading.Timer))


def test_command_without_a_signal_ends_with_0() -> None:
    assert running.run(lambda ending: asyncio.sleep(0)) == 0


def test_first_end_of_a_command_decides_its_code_and_limits_its_time(timers: list[Timer]) -> None:
    async def work(ending: Ending) -> None:
        ending.end(5)
        ending.end(6)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(PATIENCE)

    assert running.run(work) == 5
    assert [timer.calls for timer in timers] == [[(1.0, exit_with, (5,)), "start as daemon", "cancel"]]


@pytest.mark.parametrize("hangs", [False, True])
def test_process_exits_at_once_only_if_a_write_hangs(timers: list[Timer], hangs: bool) -> None:
    async def work(ending: Ending) -> None:
        ending.writing_hangs = ending.writing_hangs or hangs
        ending.end(5)
        await asyncio.sleep(PATIENCE)

    if hangs:
        with pytest.raises(ExitedError, match="5"):
            running.run(work)
    else:
        assert running.run(work) == 5
    assert len(timers) == 1


def test_cancellation_by_something_else_is_not_an_ending() -> None:
    async def work(_: Ending) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        running.run(work)


def test_each_change_of_the_catalogue_is_a_line_and_other_warnings_are_shown_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, others = list[str](), list[tuple[str, type[Warning], str]]()

    def show(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        others.append((str(message), category, filename))

    async def work(ending: Ending) -> None:
        for _ in range(2):
            warnings.warn("2 tracks came twice", CatalogueChangedWarning, stacklevel=1)
        warnings.simplefilter("always", UserWarning)
        warnings.warn("another one", UserWarning, stacklevel=1)

    screen = SimpleNamespace(warn=lines.append)
    monkeypatch.setattr(running, "Screen", SimpleNamespace(of_process=lambda: screen))
    monkeypatch.setattr(warnings, "showwarning", show)
    assert running.run(work) == 0
    assert lines == ["2 tracks came twice; --on-drift recrawl looks for missing tracks."] * 2
    assert others == [("another one", UserWarning, __file__)]
    assert warnings.showwarning is show
