from __future__ import annotations

import re
import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cyclopts import CycloptsError

from jogg_async import JoggSession
from jogg_async.cli import serve
from jogg_async.cli.app import app
from jogg_async.testing import FakeJogg, RateLimit

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


NUMBERS: list[tuple[str, list[str], list[str]]] = [
    ("tracks", ["0", "1", str(2**60)], ["-1", "2.6", str(sys.maxsize + 1), "many"]),
    ("port", ["0", "65535"], ["-1", "65536", "80.5"]),
    ("latency", ["0", "0.5"], ["-0.1", "inf", "nan"]),
    ("jitter", ["0", "0.5"], ["-0.1", "inf", "nan"]),
    ("rate-limit", ["0.5", "5"], ["0", "-1", "inf", "nan"]),
    ("burst", ["1"], ["0", "1.5"]),
    ("error-rate", ["0", "1"], ["-0.1", "1.1", "nan"]),
    ("seed", ["-3", "7"], ["0.5"]),
]


@pytest.mark.parametrize(("option", "valid", "invalid"), NUMBERS, ids=str)
def test_numbers_of_serve_must_be_in_their_range(option: str, valid: list[str], invalid: list[str]) -> None:
    for value in valid:
        _, bound, _ = app.parse_args(["serve", f"--{option}={value}"], exit_on_error=False, print_error=False)
        assert getattr(bound.arguments["fake"], option.replace("-", "_")) == float(value)
    for value in invalid:
        with pytest.raises(CycloptsError, match=option):
            app.parse_args(["serve", f"--{option}={value}"], exit_on_error=False, print_error=False)


def test_fake_of_serve_has_the_options_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(serve, "FakeJogg", lambda *args, **kwargs: made.append((*args, kwargs)))
    serve._fake(serve.Fake())
    serve._fake(serve.Fake(tracks=3, port=4, latency=0.5, jitter=0.6, rate_limit=7.0, burst=8, error_rate=0.9, seed=10))
    usual = {"seed": 0, "port": 0, "latency": 0.0, "jitter": 0.0, "rate_limit": None, "error_rate": 0.0}
    other = {"seed": 10, "port": 4, "latency": 0.5, "jitter": 0.6, "rate_limit": RateLimit(7.0, 8), "error_rate": 0.9}
    assert made == [(2500, {**usual, "record": False}), (3, {**other, "record": False})]
    serve._fake(serve.Fake(rate_limit=5.0))
    assert made[2][1]["rate_limit"] == RateLimit(5.0, 10)


def test_serve_logs_a_request_with_its_query() -> None:
    lines: list[str] = []
    screen: Any = SimpleNamespace(note=lines.append)
    for query in ({}, {"page": "2"}, {"page": "2", "mood": "Calm"}):
        seen: Any = SimpleNamespace(method="GET", path="/v2/musics", query=query)
        serve._log_request(screen, seen)
    assert lines == ["GET /v2/musics", "GET /v2/musics?page=2", "GET /v2/musics?page=2&mood=Calm"]


@pytest.mark.parametrize("arguments", [["count"], ["tracks", "--mood", "Calm", "--limit", "1"]])
def test_demo_needs_no_key(cli: Cli, arguments: list[str]) -> None:
    cli.env = {"JOGG_BASE_URL": "http://127.0.0.1:9"}
    outcome = cli(*arguments, "--demo")
    assert (outcome.code, outcome.err, outcome.out.count("\n")) == (0, "", 1)
