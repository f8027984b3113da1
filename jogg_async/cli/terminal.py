"""Standard output and standard error as terminals, and text made safe for them."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
from typing import Final, TextIO

import attrs
from rich.console import Console
from rich.text import Text

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators and direction marks, which a terminal would interpret."""


def printable(text: str) -> str:
    """Return `text` on one line, with a replacement character for each unsafe one."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(json_lines: str) -> str:
    """Return lines of JSON with the unsafe characters written as JSON escapes."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", json_lines)


class _Console(Console):
    """Console that raises BrokenPipeError, where rich would exit the process with code 1."""

    def on_broken_pipe(self) -> None:
        """Raise the exception that rich has just caught."""
        raise  # noqa: PLE0704


@attrs.frozen
class Screen:
    """Standard output and standard error, as consoles.

    Attributes:
        out: standard output.
        err: standard error; the same console if both are one terminal, so that output appears above the progress bar.
        shows_results: standard output is a terminal.
        shows_progress: standard error is a terminal that can move its cursor.
    """

    out: Console
    err: Console
    shows_results: bool
    shows_progress: bool

    @classmethod
    @functools.cache
    def of_process(cls) -> Screen:
        """Return the screen of this process."""
        stdout: TextIO | None = sys.stdout
        stderr: TextIO | None = sys.stderr
        _replace_unencodable(stdout)
        out = _Console(file=stdout, highlight=False, emoji=False, markup=False)
        err = out if _are_one_terminal(stdout, stderr) else _Console(stderr=True, highlight=False, markup=False)
        return cls(out, err, _is_terminal(stdout), _is_terminal(stderr) and not err.is_dumb_terminal)

    def fail(self, message: str) -> None:
        """Print an error as one line on standard error."""
        self._say("error:", "bold red", message)

    def warn(self, message: str) -> None:
        """Print a warning as one line on standard error."""
        self._say("warning:", "bold yellow", message)

    def note(self, message: str) -> None:
        """Print a log message or a hint as one line on standard error."""
        self._print(Text(printable(message), style="dim"))

    def line(self, text: str) -> None:
        """Print a line on standard error that other programs parse."""
        self._print(Text(printable(text)))

    def _say(self, kind: str, style: str, message: str) -> None:
        self._print(Text.assemble("jogg-async: ", (kind, style), " ", printable(message)))

    def _print(self, line: Text) -> None:
        try:
            self.err.print(line, soft_wrap=True)
        except OSError:  # standard error is closed: not a reason to fail
            _silence(sys.stderr)


def silence_stdout() -> None:
    """Discard further output after the reader closed the pipe; else the interpreter prints an error at exit."""
    _silence(sys.stdout)


def _silence(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _replace_unencodable(stream: TextIO | None) -> None:
    """Make a stream replace the characters that its encoding lacks, instead of raising an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _are_one_terminal(one: TextIO | None, other: TextIO | None) -> bool:
    if one is None or other is None or not (one.isatty() and other.isatty()):
        return False
    with contextlib.suppress(OSError, ValueError):
        return os.path.sameopenfile(one.fileno(), other.fileno())
    return False
