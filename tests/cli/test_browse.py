from __future__ import annotations

import signal
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from jogg_async.testing import FakeJogg

from .processes import PATIENCE, ended

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from .conftest import Asking
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_browse_prints_its_address_serves_until_a_signal_and_exits_with_0(cli: Cli, number: signal.Signals) -> None:
    with cli.start("browse", "--demo", "--no-open") as process:
        address = address_of(process)
        assert address.startswith("http://127.0.0.1:")
        assert status_of(address) == 200
        assert status_of(address.partition("?")[0]) == 403
        process.send_signal(number)
        outcome = ended(process)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_a_signal_ends_browse_while_a_page_is_open(asking: Asking) -> None:
    cli = asking(250)
    with cli.start("browse", "--no-open") as process:
        address = address_of(process)
        with urllib.request.urlopen(address.replace("/?", "/tracks?"), timeout=10) as stream:
            assert b'"feed"' in stream.readline()
            process.send_signal(signal.SIGINT)
            outcome = ended(process)
    assert (outcome.code, outcome.err) == (0, "")


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


def test_a_browser_of_the_terminal_is_not_started(cli: Cli, tmp_path: Path) -> None:
    (w3m := tmp_path / "w3m").write_text(OPENER.format(tmp_path / "seen"))
    w3m.chmod(0o700)
    cli.env = {"BROWSER": "w3m", "PATH": str(tmp_path)}
    with cli.start("browse", "--demo") as process:
        address_of(process)
        assert process.stderr is not None
        assert b"No browser was opened" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0
    assert not (tmp_path / "seen").exists()


def test_without_a_browser_a_line_on_standard_error_tells(cli: Cli) -> None:
    cli.env = {"BROWSER": "no-such-browser", "PATH": "/nowhere"}
    with cli.start("browse", "--demo") as process:
        address_of(process)
        assert process.stderr is not None
        assert b"No browser was opened" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "No API key: set the environment variable JOGG_API_KEY, or try --demo."),
        (("--from", "none.db"), 2, "--from: none.db does not exist."),
        (("--from", "none.db", "--demo"), 2, "--from reads a file: it excludes --demo and --base-url."),
        (("--demo", "--port", "65536"), 2, "--port"),
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
