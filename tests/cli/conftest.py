from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import FakeJogg

from .processes import Cli

if TYPE_CHECKING:
    from .processes import Terminal

CliWithFake = Callable[..., Cli]
OnTerminal = Callable[..., AbstractContextManager["Terminal"]]


@pytest.fixture
def cli() -> Cli:
    """Run the command without a key."""
    return Cli()


@pytest.fixture
def cli_with_fake() -> Iterator[CliWithFake]:
    """Return a function that starts a fake in a thread of its own, and returns a `Cli` for it."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: Cli(stack.enter_context(FakeJogg(*args, **kwargs)))


@pytest.fixture
def on_terminal() -> OnTerminal:
    """Start a command on a pseudo-terminal. Streams given as keyword arguments, such as `stdout`, replace it."""
    pytest.importorskip("pty")
    from .processes import Terminal

    @contextlib.contextmanager
    def start(cli: Cli, *arguments: str, size: tuple[int, int] = (24, 80), **streams: Any) -> Generator[Terminal]:
        terminal = Terminal(["-m", "jogg_async", *arguments], cli.environment(), streams, size)
        try:
            yield terminal
        finally:
            terminal.close()

    return start
