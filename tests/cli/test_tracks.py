"""`jogg-async tracks`: the printer of each format, and the pager of the options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import pytest

from jogg_async import Track
from jogg_async.cli.formats import Csv, JsonLines, PlainTable, TerminalTable
from jogg_async.cli.options import Bounds, Filters
from jogg_async.cli.tracks import Format, make_pager
from jogg_async.cli.tracks import _printer as printer_of

TRACK: Final = Track(7, "a\x9bb", None, 61)


@pytest.mark.parametrize(
    ("format", "kind", "text"),
    [
        ("jsonl", JsonLines, '{"id":7,"name":"a\x9bb","music_url":null,"duration":61}\n'),
        ("csv", Csv, "id,name,music_url,duration,extra\r\n7,a\x9bb,,61,\r\n"),
        ("table", PlainTable, f"     id  {'name':32}  duration  music_url\n      7  {'a�b':32}      1:01\n"),
    ],
)
def test_output_that_is_no_terminal_is_written_as_bytes(
    format: Format,  # noqa: A002 (the option's name)
    kind: type,
    text: str,
) -> None:
    written: list[bytes] = []
    screen: Any = SimpleNamespace(shows_results=False, out=None)
    outlet: Any = SimpleNamespace(write=written.append)
    printer = printer_of(format, screen, outlet)
    assert type(printer) is kind
    printer([TRACK])
    assert b"".join(written).decode() == text


@pytest.mark.parametrize(
    ("format", "kind", "text"),
    [
        ("jsonl", JsonLines, '{"id":7,"name":"a\\u009bb","music_url":null,"duration":61}\n'),
        ("csv", Csv, "id,name,music_url,duration,extra\r\n7,a�b,,61,\r\n"),
    ],
)
def test_terminal_gets_no_control_characters(format: Format, kind: type, text: str) -> None:  # noqa: A002
    shown: list[tuple[str, str]] = []
    console = SimpleNamespace(width=80, out=lambda text, end: shown.append((text, end)))
    screen: Any = SimpleNamespace(shows_results=True, out=console)
    outlet: Any = None
    printer = printer_of(format, screen, outlet)
    assert type(printer) is kind
    printer([TRACK])
    assert shown == [(text, "")]
    assert type(printer_of("table", screen, outlet)) is TerminalTable


def test_pager_has_the_options_of_the_command() -> None:
    jogg: Any = SimpleNamespace(tracks=lambda **arguments: arguments)
    filters = Filters(genre="Corporate", mood="Calm")
    bounds = Bounds(
        limit=5, page_size=6, start_page=7, end_page=8, concurrency=9, unordered=True, on_invalid="skip",
        on_drift="ignore",
    )  # fmt: skip
    pager: Any = make_pager(jogg, filters, bounds)
    assert pager == {
        "genre": "Corporate", "mood": "Calm", "page_size": 6, "limit": 5, "start_page": 7, "end_page": 8,
        "ordered": False, "on_invalid": "skip", "on_drift": "ignore",
    }  # fmt: skip
    pager = make_pager(jogg, Filters(), Bounds())
    assert pager["ordered"] is True
