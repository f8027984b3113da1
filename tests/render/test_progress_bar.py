from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jogg_async import JoggSession
    from tests.conftest import MakeFake, MakeSession

pytest.importorskip("rich")


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
