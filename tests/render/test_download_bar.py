from __future__ import annotations

import builtins
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import jogg_async

if TYPE_CHECKING:
    from jogg_async import JoggSession

pytest.importorskip("rich")


class ZMQInteractiveShell:
    """Stand-in for the shell of a notebook, which rich recognizes by its class's name."""


@pytest.fixture
def in_notebook_without_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setattr("jogg_async._render.download_bar.find_spec", lambda _: None)


async def test_the_bar_ends_at_the_number_of_files_and_their_bytes(
    jogg: JoggSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await jogg_async.download(jogg.tracks(limit=5), tmp_path, progress=True)
    shown = capsys.readouterr()
    assert "5/5 files  120.2 kB" in shown.err
    assert shown.out == ""


async def test_the_bar_of_tracks_without_a_length_shows_no_total(
    jogg: JoggSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracks = await jogg.tracks(limit=2).collect()
    await jogg_async.download((track for track in tracks), tmp_path, progress=True)
    assert "2/? files  48.1 kB" in capsys.readouterr().err


@pytest.mark.usefixtures("in_notebook_without_ipywidgets")
async def test_a_notebook_without_ipywidgets_shows_text(
    jogg: JoggSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await jogg_async.download(jogg.tracks(limit=5), tmp_path, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"(\r\d/(5|\?) files  [\d.]+ (bytes|kB))+\n", shown.err)
    assert shown.err.endswith("\r5/5 files  120.2 kB\n")
