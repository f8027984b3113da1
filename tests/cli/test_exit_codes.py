from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from jogg_async import JoggSession, RetryPolicy, errors
from jogg_async.cli.app import app
from jogg_async.cli.failure import EXIT_CODES, exit_code_of, message_of, os_message_of
from jogg_async.cli.options import Bounds, Connection, Filters
from jogg_async.testing import Fault

from .processes import PIPES, ended, ended_together, fake_of, started

if TYPE_CHECKING:
    import subprocess

    from .conftest import CliWithFake
    from .processes import Cli

BOMB = Fault.gzip(padding=33 << 20)


FAULTS: list[tuple[Fault, int, str]] = [
    (Fault.business(10105), 3, "Check the key in JOGG_API_KEY."),
    (Fault.business(40000), 2, "--genre and --mood"),
    (Fault.business(10104), 1, "10104"),
    (Fault.business(429, retry_after=4000), 4, "continue with --start-page 3"),
    (Fault.business(50000, retry_after=4000), 5, "--start-page 3"),
    (Fault.raw(b"{"), 6, "page=3"),
    (Fault.wrong_types(), 6, "--on-invalid skip"),
]


def test_tracks_before_a_failed_page_are_printed_and_the_error_is_one_line(cli_with_fake: CliWithFake) -> None:
    running: list[subprocess.Popen[bytes]] = []
    for fault, _, _ in FAULTS:
        cli = cli_with_fake(500)
        fake_of(cli).fail(fault, page=3, times=None)
        running.append(cli.start("tracks"))
    for outcome, (_, code, says) in zip(ended_together(running), FAULTS, strict=True):
        assert outcome.code == code
        assert re.fullmatch(r"jogg-async: error: [^\n]+\n", outcome.err)
        assert says in outcome.err
        assert outcome.out.count("\n") == 200


def test_a_refused_connection_exits_with_5(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(10)
    outcome = cli("count", "--attempts", "1", "--base-url", "http://127.0.0.1:9")
    assert (outcome.code, outcome.err.count("\n"), outcome.out) == (5, 1, "")


USAGE: list[tuple[list[str], str]] = [
    (["tracks", "--page-size", "0"], "--page-size must be a whole number from 1 to 100, not 0"),
    (["tracks", "--start-page=5", "--end-page=3"], "--end-page must be at least the first page (5), not 3"),
    (["tracks", "--concurrency", "0"], "--concurrency must be"),
    (["tracks", "--limit", "many"], "--limit"),
    (["tracks", "--limit", "2.6"], "--limit: '2.6' is no whole number."),
    (["crawl", "t.csv", "--page-size=9.5"], "--page-size: '9.5' is no whole number."),
    (["download", "music", "--max-bytes=1e9"], "--max-bytes: '1e9' is no whole number."),
    (["count", "--attempts", "2.5"], "--attempts: '2.5' is no whole number."),
    (["tracks", "--on-drift", "panic"], "--on-drift"),
    (["tracks", "Calm"], "Calm"),
    (["count", "--attempts", "0"], "--attempts must be"),
    (["count", "--demo", "--base-url", "https://host"], "--demo and --base-url"),
    (["count", "--base-url", "http://host"], "plain http"),
    (["serve", "--port", "70000"], "--port"),
    (["serve", "--latency", "inf"], "--latency"),
    (["serve", "--tracks", "99999999999999999999"], "--tracks"),
    (["burn"], "burn"),
]


def test_invalid_options_exit_with_2_and_are_named(cli: Cli) -> None:
    cli.env = {"JOGG_API_KEY": "a-key"}
    # In one process, since most of the time would go into starting the others.
    code = f"from jogg_async.cli.app import run; print(*(run(arguments) for arguments in {[a for a, _ in USAGE]}))"
    with started(["-c", code], cli.environment(), PIPES) as process:
        outcome = ended(process)
    assert outcome.out.split() == ["2"] * len(USAGE)
    for line, (_, says) in zip(outcome.err.splitlines(), USAGE, strict=True):
        assert line.startswith("jogg-async: error: ")
        assert says in line


def test_a_missing_or_blank_key_exits_with_2(cli: Cli) -> None:
    outcome = cli("count")
    assert outcome.code == 2
    assert "JOGG_API_KEY" in outcome.err
    cli.env = {"JOGG_API_KEY": " "}
    assert cli("count").code == 2


@pytest.mark.parametrize(("policy", "code"), [("warn", 0), ("raise", 7), ("ignore", 0), ("recrawl", 0)])
def test_on_drift_decides_the_exit_code_of_a_changed_catalogue(
    cli_with_fake: CliWithFake, policy: str, code: int
) -> None:
    cli = cli_with_fake(50)
    fake_of(cli).mutate_after(2, lambda catalogue: catalogue.insert())
    outcome = cli("tracks", "--page-size=10", "--concurrency=1", "--on-drift", policy)
    assert outcome.code == code
    said = {"warn": r"jogg-async: warning: [^\n]+--on-drift recrawl[^\n]+\n", "raise": r"jogg-async: error: [^\n]+\n"}
    assert re.fullmatch(said.get(policy, ""), outcome.err)
    assert len(outcome.out.splitlines()) >= 50


def test_skipped_records_are_counted_in_a_warning(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(30)
    fake_of(cli).fail(Fault.wrong_types(record=None), page=2)
    outcome = cli("tracks", "--page-size=10", "--on-invalid=skip")
    assert (outcome.code, outcome.out.count("\n")) == (0, 20)
    assert "invalid records skipped: 10;" in outcome.err
    assert outcome.err.count("\n") == 1


def test_every_error_has_a_documented_exit_code_and_names_no_python_argument() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.JoggError)]
    for kind in kinds:
        error: Any = kind("it failed")
        error.page = 7
        assert exit_code_of(error) in EXIT_CODES
        if kind is not errors.SessionClosedError:  # the command line never meets it
            assert not re.search(r"error\.page|on_\w+=|base_url|JoggSession", message_of(error))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigurationError, 2),
        (errors.ParameterError, 2),
        (errors.AuthenticationError, 3),
        (errors.PermissionDeniedError, 3),
        (errors.InsufficientCreditError, 3),
        (errors.RateLimitError, 4),
        (errors.ServerError, 5),
        (errors.TransportError, 5),
        (errors.DecodeError, 6),
        (errors.CatalogueChangedError, 7),
        (errors.NotFoundError, 1),
        (errors.JoggError, 1),
    ],
)
def test_exit_code_tells_the_kind_of_error(kind: type[errors.JoggError], code: int) -> None:
    assert exit_code_of(kind("it failed")) == code
    assert sorted(EXIT_CODES) == [0, 1, 2, 3, 4, 5, 6, 7, 130]


@pytest.mark.parametrize(
    ("page", "from_page"), [(None, ""), (1, ""), (2, " with --start-page 2"), (31, " with --start-page 31")]
)
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (errors.RateLimitError, "Wait, then continue", "; a lower --concurrency avoids it."),
        (errors.TransportError, "Check the network and --base-url or JOGG_BASE_URL, then continue", "."),
        (
            errors.CatalogueChangedError,
            "Run the command again, or use --on-drift recrawl to find missing tracks.",
            None,
        ),
    ],
)
def test_message_names_the_start_page_to_continue_with(
    kind: type[errors.JoggError], before: str, after: str | None, page: int | None, from_page: str
) -> None:
    error = kind("it failed.")
    error.page = page
    assert message_of(error).endswith(before if after is None else f"{before}{from_page}{after}")
    error.add_note("3 tracks are kept: resume=True continues there.")
    advice = before if after is None else f"{before} with --resume{after}"
    assert message_of(error).endswith(f"{advice} 3 tracks are kept: --resume continues there.")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(28, "No space left"), "No space left"),
        (OSError(28, "No space left", "t.csv"), "t.csv: No space left"),
        (OSError(28, "No space left", ""), ": No space left"),
        (OSError("continue with resume=True"), "continue with --resume"),
    ],
    ids=["number", "file", "file without a name", "text"],
)
def test_message_of_an_error_of_the_system_names_its_file_and_options(error: OSError, text: str) -> None:
    assert os_message_of(error) == text
    error.add_note("Kept: resume=True continues.")
    assert os_message_of(error) == f"{text}. Kept: --resume continues."


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (None, "Check --base-url or JOGG_BASE_URL, and look for a newer version of jogg-async."),
        ("$.data.pagination", "Check --base-url or JOGG_BASE_URL, and look for a newer version of jogg-async."),
        ("$.data.music[3].id", "Look for a newer version of jogg-async; --on-invalid skip leaves invalid records out."),
    ],
)
def test_only_an_invalid_record_is_advised_to_be_skipped(path: str | None, advice: str) -> None:
    assert message_of(errors.DecodeError("it is wrong", path=path)) == f"it is wrong. {advice}"


def test_message_of_the_service_cannot_control_the_terminal(cli_with_fake: CliWithFake) -> None:
    cli = cli_with_fake(10)
    fake_of(cli).fail(Fault.business(18025, "no\x1b[2J\n[red]way"), times=None)
    outcome = cli("count")
    assert (outcome.code, outcome.err.count("\n")) == (3, 1)
    assert "\x1b" not in outcome.err
    assert "[red]way" in outcome.err


def test_help_of_the_program_names_the_demo(cli: Cli) -> None:
    for outcome in (cli("--help"), cli()):
        assert (outcome.code, outcome.err) == (0, "")
        assert "Try it without a key: jogg-async tracks --demo\n" in outcome.out


def test_error_about_a_missing_key_names_the_demo(cli: Cli) -> None:
    assert "set the environment variable JOGG_API_KEY, or try --demo." in cli("count").err


def test_help_of_a_command_shows_the_defaults_of_the_library(cli: Cli) -> None:
    text = re.sub(r"[\s│]+", " ", cli("tracks", "--help").out)
    session, tracks = (inspect.signature(f).parameters for f in (JoggSession, JoggSession.tracks))
    assert f"at most. [default: {RetryPolicy().attempts}]" in text
    assert f"1 to 100. [default: {tracks['page_size'].default}]" in text
    assert f"1 or more. [default: {session['concurrency'].default}]" in text
    assert f"one attempt. [default: {session['timeout'].default}]" in text


def test_shared_options_have_the_documented_defaults() -> None:
    assert attrs.asdict(Filters()) == {"genre": None, "mood": None}
    assert attrs.asdict(Bounds()) == {
        "limit": None, "page_size": 100, "start_page": 1, "end_page": None, "concurrency": 8, "unordered": False,
        "on_invalid": "raise", "on_drift": "warn",
    }  # fmt: skip
    assert attrs.asdict(Connection()) == {
        "base_url": None, "timeout": 30.0, "attempts": 8, "demo": False, "verbose": False,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["tracks", "crawl", "download", "count", "serve"])
def test_help_shows_no_default_of_a_flag(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app([command, "--help"]) is None
    out, _ = capsys.readouterr()
    assert "--" in out
    assert "False" not in out


def test_help_of_a_command_names_the_exit_codes_and_needs_no_key(cli: Cli) -> None:
    outcome = cli("tracks", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Exit codes:" in outcome.out
    assert "--on-drift" in outcome.out
    assert "api-key" not in outcome.out
    assert cli().code == 0
    assert cli("--version").out.strip()
