"""Writes what the documentation takes from programs: ``python -m tests.site``.

- `docs/cli.md`, from its heading "tracks" on: the help of the commands
- `docs/llms.txt`: the list of pages
- `docs/images/terminal.svg`: a command in a terminal
- with ``--notebook``: the outputs of `docs/notebook.ipynb`, and pictures of them taken with Chromium

With ``--check`` it writes nothing, and fails if the first two are not up to date.
"""

from __future__ import annotations

import argparse
import sys

from . import command_line, llms, terminal


def main(arguments: list[str]) -> int | str:
    """Run with these arguments, and return the exit code or an error."""
    parser = argparse.ArgumentParser(prog="tests.site")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--notebook", action="store_true")
    chosen = parser.parse_args(arguments)
    pages = {command_line.PAGE: command_line.render_page(), llms.PAGE: llms.render_page()}
    if chosen.check:
        stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
        return f"{', '.join(stale)}: run `python -m tests.site`" if stale else 0
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    terminal.draw(terminal.PICTURE)
    if chosen.notebook:
        from . import notebook

        notebook.write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
