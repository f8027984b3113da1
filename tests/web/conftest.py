"""Servers of the web apps in docs/examples, each in a process of its own in front of a fake service."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from jogg_async.testing import FakeJogg
from tests.interop.programs import free_port, serving

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
UVICORN: Final = ("-m", "uvicorn", "--loop", "uvloop", "--app-dir", str(EXAMPLES), "--port")
APPS: Final = ("fastapi", "aiohttp", "litestar")


def command(name: str, port: int) -> tuple[str, ...]:
    """Return the command that serves an app: uvicorn on uvloop, or the app's own runner."""
    if name == "aiohttp":
        return sys.executable, str(EXAMPLES / "aiohttp_app.py")
    return sys.executable, *UVICORN, str(port), f"{name}_app:app"


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, fake_jogg: FakeJogg, tmp_path: Path) -> Iterator[str]:
    """Serve an app in front of `fake_jogg`, and return its address."""
    pytest.importorskip(request.param)
    port = free_port()
    env = {"JOGG_API_KEY": fake_jogg.api_key, "JOGG_BASE_URL": fake_jogg.url, "PORT": str(port)}
    with serving(*command(request.param, port), port=port, log=tmp_path / "log", env=env):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client with a connection for each of its requests at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http
