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
    """Return the page: its own text up to the mark, then the help."""
    own, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return own + MARK + "\n" + "\n".join(_generated())


def _generated() -> Iterator[str]:
    # As a whole: a command alone does not know the settings of the program.
    _, *sections = re.split(r"^## jogg-async (?=\S+\n)", app.generate_docs(usage_name=app.name[0]), flags=re.MULTILINE)
    for section in sections:
        yield f"## {section.strip()}\n".replace("**Parameters**:\n\n", "")
    yield "## Exit codes\n\n| code | meaning |\n| --- | --- |"
    yield from (f"| {code:d} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield ""
