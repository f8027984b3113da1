"""Progress bars in the kernel of a notebook."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

COLLECT = """
    from jogg_async import JoggSession
    from jogg_async.testing import FakeJogg

    async with FakeJogg(1000) as fake, JoggSession(fake.api_key, base_url=fake.url) as jogg:
        tracks = await jogg.tracks(limit=700).collect(progress=True)
    len(tracks)
"""
WITHOUT_IPYWIDGETS = "import sys; sys.modules['ipywidgets'] = None\n"


def run_cell(code: str, folder: Path) -> tuple[list[Any], Any]:
    """Run a notebook of one cell; return the cell's outputs and the notebook's metadata."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
    return notebook.cells[0].outputs, notebook.metadata


def widget_text(metadata: Any) -> str:
    """Return the text of the only output widget."""
    widgets = metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    (shown,) = (widget["state"]["outputs"] for widget in widgets if widget["model_name"] == "OutputModel")
    return str(shown[0]["data"]["text/plain"])


def text_of(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def test_a_notebook_without_ipywidgets_shows_text_and_no_warning(tmp_path: Path) -> None:
    outputs, _ = run_cell(WITHOUT_IPYWIDGETS + textwrap.dedent(COLLECT), tmp_path)
    first, counts = text_of(outputs).split("\n", 1)
    assert first == "For a progress bar in the notebook: pip install 'jogg-async[notebook]'"
    assert counts.endswith("\r700/700 tracks\n")
    assert outputs[-1]["data"]["text/plain"] == "700"


def test_collect_shows_a_progress_bar_widget_in_a_notebook_with_ipywidgets(tmp_path: Path) -> None:
    pytest.importorskip("ipywidgets")
    outputs, metadata = run_cell(textwrap.dedent(COLLECT), tmp_path)
    assert text_of(outputs) == ""
    assert "700/700 tracks" in widget_text(metadata)


def test_save_shows_a_progress_bar_widget_in_a_notebook_with_ipywidgets(tmp_path: Path) -> None:
    pytest.importorskip("ipywidgets")
    code = textwrap.dedent(COLLECT).replace("collect(", "save('tracks.csv', ").replace("len(tracks)", "tracks.tracks")
    outputs, metadata = run_cell(code, tmp_path)
    assert outputs[-1]["data"]["text/plain"] == "700"
    assert "700/700 tracks" in widget_text(metadata)
    assert (tmp_path / "tracks.csv").read_text(encoding="utf-8").count("\n") == 701
