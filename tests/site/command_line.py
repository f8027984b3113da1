"""The page on the command line, from the help of the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jogg_async.cli.app import app
from jogg_async.cli.failure import EXIT_CODES

PAGE: Final = Path(__file__).parents[2] / "docs" / "cli.md"
MARK: Final = "<!-- From here on written by `python -m tests.site`. Edit the help of the commands, not this page. -->\n"


def commands() -> list[str]:
    """Return the names of the commands."""
    return [name for name in app if not name.startswith("-")]


def render_page() -> str:
    """Return the page: the handwritten text up to `MARK`, then the help."""
    own, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return own + MARK + "\n" + "\n".join(_generated())


def _generated() -> Iterator[str]:
    # As a whole: a command alone does not know the settings of the program.
    text = app.generate_docs().replace("**Parameters**:\n\n", "")
    # cyclopts takes `python -m tests.site` for the name of the program, and leaves a part of it in the usage.
    text = re.sub(r"^(jogg-async .*?) -m [a-z.]+", r"\1", text, flags=re.MULTILINE)
    _, *sections = re.split(r"^## jogg-async (?=\S+\n)", text, flags=re.MULTILINE)
    yield from (f"## {section.strip()}\n" for section in sections)
    yield "## Exit codes\n\n| code | meaning |\n| --- | --- |"
    yield from (f"| {code:d} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield ""
