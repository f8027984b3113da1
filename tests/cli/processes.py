"""Run `jogg-async` as a process, with pipes or a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import attrs

from jogg_async.testing import FakeJogg

PATIENCE = 20.0
"""Seconds after which a process counts as hanging."""


PIPES: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@attrs.frozen
class Outcome:
    code: int
    out: str
    err: str


def ended_together(processes: Sequence[subprocess.Popen[bytes]]) -> list[Outcome]:
    """Wait for processes that run at the same time, and return their outcomes. Their starts overlap, to save time."""
    with ExitStack() as stack:
        return [ended(stack.enter_context(process)) for process in processes]


@attrs.define
class Cli:
    """Run `jogg-async` against a fake."""

    fake: FakeJogg | None = None
    env: dict[str, str] = attrs.field(factory=dict)

    def environment(self) -> dict[str, str]:
        # Without PYTHONDEVMODE, in which asyncio logs slow callbacks on standard error.
        dropped = ("JOGG_", "NO_COLOR", "FORCE_COLOR", "TTY_", "COLUMNS", "LINES", "PYTHONDEVMODE", "PYTHONUNBUFFERED")
        env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        # Report unclosed resources on standard error.
        env |= {"PYTHONWARNINGS": "default::ResourceWarning", "TERM": "xterm-256color"}
        if self.fake is not None:
            env |= {"JOGG_API_KEY": self.fake.api_key, "JOGG_BASE_URL": self.fake.url}
        return env | self.env

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        return started(["-m", "jogg_async", *arguments], self.environment(), PIPES | streams)

    def __call__(self, *arguments: str, **streams: Any) -> Outcome:
        with self.start(*arguments, **streams) as process:
            return ended(process)


def started(arguments: list[str], env: dict[str, str], streams: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start Python with these arguments."""
    return subprocess.Popen[bytes]([sys.executable, *arguments], env=env, **streams)


def ended(process: subprocess.Popen[bytes]) -> Outcome:
    """Wait for a process, and return its outcome; kill it after `PATIENCE` seconds."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException:
        process.kill()
        raise
    return Outcome(process.returncode, (out or b"").decode(), (err or b"").decode())


def fake_of(cli: Cli) -> FakeJogg:
    assert cli.fake is not None
    return cli.fake


class Terminal:
    """Process on a pseudo-terminal.

    Attributes:
        raw: everything written to the terminal so far.
    """

    def __init__(
        self, arguments: list[str], env: dict[str, str], streams: dict[str, Any], size: tuple[int, int]
    ) -> None:
        import fcntl
        import pty
        import termios

        self.raw = b""
        self._descriptor, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        # The process first takes the terminal as its controlling terminal, so that Ctrl-C reaches it. (`preexec_fn`
        # could do the same, but is unsafe with threads.)
        own = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        wrapped = ["-c", f"{own}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])", *arguments]
        self.process = started(wrapped, env, {"stdin": end, "stdout": end, "stderr": end} | streams)
        os.close(end)

    def read(self, until: Callable[[bytes], bool] = lambda _: False) -> None:
        """Read until a condition on `raw` holds, or to the end."""
        deadline = time.monotonic() + PATIENCE
        while not until(self.raw):
            assert time.monotonic() < deadline, self.raw
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    data = os.read(self._descriptor, 1 << 16)
                except OSError:  # Linux: the other side is closed
                    return
                if not data:
                    return
                self.raw += data

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def wait(self) -> int:
        self.read()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        os.close(self._descriptor)
