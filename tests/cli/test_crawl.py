"""`jogg-async crawl`: what it prints, its exit codes, and how it goes on after an interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from jogg_async import Progress
from jogg_async.cli import bar
from jogg_async.cli import crawl as crawl_command
from jogg_async.testing import Fault, RateLimit

from .processes import PIPES, Outcome, ended, fake_of, started

if TYPE_CHECKING:
    from .conftest import CliWithFake, OnTerminal
    from .processes import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        count: int = database.execute("SELECT count(*) FROM tracks").fetchone()[0]
    return count


def test_the_report_is_one_sentence_or_one_json_object(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli, path = cli_with_fake(250), tmp_path / "catalogue.db"
    outcome = cli("crawl", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(rf"Saved 250 tracks to {path} in \d\.\d s: 250 new, 0 changed, 0 gone\.\n", outcome.out)
    fake_of(cli).catalogue.remove_ids(1)
    outcome = cli("crawl", str(path), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report.pop("seconds") > 0
    assert report == {
        "tracks": 249, "pages": 3, "new": 0, "changed": 0, "gone": 1, "invalid": 0, "drifted": False,
    }  # fmt: skip


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_destination_whose_name_is_not_utf_8_or_has_control_characters_is_printed_with_replacements(
    cli_with_fake: CliWithFake, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"x\xff\n\x1b.jsonl")
    outcome = cli_with_fake(250)("crawl", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Saved 250 tracks to {tmp_path}/x\ufffd\ufffd\ufffd.jsonl in ")
    assert list(tmp_path.iterdir()) == [path]


def test_filters_bounds_and_format_are_those_of_the_options(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli, path = cli_with_fake(1000), tmp_path / "calm"
    outcome = cli("crawl", str(path), "--mood=Calm", "--limit=30", "--page-size=20", "--format=csv", "--unordered")
    assert outcome.out == f"Saved 30 tracks to {path} in {outcome.out.split()[-2]} s.\n"
    assert path.read_bytes().startswith(b"id,name,music_url,duration,extra\r\n")
    assert {request.query["mood"] for request in fake_of(cli).requests} == {"Calm"}


def test_an_error_of_the_service_says_how_to_continue(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli, path = cli_with_fake(250), tmp_path / "t.db"
    fake_of(cli).fail(Fault.business(50000, retry_after=4000), page=3, times=None)
    arguments = ["crawl", str(path)]
    outcome = run_all(cli, arguments, arguments, [*arguments, "--resume", "--mood=Calm"])
    assert outcome.out == "5 1 2\n"
    failed, there, other = outcome.err.splitlines()
    assert f"200 tracks are kept in {path}.partial: --resume continues there." in failed
    assert "--start-page" not in failed
    assert f"{path}.partial is the journal of an interrupted crawl: continue it with --resume, or delete it." in there
    assert "mood='Calm' contradicts the journal" in other
    fake_of(cli).clear()
    assert cli(*arguments, "--resume").code == 0
    assert rows(path) == 250


def run_all(cli: Cli, *commands: list[str], before: str = "") -> Outcome:
    """Run commands in turn in one process, to save the time of further starts. It prints their exit codes."""
    code = f"{before}\nfrom jogg_async.cli.app import run; print(*(run(arguments) for arguments in {list(commands)}))"
    with started(["-c", code], cli.environment(), PIPES) as process:
        return ended(process)


USAGE = [
    (["t.txt"], "the suffix of 't.txt'"),
    (["t.csv", "--format", "xml"], "--format must be jsonl"),
    (["t.csv", "--page-size", "0"], "--page-size must be"),
    (["t.csv", "--progress", "loud"], "--progress"),
    (["memory://t.db"], "must be a local file"),
    ([], "DEST"),
]


def test_invalid_options_exit_with_2_and_are_named(cli: Cli) -> None:
    cli.env = {"JOGG_API_KEY": "a-key"}
    outcome = run_all(cli, *(["crawl", *each] for each, _ in USAGE))
    assert outcome.out.split() == ["2"] * len(USAGE)
    for line, (_, says) in zip(outcome.err.splitlines(), USAGE, strict=True):
        assert line.startswith("jogg-async: error: ")
        assert says in line


def test_a_missing_folder_and_a_missing_extra_are_errors_of_one_line(
    cli_with_fake: CliWithFake, tmp_path: Path
) -> None:
    cli = cli_with_fake(10)
    commands = (["crawl", str(tmp_path / name)] for name in ("missing/t.db", "t.parquet"))
    outcome = run_all(cli, *commands, before="import sys; sys.modules['pyarrow'] = None")
    assert outcome.out == "1 1\n"
    assert outcome.err.splitlines() == [
        f"jogg-async: error: the folder {tmp_path / 'missing'} does not exist; create it first.",
        "jogg-async: error: Parquet needs pyarrow: pip install 'jogg-async[arrow]'.",
    ]
    assert fake_of(cli).requests == []


def test_error_of_an_address_is_one_line_that_says_how_to_continue(
    cli_with_fake: CliWithFake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    broken = """
from fsspec.implementations.memory import MemoryFileSystem
def fail(*_, **__): raise LookupError("unable to locate credentials")
MemoryFileSystem._open = fail
"""
    cli = cli_with_fake(250)
    outcome = run_all(cli, ["crawl", "memory://bucket/t.csv"], ["crawl", "http://host/t.csv"], before=broken)
    assert outcome.out == "1 2\n"
    failed, refused = outcome.err.splitlines()
    assert "error: memory://bucket/t.csv: LookupError: unable to locate credentials. 250 tracks are kept" in failed
    assert failed.endswith("t.csv.partial: --resume continues there.")
    assert "can only read the address 'http://host/t.csv'" in refused
    assert cli("crawl", "memory://bucket/t.csv", "--resume").code == 0
    assert len(fake_of(cli).requests) == 3


def test_options_of_a_crawl_have_the_documented_defaults() -> None:
    assert attrs.asdict(crawl_command.Saving()) == {"format": None, "resume": False, "json": False, "progress": "auto"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left", "t.csv"), "t.csv: No space left"),
        (ImportError("Parquet needs pyarrow"), "Parquet needs pyarrow"),
        (BrokenPipeError(32, "Broken pipe"), None),
    ],
    ids=["disk", "extra", "pipe"],
)
def test_error_of_a_crawl_is_a_line_and_code_1_except_a_closed_pipe(
    monkeypatch: pytest.MonkeyPatch, error: Exception, line: str | None
) -> None:
    def fail(work: object) -> int:
        raise error

    lines: list[str] = []
    screen = SimpleNamespace(fail=lines.append)
    monkeypatch.setattr(crawl_command, "run", fail)
    monkeypatch.setattr(crawl_command, "Screen", SimpleNamespace(of_process=lambda: screen))
    if line is None:
        with pytest.raises(BrokenPipeError):
            crawl_command.crawl("t.csv")
    else:
        assert crawl_command.crawl("t.csv") == 1
        assert lines == [line]


def test_second_crawl_into_a_destination_in_use_is_an_error_of_one_line(
    cli_with_fake: CliWithFake, tmp_path: Path
) -> None:
    cli, path = cli_with_fake(1000), tmp_path / "t.db"
    fake_of(cli).fail(Fault.stall(), page=3, times=None)
    with cli.start("crawl", str(path)) as first:
        wait_for_requests(cli, 3)
        for options in ((), ("--resume",)):
            outcome = cli("crawl", str(path), *options)
            assert (outcome.code, outcome.err.count("\n")) == (1, 1)
            assert "is in use by another crawl; wait until that has ended." in outcome.err
        first.send_signal(signal.SIGTERM)
        assert ended(first).code == 143
    fake_of(cli).clear()
    assert cli("crawl", str(path), "--resume").code == 0
    assert rows(path) == 1000


def wait_for_requests(cli: Cli, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(fake_of(cli).requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_keeps_the_journal_and_names_resume(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli, path = cli_with_fake(1000), tmp_path / "t.jsonl"
    fake_of(cli).fail(Fault.stall(), page=5, times=None)
    with cli.start("crawl", str(path)) as process:
        wait_for_requests(cli, 10)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        outcome = ended(process)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "jogg-async: warning: interrupted; the same command with --resume continues.\n"
    fake_of(cli).clear()
    assert cli("crawl", str(path), "--resume").code == 0
    assert min(page or 0 for page in fake_of(cli).pages) == 5
    assert path.read_bytes().count(b"\n") == 1000


def test_json_progress_is_a_line_a_second_on_standard_error(cli_with_fake: CliWithFake, tmp_path: Path) -> None:
    cli = cli_with_fake(500, latency=0.4)
    outcome = cli("crawl", str(tmp_path / "t.csv"), "--progress=json", "--concurrency=1", "--json")
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    assert (outcome.code, len(lines)) == (0, 4)
    assert [line["tracks"] for line in lines] == sorted(line["tracks"] for line in lines)
    last = lines[-1]
    assert (last["tracks"], last["expected"], last["pages_done"], last["total_pages"]) == (500, 500, 5, 5)
    assert last["seconds"] >= 2
    assert json.loads(outcome.out)["tracks"] == 500


def test_line_of_json_progress_has_its_fields_and_the_seconds_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter((100.0, 101.23456))
    monkeypatch.setattr(bar, "time", SimpleNamespace(monotonic=lambda: next(times)))
    progress = Progress(1, 3, 100, 250, 250, 4, 1, 0, 0, False, 0.0)
    pager: Any = SimpleNamespace(progress=progress)
    bar._JsonLines(pager)()
    out, err = capsys.readouterr()
    assert (out, json.loads(err)) == ("", {**attrs.asdict(progress), "seconds": 1.235})
    assert err.count("\n") == 1


def test_skipped_records_are_counted_in_a_warning_and_named_under_verbose(
    cli_with_fake: CliWithFake, tmp_path: Path
) -> None:
    cli = cli_with_fake(30)
    fake_of(cli).fail(Fault.wrong_types("id", record=3), page=2, times=None)
    command = ["crawl", str(tmp_path / "t.csv"), "--page-size=10", "--on-invalid=skip"]
    outcome = run_all(cli, command, [*command, "--verbose"])
    assert outcome.out.splitlines()[2:] == ["0 0"]
    first, *logged, last = outcome.err.splitlines()
    assert first == last == "jogg-async: warning: invalid records skipped: 1; --verbose names them."
    assert sum("page 2: invalid record skipped: $.data.music[3].id" in line for line in logged) == 1


def test_progress_none_shows_no_bar_on_a_terminal(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal, tmp_path: Path
) -> None:
    cli = cli_with_fake(50)
    with on_terminal(cli, "crawl", str(tmp_path / "t.csv"), "--progress", "none") as terminal:
        assert terminal.wait() == 0
    assert terminal.raw.startswith(b"Saved 50 tracks to ")


def test_a_terminal_shows_a_bar_and_a_pause_of_the_server(
    cli_with_fake: CliWithFake, on_terminal: OnTerminal, tmp_path: Path
) -> None:
    cli = cli_with_fake(400, latency=0.1, rate_limit=RateLimit(100, burst=2, retry_after=1.0))
    with on_terminal(cli, "crawl", str(tmp_path / "t.csv"), stdout=subprocess.DEVNULL) as terminal:
        terminal.read(lambda raw: b"paused by the server, 1 s" in raw)
        assert terminal.wait() == 0
    assert b"400/400 tracks" in terminal.raw
