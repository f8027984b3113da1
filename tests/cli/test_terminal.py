from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import Fault, RateLimit

from .processes import PATIENCE, fake_of

if TYPE_CHECKING:
    from .conftest import CliWithFake, OnTerminal
    from .processes import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

_TOKEN = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\x1b\][^\x1b]*\x1b\\|([^\x1b])", re.DOTALL)


def displayed(raw: bytes) -> list[str]:
    """Return the lines on a tall terminal at the end. Only the control sequences of rich and the table are handled."""
    lines, row, column = [""], 0, 0
    for values, command, char in _TOKEN.findall(raw.decode()):
        if command == "A":
            row -= int(values or 1)
        elif command == "K":
            lines[row] = ""
        elif char == "\r":
            column = 0
        elif char == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif char:
            assert char.isprintable(), repr(char)
            lines[row] = f"{lines[row][:column]:{column}}{char}{lines[row][column + 1 :]}"
            column += 1
    return "\n".join(line.rstrip() for line in lines).rstrip("\n").split("\n")


def cursor_shows(raw: bytes) -> bool:
    return raw.rfind(b"\x1b[?25h") >= raw.rfind(b"\x1b[?25l")


def test_table_and_progress_bar_on_one_terminal_do_not_overwrite_each_other(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal
) -> None:
    cli = cli_with_fake(950, latency=0.15)
    with on_terminal(cli, "tracks", "--concurrency=3", size=(24, 90)) as terminal:
        assert terminal.wait() == 0
    assert b"/950 tracks" in terminal.raw
    header, *rows = displayed(terminal.raw)
    assert header.split() == ["id", "name", "duration", "music_url"]
    wanted = [f"{row['id']:>7}  {row['name']}" for row in fake_of(cli).catalogue]
    assert [line[: len(start)] for line, start in zip(rows, wanted, strict=True)] == wanted
    assert all(len(line) <= 90 for line in rows)
    assert cursor_shows(terminal.raw)


def test_rows_of_the_table_are_printed_as_pages_arrive(cli_with_fake: CliWithFake, on_terminal: OnTerminal) -> None:
    cli = cli_with_fake(300)
    fake_of(cli).fail(Fault.stall(), page=2, times=None)
    with on_terminal(cli, "tracks") as terminal:
        terminal.read(lambda raw: b"\r\n\x1b[36m    100" in raw)
        terminal.read(lambda raw: b"100/300 tracks" in raw)
        terminal.type(b"\x03")
        assert terminal.wait() == 130
    assert b"Traceback" not in terminal.raw
    assert b"jogg-async crawl saves the tracks" in terminal.raw
    assert cursor_shows(terminal.raw)
    assert "Fetching" not in "".join(displayed(terminal.raw))


def test_progress_bar_is_shown_while_standard_output_is_a_pipe(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal
) -> None:
    cli = cli_with_fake(400, latency=0.1, rate_limit=RateLimit(100, burst=2, retry_after=1.0))
    with on_terminal(cli, "tracks", "--limit=300", stdout=subprocess.PIPE) as terminal:
        assert terminal.process.stdout is not None
        terminal.read(lambda raw: b"paused by the server, 1 s" in raw)
        assert terminal.wait() == 0
        assert terminal.process.stdout.read().count(b'"id"') == 300
    assert b"/300 tracks" in terminal.raw
    assert "".join(displayed(terminal.raw)) == ""


def test_progress_bar_of_the_command_ends_at_the_number_of_requested_tracks(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal
) -> None:
    runs = {
        ("--limit=130",): b"130/130 tracks",
        ("--start-page=4",): b"50/50 tracks",
        ("--end-page=2",): b"200/200 tracks",
        ("--start-page=2", "--end-page=3", "--limit=150"): b"150/150 tracks",
    }
    with contextlib.ExitStack() as stack:
        cli = cli_with_fake(350)
        terminals = {
            shown: stack.enter_context(on_terminal(cli, "tracks", *options, stdout=subprocess.DEVNULL))
            for options, shown in runs.items()
        }
        for shown, terminal in terminals.items():
            assert terminal.wait() == 0
            assert shown in terminal.raw
            assert b"/350 tracks" not in terminal.raw


def test_no_progress_bar_if_standard_error_is_no_terminal(cli_with_fake: CliWithFake, on_terminal: OnTerminal) -> None:
    with on_terminal(cli_with_fake(20), "tracks", stderr=subprocess.PIPE) as terminal:
        assert terminal.wait() == 0
        assert terminal.process.stderr is not None
        assert terminal.process.stderr.read() == b""
    assert len(displayed(terminal.raw)) == 21
    assert b"Fetching" not in terminal.raw


def test_a_dumb_terminal_gets_no_escape_sequences(cli_with_fake: CliWithFake, on_terminal: OnTerminal) -> None:
    cli = cli_with_fake(20, latency=0.2)
    cli.env = {"TERM": "dumb"}
    with on_terminal(cli, "tracks") as terminal:
        assert terminal.wait() == 0
    assert b"\x1b" not in terminal.raw
    assert len(displayed(terminal.raw)) == 21


ODD = "\x1b[2J\x1b]0;\x07[bold red]x[/]\x9b3m\r\n\u202e:smile:音楽"


@pytest.mark.parametrize("format", ["table", "jsonl", "csv"])
def test_tracks_cannot_control_the_terminal(cli_with_fake: CliWithFake, on_terminal: OnTerminal, format: str) -> None:  # noqa: A002
    cli = cli_with_fake([{"id": 1, "name": ODD, "music_url": "https://host/\x1b\\\x9bx", "note": "\x9b"}])
    with on_terminal(cli, "tracks", "--format", format, size=(24, 240), stderr=subprocess.PIPE) as terminal:
        assert terminal.wait() == 0
    text = terminal.raw.decode()
    plain = re.sub(r"\x1b\[[\d;]*m", "", text) if format == "table" else text
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", plain)
    assert "[bold red]x[/]" in plain
    assert ":smile:" in plain
    assert "音楽" in plain


def test_truncated_urls_are_links_to_the_whole_url(cli_with_fake: CliWithFake, on_terminal: OnTerminal) -> None:
    address = f"https://host/{'x' * 100}.mp3"
    with on_terminal(cli_with_fake([{"id": 1, "name": "Long", "music_url": address}]), "tracks") as terminal:
        assert terminal.wait() == 0
    assert f";{address}\x1b\\".encode() in terminal.raw
    assert displayed(terminal.raw)[1].endswith("x…")


def test_an_ascii_terminal_gets_replacement_characters(cli_with_fake: CliWithFake, on_terminal: OnTerminal) -> None:
    cli = cli_with_fake([{"id": 1, "name": "Café 音楽", "music_url": "https://host/" + "x" * 100}], latency=0.3)
    cli.env = {"PYTHONIOENCODING": "ascii"}
    with on_terminal(cli, "tracks") as terminal:
        assert terminal.wait() == 0
    assert terminal.raw.isascii()
    assert b"Traceback" not in terminal.raw
    assert b"Caf? ??" in terminal.raw


def test_logs_warnings_and_errors_are_printed_above_the_progress_bar(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal
) -> None:
    cli = cli_with_fake(300, latency=0.1)
    fake_of(cli).fail(Fault.business(18025), page=3, times=None)
    with on_terminal(cli, "tracks", "-v", size=(24, 120)) as terminal:
        assert terminal.wait() == 3
    lines = displayed(terminal.raw)
    assert sum(line.startswith("GET http") for line in lines) == 2 + 1
    assert sum(line.startswith("jogg-async: error: GET") for line in lines) == 1
    assert "Fetching" not in "".join(lines)
    assert fake_of(cli).api_key.encode() not in terminal.raw


@pytest.mark.parametrize(("number", "noted"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_on_a_terminal_names_the_command_that_can_be_continued(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal, number: signal.Signals, noted: bool
) -> None:
    cli = cli_with_fake(300)
    fake_of(cli).fail(Fault.stall(), page=2, times=None)
    with on_terminal(cli, "tracks", size=(24, 120)) as terminal:
        terminal.read(lambda raw: b"/300 tracks" in raw)
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
    note = b"This command cannot be resumed. jogg-async crawl saves the tracks, and --resume continues it."
    assert (note in terminal.raw) is noted


@pytest.mark.parametrize("streams", [{}, {"stderr": subprocess.DEVNULL}], ids=["progress", "no-progress"])
def test_ctrl_c_ends_a_crawl_whose_terminal_does_not_read(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal, streams: dict[str, Any]
) -> None:
    with on_terminal(cli_with_fake(5000), "tracks", **streams) as terminal:
        terminal.read(lambda raw: len(raw) > 1000)
        time.sleep(0.3)
        before = time.monotonic()
        terminal.process.send_signal(2)
        assert terminal.process.wait(PATIENCE) == 130
        assert time.monotonic() - before < 4


def test_count_prints_to_a_terminal(cli: Cli, on_terminal: OnTerminal) -> None:
    with on_terminal(cli, "count", "--demo") as terminal:
        assert terminal.wait() == 0
    assert displayed(terminal.raw) == ["2500"]
