"""Servers of audio files, and `download` from one of them without waits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import jogg_async
from jogg_async import DownloadReport, Track
from tests.conftest import AT_ONCE

from .server import AudioServer

MakeServer = Callable[[], Awaitable[AudioServer]]


class Fetch(Protocol):
    """Downloads tracks from the server into the folder."""

    async def __call__(self, *tracks: Track, **settings: Any) -> DownloadReport: ...


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    """Return a function that starts servers, which stop at the end of the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make() -> AudioServer:
            server = AudioServer()
            await server.start()
            stack.push_async_callback(server.close)
            return server

        yield make


@pytest.fixture
async def server(make_server: MakeServer) -> AudioServer:
    """Start a server of audio files on loopback."""
    return await make_server()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that does not exist yet."""
    return tmp_path / "music"


@pytest.fixture
def fetch(server: AudioServer, folder: Path) -> Fetch:
    """Return a function that downloads tracks from the server into the folder."""

    async def run(*tracks: Track, **settings: Any) -> DownloadReport:
        usual: dict[str, Any] = {"base_url": server.url, "retry": AT_ONCE}
        return await jogg_async.download(tracks, folder, **usual | settings)

    return run


def names(folder: Path) -> list[str]:
    """Return the sorted names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())
