"""The command-line application: parses arguments, runs a command, returns the exit code."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from jogg_async._version import __version__
from jogg_async.errors import JoggError

from .failure import EXIT_CODES, ExitCode, UsageError, exit_code_of, message_of
from .terminal import Screen, silence_stdout

_COMMANDS: Final = ("tracks", "crawl", "count", "download", "serve", "browse")

_HELP: Final = """List JoggAI's background-music catalogue, or save it.

Set the environment variable JOGG_API_KEY to your API key.

Try it without a key: jogg-async tracks --demo
"""

app: App = App(
    name="jogg-async",
    help=_HELP,
    help_epilogue="Exit codes: " + "; ".join(f"{code:d} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    help_format="plaintext",
    version=__version__,
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
for _name in _COMMANDS:
    app.command(f"{__package__}.{_name}:{_name}")  # imported when it is run


def run(arguments: Sequence[str]) -> int:
    """Run one command. Print an error as one line on standard error; a closed pipe is not an error."""
    screen = Screen.of_process()
    try:
        return _run(arguments, screen)
    except JoggError as error:
        screen.fail(message_of(error))
        return exit_code_of(error)
    except BrokenPipeError:
        silence_stdout()
        return ExitCode.OK
    except OSError as error:
        reason = error.strerror or str(error)
        screen.fail(f"{error.filename}: {reason}" if error.filename else reason)
        return ExitCode.OTHER
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: Sequence[str], screen: Screen) -> int:
    if not set(arguments).intersection(_COMMANDS):
        _ = [app[name] for name in _COMMANDS]  # imports them: the program's help shows what each does
    try:
        code = app(arguments, console=screen.out, error_console=screen.err, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError) as error:
        screen.fail(f"{error} See jogg-async --help.")
        return ExitCode.USAGE
    return code if isinstance(code, int) else ExitCode.OK
