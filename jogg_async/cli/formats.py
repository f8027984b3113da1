"""Tracks as text: a table, JSON lines, CSV. Each format prints a page at a time; all of them block."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jogg_async.models import Track

from .terminal import escaped, printable

COLUMNS: Final = ("id", "name", "duration", "music_url")
_CSV_HEADER: Final = ("id", "name", "music_url", "duration", "extra")
_encoder = msgspec.json.Encoder()


class Printer(Protocol):
    """Prints tracks."""

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print the next tracks; the first call prints the header, if there is one, even without a track."""
        ...


class JsonLines:
    """One JSON object a line, in UTF-8, with every field of the track, those that this version does not know included.

    Args:
        write: takes the bytes.
        for_terminal: whether control characters that JSON lets pass are escaped too.
    """

    def __init__(self, write: Callable[[bytes], None], *, for_terminal: bool) -> None:
        self._write = write
        self._for_terminal = for_terminal

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print the next tracks."""
        lines = _encoder.encode_lines([_fields(track) for track in tracks])
        self._write(escaped(lines.decode()).encode() if self._for_terminal else lines)


def _fields(track: Track) -> dict[str, object]:
    return {
        "id": track.id,
        "name": track.name,
        "music_url": track.music_url,
        "duration": track.duration,
        **track.extra,
    }


class Csv:
    """Comma-separated values in UTF-8, with a header; the unknown fields are one JSON object in the column ``extra``.

    Args:
        write: takes the bytes.
        for_terminal: whether control characters are replaced.
    """

    def __init__(self, write: Callable[[bytes], None], *, for_terminal: bool) -> None:
        self._write = write
        self._shown: Callable[[str], str] = printable if for_terminal else str
        self._has_header = False

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print the next tracks."""
        lines = io.StringIO(newline="")
        # The default end of line is RFC 4180's; with any other, Python 3.11 would leave a lone "\r" unquoted.
        rows = csv.writer(lines)
        if not self._has_header:
            rows.writerow(_CSV_HEADER)
            self._has_header = True
        rows.writerows(map(self._row, tracks))
        self._write(lines.getvalue().encode())

    def _row(self, track: Track) -> tuple[object, ...]:
        extra = _encoder.encode(dict(track.extra)).decode()
        texts = (None if text is None else self._shown(text) for text in (track.name, track.music_url))
        return (track.id, *texts, track.duration, self._shown(extra))


@attrs.frozen
class Layout:
    """The widths of the table's columns, in terminal cells; they are fixed before the first row, since rows flow."""

    id: int
    name: int
    duration: int
    url: int | None
    """`None`: whole, and so is the name."""

    @classmethod
    def of(cls, tracks: Sequence[Track], width: int | None) -> Layout:
        """A layout for a terminal of this width, with room for longer ids than the first ones; `None` cuts nothing."""
        longest = max((len(str(track.id)) for track in tracks), default=1)
        id_width, duration = max(longest + 1, 7), len("duration")
        if width is None:
            return cls(id_width, 32, duration, None)
        rest = max(width - id_width - duration - 6, 20)
        name = min(rest * 2 // 5, 40)
        return cls(id_width, name, duration, rest - name)

    def cells(self, texts: Sequence[str]) -> tuple[str, str, str, str]:
        """The four cells of a row, padded and cut."""
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


def minutes(seconds: int | None) -> str:
    """A duration as m:ss, such as "3:07"; empty for `None`."""
    if seconds is None:
        return ""
    whole, rest = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{whole}:{rest:02d}"


class PlainTable:
    """The table for a pipe or a file: nothing is cut.

    Args:
        write: takes the bytes.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._layout: Layout | None = None

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print the next tracks."""
        rows = [_texts(track) for track in tracks]
        if self._layout is None:
            self._layout = Layout.of(tracks, None)
            rows.insert(0, COLUMNS)
        lines = ("".join(self._layout.cells(row)).rstrip() + "\n" for row in rows)
        self._write("".join(lines).encode())


class TerminalTable:
    """The table for a terminal: as wide as it is, with addresses that can be clicked though they are cut.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._layout: Layout | None = None

    def __call__(self, tracks: Sequence[Track], /) -> None:
        """Print the next tracks."""
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
