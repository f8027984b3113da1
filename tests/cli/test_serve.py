from __future__ import annotations

import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from jogg_async import JoggSession
from jogg_async.testing import FakeJogg

from .processes import ended

if TYPE_CHECKING:
    import subprocess

    from .processes import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def announced(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the environment variables that `serve` prints once it is ready."""
    assert process.stdout is not None
    url, *variables = [process.stdout.readline().decode() for _ in range(3)]
    assert re.search(r"http://127\.0\.0\.1:\d+", url)
    return dict(line.strip().removeprefix("export ").split("=", 1) for line in variables)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_runs_until_a_signal_and_exits_with_0(cli: Cli, number: signal.Signals) -> None:
    with cli.start("serve", "--demo", "--tracks=30", "--seed=5") as process:
        variables = announced(process)
        async with JoggSession(variables["JOGG_API_KEY"], base_url=variables["JOGG_BASE_URL"]) as jogg:
            names = [track.name async for track in jogg.tracks()]
        process.send_signal(number)
        outcome = ended(process)
    assert (outcome.code, outcome.err) == (0, "")
    assert names == [row["name"] for row in FakeJogg(30, seed=5).catalogue]


def test_variables_printed_by_serve_connect_a_client_to_it(cli: Cli) -> None:
    with cli.start("serve", "--rate-limit=5", "--burst=2", "--error-rate=0.1", "--latency=0.01", "-v") as process:
        cli.env = announced(process)
        outcome = cli("tracks", "--limit=400", "--verbose")
        process.send_signal(signal.SIGTERM)
        served = ended(process)
    assert (outcome.code, outcome.out.count("\n")) == (0, 400)
    assert "HTTP 429" in outcome.err
    assert "RateLimitError" in outcome.err
    assert "page=4: HTTP 200" in outcome.err
    assert cli.env["JOGG_API_KEY"] not in outcome.err
    assert "GET /v2/musics?page_size=100&page=4\n" in served.err


def test_serve_on_a_taken_port_is_an_error_of_one_line(cli: Cli) -> None:
    with FakeJogg() as fake:
        outcome = cli("serve", "--port", fake.url.rpartition(":")[2])
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "in use" in outcome.err


@pytest.mark.parametrize("arguments", [["count"], ["tracks", "--mood", "Calm", "--limit", "1"]])
def test_demo_needs_no_key(cli: Cli, arguments: list[str]) -> None:
    cli.env = {"JOGG_BASE_URL": "http://127.0.0.1:9"}
    outcome = cli(*arguments, "--demo")
    assert (outcome.code, outcome.err, outcome.out.count("\n")) == (0, "", 1)
