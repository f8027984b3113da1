from __future__ import annotations

import asyncio
import builtins
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import jogg_async

if TYPE_CHECKING:
    from jogg_async import JoggSession
    from tests.conftest import MakeFake, MakeSession

pytest.importorskip("rich")

from rich.console import Console

from jogg_async._render import progress_bar


class ZMQInteractiveShell:
    """A stand-in for the shell of a notebook, which rich recognizes by its class's name."""


@pytest.fixture
def in_notebook_without_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setattr("jogg_async._render.progress_bar.find_spec", lambda _: None)


@pytest.mark.parametrize(
    ("bounds", "tracks"),
    [
        ({}, 250),
        ({"limit": 130}, 130),
        ({"start_page": 3}, 50),
        ({"end_page": 2}, 200),
        ({"start_page": 2, "end_page": 2, "limit": 70}, 70),
    ],
)
async def test_progress_bar_of_collect_ends_at_the_number_of_requested_tracks(
    jogg: JoggSession, capsys: pytest.CaptureFixture[str], bounds: dict[str, Any], tracks: int
) -> None:
    assert len(await jogg.tracks(**bounds).collect(progress=True)) == tracks
    assert f"{tracks}/{tracks} tracks" in capsys.readouterr().err


async def test_progress_bar_of_a_resumed_crawl_counts_the_remaining_tracks(
    jogg: JoggSession, capsys: pytest.CaptureFixture[str]
) -> None:
    async with jogg.tracks() as pager:
        for _ in range(30):
            await anext(pager)
        checkpoint = pager.checkpoint()
    assert len(await jogg.tracks(resume=checkpoint).collect(progress=True)) == 220
    assert "220/220 tracks" in capsys.readouterr().err


async def test_progress_bar_ends_full_even_if_records_are_left_out(
    make_fake: MakeFake, make_session: MakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [{"id": number} for number in range(1, 251)]
    rows[120] = {"id": 5}  # a duplicate
    rows[240] = {"id": "no number"}
    pager = make_session(await make_fake(rows)).tracks(on_invalid="skip", on_drift="ignore")
    assert len(await pager.collect(progress=True)) == 248
    assert "248/248 tracks" in capsys.readouterr().err


class BrokenStream(io.StringIO):
    """Stream that cannot be written to, and may be a terminal."""

    def __init__(self, fault: Exception, *, terminal: bool) -> None:
        super().__init__()
        self._fault = fault
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise self._fault


FAULTS = [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"), ValueError("closed file")]


@pytest.mark.parametrize("terminal", [False, True], ids=["no-terminal", "terminal"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_broken_standard_error_does_not_disturb_a_crawl_with_a_progress_bar(
    jogg: JoggSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Exception, terminal: bool
) -> None:
    out = sys.stdout
    monkeypatch.setattr(sys, "stderr", BrokenStream(fault, terminal=terminal))
    assert len(await jogg.tracks().collect(progress=True)) == 250
    assert (await jogg.tracks().save(tmp_path / "tracks.csv", progress=True)).tracks == 250
    assert (await jogg_async.download(jogg.tracks(limit=2), tmp_path, progress=True)).downloaded == 2
    assert sys.stdout is out


@pytest.mark.usefixtures("in_notebook_without_ipywidgets")
async def test_broken_standard_error_does_not_disturb_a_crawl_with_text_in_place_of_the_bar(
    jogg: JoggSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", BrokenStream(FAULTS[0], terminal=False))
    assert len(await jogg.tracks().collect(progress=True)) == 250


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_program_whose_standard_error_has_no_reader_gets_every_track() -> None:
    program = """\
import asyncio
from jogg_async import JoggSession
from jogg_async.testing import FakeJogg

async def main():
    async with FakeJogg(500) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        print(len(await jogg.tracks().collect(progress=True)))

asyncio.run(main())
"""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stderr:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=stderr, check=False)
    assert done.stdout == b"500\n"


async def test_no_task_is_left_when_a_crawl_with_a_progress_bar_returns(jogg: JoggSession) -> None:
    before = asyncio.all_tasks()
    await jogg.tracks().collect(progress=True)
    assert [task for task in asyncio.all_tasks() - before if "repeat" in str(task)] == []


@pytest.mark.usefixtures("in_notebook_without_ipywidgets")
async def test_a_notebook_without_ipywidgets_shows_text_and_names_the_extra(
    jogg: JoggSession, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(await jogg.tracks(limit=130).collect(progress=True)) == 130
    shown = capsys.readouterr()
    assert shown.out == ""
    first, counts = shown.err.split("\n", 1)
    assert first == "For a progress bar in the notebook: pip install 'jogg-async[notebook]'"
    assert re.fullmatch(r"(\r\d+/(130|\?) tracks)+\n", counts)
    assert counts.endswith("\r130/130 tracks\n")


@attrs.frozen
class State:
    """A stand-in for `jogg_async.Progress`."""

    tracks: int = 1200
    expected: int | None = 2500
    pages_done: int = 12
    retries: int = 0
    paused: float = 0.0


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State(), "1,200/2,500 tracks  12 pages"),
        (State(retries=1), "12 pages  1 retry"),
        (State(retries=1234), "12 pages  1,234 retries"),
        (State(expected=None), "1,200/? tracks  12 pages"),
        (State(retries=3, paused=11.2), "1,200/2,500 tracks  paused by the server, 12 s"),
    ],
)
def test_the_bar_shows_pages_retries_and_the_pause(state: State, shown: str) -> None:
    screen = io.StringIO()
    with progress_bar.bar(Console(file=screen, force_terminal=True, width=120, color_system=None)) as show:
        show(state)
    assert shown in screen.getvalue()


async def test_the_bar_is_updated_while_no_page_arrives() -> None:
    states = [State(paused=2.0), State(paused=1.0), State()]
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    async with progress_bar.updated_bar(lambda: states.pop(0) if len(states) > 1 else states[0], console):
        while len(states) > 1:  # noqa: ASYNC110 (the bar tells nobody)
            await asyncio.sleep(0.01)
    assert "12 pages" in screen.getvalue()
