"""Start servers of other projects for the tests, and stop them afterwards."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a server may take to start."""


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(*command: str, port: int, log: Path, env: Mapping[str, str] | None = None) -> Generator[None]:
    """Start a server, and wait until it listens on its port; its output goes to `log`."""
    with (
        log.open("ab") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **(env or {})}
        ) as process,
    ):
        try:
            _wait_for(process, port, log)
            yield
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen: {log.read_text()}")
