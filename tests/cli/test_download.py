from __future__ import annotations

import json
import re
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from jogg_async.cli import download
from jogg_async.cli.options import Bounds, Connection, Filters
from jogg_async.downloads import DownloadProgress
from jogg_async.testing import Fault

from .processes import PIPES, ended, fake_of, started
from .test_endings import eventually, interrupted
from .test_terminal import displayed

if TYPE_CHECKING:
    from jogg_async.testing import FakeJogg

    from .conftest import CliWithFake, OnTerminal
    from .processes import Cli

SIZE = 24_044
"""Bytes of each file of the fake."""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a folder that does not exist yet."""
    return str(tmp_path / "music")


def mirror(path: Path, fake: FakeJogg, count: int) -> Path:
    """Make an SQLite mirror of the first tracks of a fake, with the first one gone."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE tracks (id INTEGER PRIMARY KEY, name TEXT, music_url TEXT, duration INTEGER, extra TEXT,"
            " first_seen TEXT, last_seen TEXT, changed_at TEXT, gone_at TEXT)"
        )
        rows = [(row["id"], row["name"], row["music_url"], row["duration"]) for row in fake.catalogue[:count]]
        database.executemany("INSERT INTO tracks (id, name, music_url, duration) VALUES (?, ?, ?, ?)", rows)
        database.execute("UPDATE tracks SET gone_at = '2026-01-01T00:00:00Z' WHERE id = 1")
    return path


def test_empty_folder_is_a_usage_error(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli = cli_with_fake(30)
    outcome = cli("download", "", cwd=tmp_path)
    assert (outcome.code, outcome.out, list(tmp_path.iterdir())) == (2, "", [])
    assert outcome.err.startswith("jogg-async: error: folder must be a path or an address, not ''.")
    assert fake_of(cli).requests == []


def test_download_fetches_what_is_missing_and_prints_a_summary(cli_with_fake: CliWithFake, folder: str) -> None:
    cli = cli_with_fake(30)
    first = cli("download", folder, "--limit", "5")
    assert (first.code, first.out, first.err) == (
        0,
        f"5 downloaded, 0 skipped, 0 failed, {5 * SIZE:,} bytes received\n",
        "",
    )
    second = cli("download", folder, "--start-page", "1", "--page-size", "7", "--end-page", "1", "--json")
    assert (second.code, second.err) == (0, "")
    assert json.loads(second.out) == {"downloaded": 2, "skipped": 5, "failed": [], "bytes": 2 * SIZE}
    assert len(list(Path(folder).iterdir())) == 7


def test_options_of_a_download_have_the_documented_defaults() -> None:
    assert attrs.asdict(download.Files()) == {
        "from_": None, "max_bytes": 100_000_000, "max_total_bytes": None, "progress": "auto", "json": False,
    }  # fmt: skip


def test_each_failure_is_a_line_and_the_exit_code_is_1(cli_with_fake: CliWithFake, folder: str) -> None:
    cli = cli_with_fake([{"id": 1, "name": "\x1b[2JNo file"}, {"id": 2, "music_url": "http://127.0.0.1:9/a.mp3"}])
    outcome = cli("download", folder, "--json")
    assert outcome.code == 1
    first, second = outcome.err.splitlines()
    assert first == "jogg-async: warning: track 1 (\ufffd[2JNo file): the track has no music_url"
    assert re.fullmatch(r"jogg-async: warning: track 2 \(without a title\): no connection to .* are refused", second)
    report = json.loads(outcome.out)
    assert (report["downloaded"], [failed["track"]["id"] for failed in report["failed"]]) == (0, [1, 2])


def test_limits_attempts_and_timeout_of_the_command_apply_to_files(cli_with_fake: CliWithFake, folder: str) -> None:
    cli = cli_with_fake(3)
    fake_of(cli).fail(503, path="/music/1.wav")
    fake_of(cli).fail(Fault.stall(), path="/music/1.wav", times=None)
    limits = (f"--max-total-bytes={SIZE}", "--attempts=2", "--concurrency=1", "--timeout=0.5")
    outcome = cli("download", folder, *limits)
    assert outcome.code == 1
    assert "timed out: nothing came for 0.5 s" in outcome.err
    assert outcome.out == f"1 downloaded, 0 skipped, 2 failed, {SIZE:,} bytes received\n"
    assert "track 3" in outcome.err
    assert "max_total_bytes" in outcome.err
    assert [request.path for request in fake_of(cli).requests[1:]] == ["/music/1.wav"] * 2 + ["/music/2.wav"]


def test_json_progress_is_a_line_a_second_and_a_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = 100.0, list[dict[str, int]]()
    monkeypatch.setattr(download, "time", SimpleNamespace(monotonic=lambda: now))
    screen: Any = SimpleNamespace(line=lambda text: lines.append(json.loads(text)))
    show = download._JsonProgress(screen)
    show.print_last()
    for number, now in enumerate((100.0, 100.5, 100.9, 101.0, 101.5)):  # noqa: B007 (read by the clock)
        show(DownloadProgress(downloaded=number, skipped=0, failed=0, bytes=0, total=None))
    show.print_last()
    show.print_last()
    assert [line["downloaded"] for line in lines] == [0, 3, 4]


def test_a_mirror_is_downloaded_without_a_key(cli_with_fake: CliWithFake, folder: str, tmp_path: Path) -> None:
    cli = cli_with_fake(30)
    fake = fake_of(cli)
    path = mirror(tmp_path / "a %23?mirror.db", fake, 6)
    before = path.read_bytes()
    cli.env = {"JOGG_API_KEY": "", "JOGG_BASE_URL": ""}
    options = ("--from", str(path), "--base-url", fake.url, "--limit=3", "--concurrency=2", "--progress=json")
    outcome = cli("download", folder, *options)
    assert (outcome.code, outcome.out[:12]) == (0, "3 downloaded")
    assert sorted(request.path for request in fake.requests) == [f"/music/{number}.wav" for number in (2, 3, 4)]
    last = json.loads(outcome.err.splitlines()[-1])
    assert last == {"downloaded": 3, "skipped": 0, "failed": 0, "bytes": 3 * SIZE, "total": 3}
    assert path.read_bytes() == before


@pytest.mark.parametrize("bounds", [Bounds(limit=0), Bounds(limit=5, concurrency=3), Bounds()], ids=str)
def test_limit_and_concurrency_go_with_a_mirror(bounds: Bounds) -> None:
    files = download.Files(from_=Path("t.db"))
    download._Command("music", files, Filters(), bounds, Connection())._check_mirror_options()


def test_an_unusable_mirror_or_folder_is_one_line(cli_with_fake: CliWithFake, folder: str, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but longer than the header of one" * 10)
    sqlite3.connect(tmp_path / "empty.db").close()
    cli = cli_with_fake(3)
    good = str(mirror(tmp_path / "good.db", fake_of(cli), 2))
    arguments = [
        ([folder, "--from", str(tmp_path / "missing.db")], 2, "missing.db is no mirror made by jogg-async crawl"),
        ([folder, "--from", str(tmp_path / "text.db")], 2, "text.db is no mirror made by jogg-async crawl"),
        ([folder, "--from", str(tmp_path / "empty.db")], 2, "no such table"),
        ([folder, "--from", good, "--mood", "Calm"], 2, "--from goes with --limit"),
        ([folder, "--from", good, "--demo"], 2, "--from goes with --limit"),
        ([folder, "--from", good, "--limit=-1"], 2, "--limit must be"),
        ([folder, "--from", good, "--limit=3", "--page-size=5"], 2, "--from goes with --limit"),
        ([folder, "--max-bytes", "0"], 2, "--max-bytes must be"),
        ([str(tmp_path / "missing" / "music")], 1, "missing does not exist; create it first."),
        ([str(tmp_path / "text.db")], 1, "text.db: File exists"),
    ]
    # In one process, since most of the time would go into starting the others.
    calls = [["download", *each] for each, _, _ in arguments]
    code = f"from jogg_async.cli.app import run; print(*(run(arguments) for arguments in {calls}))"
    with started(["-c", code], cli.environment(), PIPES) as process:
        outcome = ended(process)
    assert outcome.out.split() == [str(code) for _, code, _ in arguments]
    for line, (_, _, says) in zip(outcome.err.splitlines(), arguments, strict=True):
        assert line.startswith("jogg-async: error: ")
        assert says in line
    assert not Path(folder).exists()


def test_error_about_a_missing_package_of_an_address_is_one_line(cli: Cli) -> None:
    pytest.importorskip("fsspec")
    arguments = ["download", "gs://bucket/music", "--demo"]
    code = f"import sys; sys.modules['gcsfs'] = None; from jogg_async.cli.app import run; print(run({arguments}))"
    with started(["-c", code], cli.environment(), PIPES) as process:
        outcome = ended(process)
    assert (outcome.out, outcome.err.count("\n")) == ("1\n", 1)
    assert outcome.err.startswith("jogg-async: error: ")
    assert "gcsfs" in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_keeps_the_partial_files(cli_with_fake: CliWithFake, folder: str) -> None:
    cli = cli_with_fake(3)
    fake_of(cli).fail(Fault.stall_body(), path="/music/2.wav")
    with cli.start("download", folder) as process:
        eventually(lambda: (Path(folder) / "2.part").exists() and (Path(folder) / "2.part").stat().st_size > 0)
        eventually(lambda: len(list(Path(folder).glob("*.wav"))) == 2)
        outcome = interrupted(process, signal.SIGINT)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")
    assert sorted(path.suffix for path in Path(folder).iterdir()) == [".json", ".part", ".wav", ".wav"]


def test_a_terminal_shows_a_bar_with_files_and_bytes(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal, folder: str
) -> None:
    cli = cli_with_fake(12, latency=0.05)
    with on_terminal(cli, "download", folder) as terminal:
        assert terminal.wait() == 0
    assert re.search(rb"\d+/12 files", terminal.raw)
    assert displayed(terminal.raw) == [f"12 downloaded, 0 skipped, 0 failed, {12 * SIZE:,} bytes received"]


def test_the_demo_needs_no_key_and_progress_none_shows_no_bar(cli: Cli, on_terminal: OnTerminal, folder: str) -> None:
    with on_terminal(cli, "download", folder, "--demo", "--limit", "2", "--progress", "none") as terminal:
        assert terminal.wait() == 0
    assert b"2 downloaded" in terminal.raw
    assert b"files" not in terminal.raw
