"""Output formats: a table, JSON lines, CSV. Each prints one page of tracks per call, and blocks while it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jogg_async._render import records
from jogg_async._render.records import minutes
from jogg_async.models import Track

from .terminal import escaped, printable

COLUMNS: Final = ("id", "name", "duration", "music_url")


class Printer(Protocol):
    """Prints tracks."""

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print these tracks. The first call prints the header, if there is one, even without a track."""
        ...


class JsonLines:
    """Prints one JSON object per line, with every field that the service sent.

    Args:
        write: writes the bytes.
        for_terminal: escape control characters that JSON allows.
    """

    def __init__(self, write: Callable[[bytes], None], *, for_terminal: bool) -> None:
        self._write = write
        self._for_terminal = for_terminal

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print these tracks."""
        lines = records.json_lines(tracks)
        self._write(escaped(lines.decode()).encode() if self._for_terminal else lines)


class Csv:
    """Prints comma-separated values with a header.

    Args:
        write: writes the bytes.
        for_terminal: replace control characters.
    """

    def __init__(self, write: Callable[[bytes], None], *, for_terminal: bool) -> None:
        self._write = write
        self._for_terminal = for_terminal
        self._has_header = False

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print these tracks."""
        rows: list[Sequence[object]] = [records.row(track) for track in tracks]
        if self._for_terminal:
            rows = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
        if not self._has_header:
            rows.insert(0, records.COLUMNS)
            self._has_header = True
        self._write(records.csv_lines(rows))


@attrs.frozen
class Layout:
    """Column widths in terminal cells, computed from the first page, since rows are printed as they arrive."""

    id: int
    name: int
    duration: int
    url: int | None
    """Width of the URL; with `None`, neither the URL nor the name is cut."""

    @classmethod
    def of(cls, tracks: Sequence[Track], width: int | None) -> Layout:
        """Return a layout for a terminal of this width; with `None`, nothing is cut. It has space for longer ids."""
        longest = max((len(str(track.id)) for track in tracks), default=1)
        id_width, duration = max(longest + 1, 7), len("duration")
        if width is None:
            return cls(id_width, 32, duration, None)
        rest = max(width - id_width - duration - 6, 20)
        name = min(rest * 2 // 5, 40)
        return cls(id_width, name, duration, rest - name)

    def cells(self, texts: Sequence[str]) -> tuple[str, str, str, str]:
        """Return the four cells of a row, padded and cut."""
        number, name, duration, url = texts
        cut_name = _padded(name, self.name) if self.url is None else _cut(name, self.name)
        cut_url = url if self.url is None else _cut(url, self.url).rstrip()
        return f"{number:>{self.id}}  ", f"{cut_name}  ", f"{duration:>{self.duration}}  ", cut_url


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _cut(text: str, width: int) -> str:
    return _padded(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"


def _texts(track: Track) -> tuple[str, str, str, str]:
    return str(track.id), printable(track.name or ""), minutes(track.duration), printable(track.music_url or "")


class PlainTable:
    """Prints a table to a pipe or a file. Nothing is cut.

    Args:
        write: writes the bytes.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._layout: Layout | None = None

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print these tracks."""
        rows = [_texts(track) for track in tracks]
        if self._layout is None:
            self._layout = Layout.of(tracks, None)
            rows.insert(0, COLUMNS)
        lines = ("".join(self._layout.cells(row)).rstrip() + "\n" for row in rows)
        self._write("".join(lines).encode())


class TerminalTable:
    """Prints a table to a terminal, cut to its width. URLs that are cut can still be clicked.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._layout: Layout | None = None

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print these tracks."""
        lines = Text()
        if self._layout is None:
            self._layout = Layout.of(tracks, self._console.width)
            lines.append("".join(self._layout.cells(COLUMNS)) + "\n", "bold")
        for track in tracks:
            self._append(lines, self._layout.cells(_texts(track)), track.music_url)
        self._console.print(lines, end="", soft_wrap=True)

    def _append(self, lines: Text, cells: tuple[str, str, str, str], address: str | None) -> None:
        number, name, duration, url = cells
        lines.append(number, "cyan").append(name).append(duration, "green")
        lines.append(url, _link(address)).append("\n")


def _link(address: str | None) -> Style:
    if address is None or not address.startswith(("https://", "http://")):
        return Style(dim=True)
    if not (address.isascii() and address.isprintable() and " " not in address):
        return Style(dim=True)
    return Style(dim=True, link=address)
