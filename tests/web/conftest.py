"""Servers of the web apps in docs/examples, each in a process of its own in front of a fake service."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import pytest

from jogg_async.testing import FakeJogg
from tests.interop.programs import free_port, serving

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
UVICORN: Final = ("-m", "uvicorn", "--loop", "uvloop", "--port")
APPS: Final = ("fastapi", "aiohttp", "litestar")


def command(name: str, port: int) -> tuple[str, ...]:
    """Return the command that serves an app: uvicorn on uvloop, or the app's own runner."""
    if name == "aiohttp":
        return sys.executable, str(EXAMPLES / "aiohttp_app.py")
    return sys.executable, *UVICORN, str(port), f"{name}_app:app"


class Served(NamedTuple):
    """A running app.

    Attributes:
        url: its address.
        fake: the fake service behind it.
    """

    url: str
    fake: FakeJogg


@contextmanager
def serve(name: str, fake: FakeJogg, log: Path) -> Generator[Served]:
    """Serve an app in front of a fake service."""
    pytest.importorskip(name)
    port = free_port()
    env = {"JOGG_API_KEY": fake.api_key, "JOGG_BASE_URL": fake.url, "PORT": str(port), "PYTHONPATH": str(EXAMPLES)}
    with serving(*command(name, port), port=port, log=log, env=env):
        yield Served(f"http://127.0.0.1:{port}", fake)
    assert fake.api_key not in log.read_text(encoding="utf-8")


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, fake_jogg: FakeJogg, tmp_path: Path) -> Iterator[Served]:
    """Serve an app for one test, in front of `fake_jogg`. Its log must show no traceback."""
    log = tmp_path / "log"
    with serve(request.param, fake_jogg, log) as served:
        yield served
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=APPS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve an app for the tests of a module."""
    with FakeJogg(500) as fake, serve(request.param, fake, tmp_path_factory.mktemp("log") / "log") as served:
        yield served


@pytest.fixture
def shared(running: Served) -> Served:
    """Return an app that the tests of a module share, with the faults and records of its fake service cleared."""
    running.fake.clear()
    return running


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Open an aiohttp session without a limit of connections, for many requests at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http
