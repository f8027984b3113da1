"""The list of pages for language models (https://llmstxt.org), from the table of contents and the pages themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "llms.txt"
SOURCES: Final = "_sources/"
"""Folder of the built site that holds the Markdown of each page."""


def render_page() -> str:
    """Return the list: title and summary of the first page, then one line for each other page."""
    title, summary = _title_and_sentence(_text(DOCS / "index.md"))
    return f"# {title}\n\n> {summary}\n" + "".join(_sections())


def pages() -> list[Path]:
    """Return the pages in the order of the table of contents."""
    return [page for _, found in _toctrees() for page in found]


def _toctrees() -> Iterator[tuple[str, list[Path]]]:
    for tree in re.findall(r"```{toctree}\n(.*?)```", _text(DOCS / "index.md"), re.DOTALL):
        (caption,) = re.findall(r":caption: (.*)", tree)
        names = [line for line in tree.splitlines() if line and not line.startswith(":")]
        yield caption, [_file(name) for name in names]


def _file(name: str) -> Path:
    notebook = DOCS / f"{name}.ipynb"
    return notebook if notebook.exists() else DOCS / f"{name}.md"


def _sections() -> Iterator[str]:
    for caption, found in _toctrees():
        yield f"\n## {caption}\n\n"
        for page in found:
            title, sentence = _title_and_sentence(_text(page))
            yield f"- [{title}]({SOURCES}{page.name}.txt): {sentence}\n"


def _text(page: Path) -> str:
    """Return the Markdown of a page or a notebook, included files in place."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"```{include} (\S+)\n```", lambda match: _text(page.parent / match[1]), text)


def _title_and_sentence(text: str) -> tuple[str, str]:
    """Return the heading and the first sentence, without links."""
    heading, _, rest = text.strip().partition("\n")
    paragraph = " ".join(rest.strip().partition("\n\n")[0].split())
    sentence = re.match(r".*?\.(?= |$)|.*", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraph))
    return heading.lstrip("# "), sentence[0] if sentence else ""
