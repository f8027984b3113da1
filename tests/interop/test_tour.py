"""The notebook of the documentation, run in a real kernel."""

from __future__ import annotations

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")
pytest.importorskip("matplotlib.font_manager")  # fills its cache of fonts, which it would report in the notebook

from tests.site import notebook as tour  # noqa: E402


def test_the_notebook_runs_and_gives_the_outputs_stored_in_it() -> None:
    stored, again = nbformat.read(tour.NOTEBOOK, as_version=4), tour.executed()
    assert [cell.source for cell in again.cells] == [cell.source for cell in stored.cells]
    assert tour.texts(again) == tour.texts(stored), "run `nox -s site`"
    images = [sum("image/png" in output.get("data", {}) for output in tour.outputs(each)) for each in (stored, again)]
    assert images == [2, 2]
