"""The picture of a command in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from tests.cli.processes import Cli, Terminal

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "terminal.svg"
COMMAND: Final = ("tracks", "--demo", "--limit", "8")
_WIDTH: Final = 84


def output() -> str:
    """Run the command on a pseudo-terminal, and return its coloured output with a fixed number as its port."""
    arguments = ["-m", "jogg_async", *COMMAND]
    streams = {"stderr": subprocess.DEVNULL}  # no progress bar, which disappears at the end
    with closing(Terminal(arguments, Cli().environment(), streams, (24, _WIDTH))) as terminal:
        terminal.wait()
    printed = terminal.raw.decode().replace("\r\n", "\n")
    return re.sub(r"(?<=127\.0\.0\.1:)\d+", "38471", printed)


def draw(target: Path) -> None:
    """Write the picture as SVG, without the font that rich's template loads from elsewhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "dim"), f"jogg-async {' '.join(COMMAND)}"))
        console.print(Text.from_ansi(output()))
        svg = console.export_svg(title="jogg-async", unique_id="terminal")
    svg = re.sub(r"@font-face {.*?}\n", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace")
    target.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
