from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from jogg_async.testing import Fault

from .processes import PATIENCE, Outcome, ended, fake_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import CliWithFake
    from .processes import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")

SOON = 3.0
"""Seconds within which a process must end after a signal or a closed pipe, even on a busy machine."""


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def interrupted(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> Outcome:
    """Send a signal, and return the outcome of the process."""
    before = time.monotonic()
    process.send_signal(number)
    outcome = ended(process)
    assert time.monotonic() - before < SOON
    return outcome


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_crawl_at_once(cli_with_fake: CliWithFake, number: signal.Signals, code: int) -> None:
    cli = cli_with_fake(1000)
    fake_of(cli).fail(Fault.stall(), page=3, times=None)
    with cli.start("tracks") as process:
        eventually(lambda: len(fake_of(cli).requests) >= 10)
        outcome = interrupted(process, number)
    assert (outcome.code, outcome.err) == (code, "")
    assert [json.loads(line)["id"] for line in outcome.out.splitlines()] == list(range(1, 201))
    eventually(lambda: fake_of(cli).open_connections == 0)


def test_ctrl_c_ends_a_rate_limit_pause(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(1000)
    fake_of(cli).fail(Fault.business(429, retry_after=60), times=None)
    with cli.start("count") as process:
        eventually(lambda: fake_of(cli).refused > 0)
        outcome = interrupted(process)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


def test_ctrl_c_ends_a_crawl_whose_pipe_is_full(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(5000)
    with cli.start("tracks") as process:
        eventually(lambda: len(fake_of(cli).requests) >= 30)
        time.sleep(0.2)
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert time.monotonic() - before < SOON
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_slow_reader_does_not_time_out_requests(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(10_000, latency=0.05)
    with cli.start("tracks", "--timeout", "0.5", "--attempts", "1") as process:
        eventually(lambda: len(fake_of(cli).requests) >= 20)
        time.sleep(1.0)  # twice the time-out: a loop that stood still would now give up
        outcome = ended(process)
    assert (outcome.code, outcome.err, outcome.out.count("\n")) == (0, "", 10_000)


@pytest.mark.parametrize("format", ["jsonl", "table"])
def test_a_closed_pipe_ends_the_crawl_without_an_error(cli_with_fake: CliWithFake, format: str) -> None:  # noqa: A002
    cli = cli_with_fake(100_000)
    with (
        cli.start("tracks", "--format", format) as process,
        subprocess.Popen(["head", "-n", "3"], stdin=process.stdout, stdout=subprocess.PIPE) as head,
    ):
        assert process.stdout is not None
        process.stdout.close()
        assert head.communicate(timeout=PATIENCE)[0].count(b"\n") == 3
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert len(fake_of(cli).requests) < 500


def test_a_closed_pipe_ends_the_crawl_before_the_next_page_arrives(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(1000)
    fake_of(cli).fail(Fault.stall(), page=2, times=None)
    with cli.start("tracks") as process:
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.wait(SOON) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("command", ["--help", "count"])
def test_a_closed_standard_output_is_no_error(cli_with_fake: CliWithFake, command: str) -> None:
    cli = cli_with_fake(10)
    reading, writing = os.pipe()
    os.close(reading)
    outcome = cli(command, stdout=writing)
    os.close(writing)
    assert (outcome.code, outcome.err) == (0, "")


def test_a_closed_standard_error_keeps_the_exit_code(cli: Cli) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outcome = cli("count", stderr=writing)
    os.close(writing)
    assert outcome.code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")  # noqa: PTH110
def test_a_full_disk_is_an_error_of_one_line(cli_with_fake: CliWithFake) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        outcome = cli_with_fake(10)("tracks", stdout=full)
    assert outcome == Outcome(1, "", "jogg-async: error: No space left on device\n")


def test_a_non_blocking_pipe_gets_every_track(cli_with_fake: CliWithFake) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with cli_with_fake(3000).start("tracks", stdout=writing) as process, os.fdopen(reading, "rb") as pipe:
        os.close(writing)
        time.sleep(0.5)
        assert pipe.read().count(b"\n") == 3000
        assert ended(process) == Outcome(0, "", "")
