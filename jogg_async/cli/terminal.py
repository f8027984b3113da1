"""The two streams that people look at, and what may be shown on them."""

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
"""Control characters, line separators and changes of the writing direction: a terminal might obey them."""


def printable(text: str) -> str:
    """`text` on one line, with a replacement character for whatever a terminal might obey."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def escaped(json_lines: str) -> str:
    """Lines of JSON with the same characters written as JSON's own escapes."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", json_lines)


class _Console(Console):
    """A console that leaves a broken pipe to its caller: rich would end the process with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Raise it again: rich calls this where it caught it."""
        raise  # noqa: PLE0704


@attrs.frozen
class Screen:
    """Standard output and standard error, as consoles.

    Attributes:
        out: standard output.
        err: standard error; the same console where both are one terminal, so that a progress bar and what is printed
            meanwhile know of each other.
        shows_results: whether standard output is a terminal.
        shows_progress: whether standard error is a terminal, and one that can move its cursor.
    """

    out: Console
    err: Console
    shows_results: bool
    shows_progress: bool

    @classmethod
    @functools.cache
    def of_process(cls) -> Screen:
        """The screen of this process."""
        stdout: TextIO | None = sys.stdout
        stderr: TextIO | None = sys.stderr
        _tolerate(stdout)
        out = _Console(file=stdout, highlight=False, emoji=False, markup=False)
        err = out if _are_one_terminal(stdout, stderr) else _Console(stderr=True, highlight=False, markup=False)
        return cls(out, err, _is_terminal(stdout), _is_terminal(stderr) and not err.is_dumb_terminal)

    def fail(self, message: str) -> None:
        """Say what went wrong, in one line on standard error."""
        self._say("error:", "bold red", message)

    def warn(self, message: str) -> None:
        """Say what deserves a look, in one line on standard error."""
        self._say("warning:", "bold yellow", message)

    def note(self, message: str) -> None:
        """Say what happens, in one line on standard error."""
        self._print(Text(printable(message), style="dim"))

    def _say(self, kind: str, style: str, message: str) -> None:
        self._print(Text.assemble("jogg-async: ", (kind, style), " ", printable(message)))

    def _print(self, line: Text) -> None:
        try:
            self.err.print(line, soft_wrap=True)
        except OSError:  # nobody reads standard error any more: that is no reason to fail
            _silence(sys.stderr)


def silence_stdout() -> None:
    """Let nothing more reach standard output, whose reader has left; else the interpreter complains at its end."""
    _silence(sys.stdout)


def _silence(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError):
        if stream is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _tolerate(stream: TextIO | None) -> None:
    """Let a stream replace what its encoding lacks, instead of failing."""
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
