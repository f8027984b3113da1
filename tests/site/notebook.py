"""The notebook of the documentation: its outputs, and pictures of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

# They are not in every environment that checks types.
nbclient: Any = import_module("nbclient")
nbformat: Any = import_module("nbformat")

DOCS: Final = Path(__file__).parents[2] / "docs"
NOTEBOOK: Final = DOCS / "notebook.ipynb"
PICTURED: Final = 5
"""Cells at the beginning that the pictures show."""

_VARIABLE_METADATA: Final = ("execution", "language_info", "widgets")
_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


def write() -> None:
    """Run the notebook, store its outputs, and take the pictures."""
    notebook = executed()
    nbformat.write(notebook, NOTEBOOK)
    for theme in ("light", "dark"):
        take_picture(notebook, theme, DOCS / "images" / f"notebook-{theme}.png")


def executed() -> Any:
    """Run the stored notebook in a kernel, in an empty folder, and return it with its new outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with TemporaryDirectory() as folder:
        nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}}).execute()
    for part in (notebook, *notebook.cells):
        for name in _VARIABLE_METADATA:
            part.metadata.pop(name, None)
    for output in outputs(notebook):
        for kind, value in output.get("data", {}).items():
            output["data"][kind] = re.sub(r"(?<=127\.0\.0\.1:)\d+", "38471", value)
    return notebook


def outputs(notebook: Any) -> Iterator[Any]:
    """Yield the outputs of all cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def texts(notebook: Any) -> list[Any]:
    """Return the outputs without images, which differ between versions of the plotting library."""
    return [
        output.get("text") or {kind: value for kind, value in output["data"].items() if not kind.startswith("image/")}
        for output in outputs(notebook)
    ]


def take_picture(notebook: Any, theme: str, target: Path) -> None:
    """Write a picture of the first cells as JupyterLab shows them."""
    nbconvert: Any = import_module("nbconvert")
    part = nbformat.v4.new_notebook(cells=notebook.cells[:PICTURED], metadata=notebook.metadata)
    exporter = nbconvert.HTMLExporter(template_name="lab", theme=theme)
    with TemporaryDirectory() as folder:
        page = Path(folder, "notebook.html")
        page.write_text(exporter.from_notebook_node(part)[0], encoding="utf-8")
        _screenshot(page, target, dark=theme == "dark")


def _screenshot(page: Path, target: Path, *, dark: bool) -> None:
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if chromium is None:
        raise FileNotFoundError("There is no Chromium: apt-get install chromium fonts-inter")
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,844"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # it refuses to run as root otherwise
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    command = [chromium, *options, scheme, f"--screenshot={target}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
