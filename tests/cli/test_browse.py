from __future__ import annotations

import io
import signal
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import closing
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from jogg_async.cli.browse import _open
from jogg_async.cli.terminal import Screen
from jogg_async.testing import FakeJogg

from .processes import PATIENCE, ended

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from .conftest import CliWithFake
    from .processes import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

OPENER = '#!/bin/sh\necho "$1" > {}\n'


def address_of(process: subprocess.Popen[bytes]) -> str:
    """Return the address that the command prints."""
    assert process.stdout is not None
    return process.stdout.readline().decode().split()[-1]


def status_of(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_browse_prints_its_address_serves_until_a_signal_and_exits_with_0(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(250)
    with cli.start("browse", "--no-open") as process:
        address = address_of(process)
        assert address.startswith("http://127.0.0.1:")
        assert status_of(address) == 200
        assert status_of(address.partition("?")[0]) == 403
        with urllib.request.urlopen(address.replace("/?", "/tracks?"), timeout=10) as stream:  # an open page
            assert b'"feed"' in stream.readline()
            process.send_signal(signal.SIGTERM)
            outcome = ended(process)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_malformed_request_to_the_page_prints_nothing_on_the_terminal(cli: Cli) -> None:
    with cli.start("browse", "--no-open", "--demo") as process:
        port = urlsplit(address_of(process)).port
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.0 400 ")
        process.send_signal(signal.SIGTERM)
        outcome = ended(process)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_browse_shows_the_tracks_of_a_mirror_without_a_key(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE tracks (id INTEGER PRIMARY KEY, name TEXT, music_url TEXT, duration INTEGER, extra TEXT,"
            " first_seen TEXT, last_seen TEXT, changed_at TEXT, gone_at TEXT)"
        )
        database.execute("INSERT INTO tracks (id, name) VALUES (7, 'Golden Café')")
        database.commit()
    with cli.start("browse", "--from", str(path), "--no-open") as process:
        address = address_of(process)
        with urllib.request.urlopen(address.replace("/?", "/tracks?"), timeout=10) as stream:
            lines = [stream.readline().decode() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0
    assert any('[["7","Golden Café",null,null]]' in line for line in lines)


def test_the_browser_is_started_with_an_address_that_works_once(cli: Cli, tmp_path: Path) -> None:
    seen, opener = tmp_path / "seen", tmp_path / "opener"
    seen.touch()
    opener.write_text(OPENER.format(seen))
    opener.chmod(0o700)
    cli.env = {"BROWSER": f"{opener} %s &"}
    with cli.start("browse", "--demo") as process:
        address = address_of(process)
        deadline = time.monotonic() + PATIENCE
        while not (given := seen.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert status_of(given) == 200
        assert status_of(given) == 403
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0
    assert given.partition("?")[0] == address.partition("?")[0]
    assert address.rpartition("=")[2] not in given


class Browser(webbrowser.BaseBrowser):
    """A browser that only notes what it is told to open."""

    def __init__(self, name: str, succeeds: bool = True) -> None:
        super().__init__(name)
        self.opened: list[str] = []
        self._succeeds = succeeds

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        return self._succeeds


@pytest.mark.parametrize(
    ("browser", "opened", "noted"),
    [
        (Browser("firefox"), ["http://address"], ""),
        (Browser("firefox", succeeds=False), ["http://address"], "No browser was opened: open the address yourself.\n"),
        (Browser("w3m"), [], "No browser was opened: open the address yourself.\n"),
    ],
    ids=["usual", "failing", "in the terminal"],
)
def test_address_is_opened_in_a_graphical_browser_or_else_a_notice_is_printed(
    browser: Browser, opened: list[str], noted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", lambda: browser)
    console = Console(file=io.StringIO(), width=200)
    _open("http://address", Screen(console, console, shows_results=False, shows_progress=False))
    assert browser.opened == opened
    assert cast("io.StringIO", console.file).getvalue() == noted


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "No API key: set the environment variable JOGG_API_KEY, or try --demo."),
        (("--from", "none.db"), 2, "--from: none.db does not exist."),
        (("--from", "none.db", "--demo"), 2, "--from reads a file: it excludes --demo and --base-url."),
    ],
)
def test_a_bad_option_is_an_error_of_one_line(cli: Cli, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = cli("browse", "--no-open", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert message in outcome.err


def test_browse_on_a_taken_port_is_an_error_of_one_line(cli: Cli) -> None:
    with FakeJogg() as fake:
        outcome = cli("browse", "--demo", "--no-open", "--port", fake.url.rpartition(":")[2])
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert "in use" in outcome.err
