from __future__ import annotations

import asyncio
import csv
import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async import Track
from jogg_async.cli.formats import Layout, TerminalTable, _link
from jogg_async.cli.terminal import escaped, printable
from jogg_async.testing import Fault

from .processes import ended_together, fake_of

if TYPE_CHECKING:
    from rich.text import Text

    from jogg_async.testing import RecordedRequest

    from .conftest import CliWithFake

ODD: list[dict[str, Any]] = [
    {"id": 1, "name": "Plain", "music_url": "https://host/1.mp3", "duration": 61},
    {"id": 2, "name": None, "music_url": None, "duration": None, "bpm": 120, "tags": ["a", {"b": None}]},
    {"id": 3, "name": 'a,"b"\r\nc\rd\x00\x1b[31m\x9b', "music_url": "", "duration": 3600, "größe": "ß"},
    {"id": 2**63 - 1, "name": "[bold]音楽 🎵[/]", "music_url": "https://host/ä b", "duration": 0, "large": 2**63 - 1},
]


def test_json_lines_hold_every_field(cli_with_fake: CliWithFake) -> None:
    outcome = cli_with_fake(ODD)("tracks", "--format", "jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    assert [json.loads(line) for line in outcome.out.split("\n")[:-1]] == ODD


def test_a_pipe_gets_json_lines_in_catalogue_order(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(250, jitter=0.05)
    outcome = cli("tracks", "--page-size", "20")
    assert outcome.code == 0
    assert [json.loads(line) for line in outcome.out.splitlines()] == list(fake_of(cli).catalogue)


def test_csv_output_reads_back(cli_with_fake: CliWithFake) -> None:
    outcome = cli_with_fake(ODD)("tracks", "--format", "csv")
    assert (outcome.code, outcome.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(outcome.out, newline="")))
    known = ("id", "name", "music_url", "duration")
    assert [{name: row[name] for name in known} for row in rows] == [
        {name: "" if row[name] is None else str(row[name]) for name in known} for row in ODD
    ]
    extras = [{name: value for name, value in row.items() if name not in known} for row in ODD]
    assert [json.loads(row["extra"]) if row["extra"] else {} for row in rows] == extras
    assert rows[0]["extra"] == ""


def test_table_in_a_pipe_is_not_truncated(cli_with_fake: CliWithFake) -> None:
    rows = [
        {"id": 1, "name": "Short", "music_url": "https://host/" + "x" * 200, "duration": 61},
        {"id": 2, "name": "Long " * 20, "music_url": None, "duration": None},
    ]
    outcome = cli_with_fake(rows)("tracks", "--format", "table")
    header, first, second = outcome.out.splitlines()
    assert header.split() == ["id", "name", "duration", "music_url"]
    assert first.split() == ["1", "Short", "1:01", "https://host/" + "x" * 200]
    assert second.split(maxsplit=1) == ["2", ("Long " * 20).strip()]
    assert first.index("https") == header.index("music_url")


def test_an_empty_catalogue_still_has_a_header(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(0)
    assert cli("tracks", "--format", "csv").out.split() == ["id,name,music_url,duration,extra"]
    assert cli("tracks", "--format", "table", "--limit", "0").out.split() == ["id", "name", "duration", "music_url"]


@pytest.mark.parametrize("format", ["table", "jsonl"])
def test_output_is_utf_8_whatever_the_locale(cli_with_fake: CliWithFake, format: str) -> None:  # noqa: A002
    cli = cli_with_fake(ODD)
    cli.env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    outcome = cli("tracks", "--format", format)
    assert (outcome.code, outcome.err) == (0, "")
    assert "音楽" in outcome.out


def test_options_reach_the_service(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(2500, latency=0.02)
    options = ("--genre=Corporate", "--mood", "calm", "--page-size=5", "--start-page=2", "--end-page=5")
    outcome = cli("tracks", *options, "--concurrency", "1", "--on-drift", "ignore")
    wanted = fake_of(cli).catalogue.filtered(genre="Corporate", mood="calm")[5:25]
    assert [json.loads(line)["id"] for line in outcome.out.splitlines()] == [row["id"] for row in wanted]
    assert sorted(page or 0 for page in fake_of(cli).pages) == [2, 3, 4, 5]
    assert fake_of(cli).max_in_flight == 1
    assert {(seen.query["genre"], seen.query["mood"]) for seen in fake_of(cli).requests} == {("Corporate", "calm")}


@pytest.mark.parametrize(("options", "pages"), [((), [1, 2, 3]), (("--unordered",), [1, 3, 2])])
def test_unordered_prints_pages_as_they_arrive(
    cli_with_fake: CliWithFake, options: tuple[str, ...], pages: list[int]
) -> None:
    async def delay_page_2(seen: RecordedRequest) -> None:
        if seen.page == 2:
            await asyncio.sleep(1.0)

    cli = cli_with_fake(30)
    fake_of(cli).on_request = delay_page_2
    outcome = cli("tracks", "--page-size=10", *options)
    ids = [json.loads(line)["id"] for line in outcome.out.splitlines()]
    assert ids == [row["id"] for page in pages for row in fake_of(cli).catalogue[page * 10 - 10 : page * 10]]


def test_attempts_and_timeout_reach_the_session(cli_with_fake: CliWithFake) -> None:
    failing, stalling = cli_with_fake(10), cli_with_fake(10)
    fake_of(failing).fail(Fault.business(50000), times=None)
    fake_of(stalling).fail(Fault.stall(), times=None)
    with (
        failing.start("count", "--attempts=2") as first,
        stalling.start("count", "--attempts=1", "--timeout=0.2") as second,
    ):
        outcomes = ended_together((first, second))
    assert [outcome.code for outcome in outcomes] == [5, 5]
    assert [len(fake_of(cli).requests) for cli in (failing, stalling)] == [2, 1]
    assert "0.2 s" in outcomes[1].err


def test_limit_option_requests_no_page_beyond_it(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(2500)
    assert len(cli("tracks", "--limit", "30", "--page-size", "20").out.splitlines()) == 30
    assert sorted(page or 0 for page in fake_of(cli).pages) == [1, 2]


def test_count_prints_the_number_of_tracks(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(2500)
    assert cli("count").out == "2500\n"
    outcome = cli("count", "--genre=Corporate", "--mood=Calm", "--verbose")
    assert outcome.out == f"{len(fake_of(cli).catalogue.filtered(genre='Corporate', mood='Calm'))}\n"
    assert outcome.err.count("HTTP 200") == 1


def test_control_characters_are_replaced_or_escaped() -> None:
    assert printable("a\tb\x1b[2J\x9b\u202ec\u2028é音🎵") == "a�b�[2J��c�é音🎵"
    assert escaped('{"a":"\x9b\x7f"}\n') == '{"a":"\\u009b\\u007f"}\n'


@pytest.mark.parametrize(
    ("ids", "width", "layout"),
    [
        ([], None, (7, 32, 8, None)),
        ([1, 123456], None, (7, 32, 8, None)),
        ([1234567, 1], None, (8, 32, 8, None)),
        ([], 80, (7, 23, 8, 36)),
        ([12345678], 80, (9, 22, 8, 35)),
        ([1], 120, (7, 39, 8, 60)),
        ([1], 200, (7, 40, 8, 139)),
        ([1], 42, (7, 8, 8, 13)),
        ([1], 41, (7, 8, 8, 12)),
        ([1], 1, (7, 8, 8, 12)),
    ],
)
def test_widths_of_the_columns_follow_from_the_ids_and_the_terminal(
    ids: list[int], width: int | None, layout: tuple[int, int, int, int | None]
) -> None:
    assert Layout.of([Track(number) for number in ids], width) == Layout(*layout)


@pytest.mark.parametrize(
    ("layout", "texts", "row"),
    [
        (Layout(3, 5, 8, 6), ("1", "Short", "1:01", "abcdef"), "  1  Short      1:01  abcdef"),
        (Layout(3, 5, 8, 6), ("1", "Longer", "", "abcdefg"), "  1  Long…            abcde…"),
        (Layout(3, 5, 8, 6), ("1", "A", "", ""), "  1  A                "),
        (Layout(3, 5, 8, 6), ("1", "音楽の", "", "音楽"), "  1  音楽…            音楽"),
        (Layout(3, 5, 8, None), ("1", "Longer", "1:01", "abcdefg"), "  1  Longer      1:01  abcdefg"),
        (Layout(3, 5, 8, None), ("1", "音", "1:01", "a"), "  1  音         1:01  a"),
    ],
)
def test_cells_of_a_row_are_padded_and_cut_to_their_columns(
    layout: Layout, texts: tuple[str, str, str, str], row: str
) -> None:
    assert "".join(layout.cells(texts)) == row


def test_table_on_a_terminal_has_one_header_colours_and_links() -> None:
    printed: list[tuple[str, dict[str, Any]]] = []

    def show(text: Text, **options: Any) -> None:
        styles = [(text.plain[span.start : span.end].strip(), str(span.style)) for span in text.spans]
        printed.append((text.plain, {"styles": styles, **options}))

    console: Any = SimpleNamespace(width=60, print=show)
    table = TerminalTable(console)
    table([Track(1, "Short", "https://host/1.mp3", 61)])
    table([Track(2, None, None, None)])
    link = "dim link https://host/1.mp3"
    assert printed == [
        (
            "     id  name             duration  music_url\n      1  Short                1:01  https://host/1.mp3\n",
            {
                "styles": [
                    ("id  name             duration  music_url", "bold"),
                    ("1", "cyan"),
                    ("1:01", "green"),
                    ("https://host/1.mp3", link),
                ],
                "end": "",
                "soft_wrap": True,
            },
        ),
        (
            "      2                             \n",
            {"styles": [("2", "cyan"), ("", "green")], "end": "", "soft_wrap": True},
        ),
    ]


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("https://host/1.mp3", True),
        ("http://host/1.mp3", True),
        (None, False),
        ("ftp://host/1.mp3", False),
        ("https://host/1 2.mp3", False),
        ("https://host/ä.mp3", False),
        ("https://host/\x1b.mp3", False),
    ],
)
def test_only_addresses_of_printable_ascii_become_links(address: str | None, linked: bool) -> None:
    style = _link(address)
    assert (style.dim, style.link) == (True, address if linked else None)


@pytest.mark.parametrize("width", [1, 40, 80, 200])
def test_a_row_is_never_wider_than_the_terminal(width: int) -> None:
    from rich.cells import cell_len

    layout = Layout.of([Track(123456)], width)
    row = "".join(layout.cells(("123456", "音楽" * 100, "3:07", "https://host/" + "x" * 300)))
    assert cell_len(row) <= max(width, 43)
