"""Crawls of Prism, a mock server that responds with the examples of the OpenAPI description, or with random data."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from jogg_async import (
    AuthenticationError,
    CatalogueChangedError,
    CatalogueChangedWarning,
    InsufficientCreditError,
    JoggError,
    JoggSession,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Track,
)

from .programs import free_port, serving

PRISM: Final = shutil.which("prism")
MUSICS: Final = Path(__file__).with_name("musics.yaml")
KEY: Final = "canary-0d5be81c734f4a29-key"
AT_ONCE: Final = RetryPolicy(attempts=3, wait_initial=0.0, wait_jitter=0.0)
STEPS: Final = 12
"""Number of times that a crawl continues after an error."""

pytestmark = pytest.mark.skipif(PRISM is None, reason="prism is not installed")


def prism(folder: Path, *options: str) -> Iterator[str]:
    port = free_port()
    command = (str(PRISM), "mock", "--port", str(port), *options, str(MUSICS))
    with serving(*command, port=port, log=folder / "log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Prism with the examples of the description as responses; return its address."""
    yield from prism(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Prism with random responses; return its address. (With a seed all responses would be the same.)"""
    yield from prism(tmp_path_factory.mktemp("anything"), "--dynamic")


async def test_crawl_of_static_prism_yields_its_example_tracks(examples: str) -> None:
    async with JoggSession(KEY, base_url=examples) as jogg:
        assert await jogg.count() == 2
        assert [track.name for track in await jogg.tracks(mood="Calm", params={"sort": "name"}).collect()] == [
            "First",
            "Second",
        ]


@pytest.mark.parametrize(
    ("preference", "kind", "attempts"),
    [
        ("example=refused", PermissionDeniedError, 1),
        ("code=400", ParameterError, 1),
        ("code=401", AuthenticationError, 1),
        ("code=402", InsufficientCreditError, 1),
        ("code=403", PermissionDeniedError, 1),
        ("code=404", NotFoundError, 1),
        ("code=429", RateLimitError, 3),
        ("code=500", ServerError, 3),
        ("example=there-is-none", NotFoundError, 1),
    ],
)
async def test_error_example_raises_the_matching_error(
    examples: str, preference: str, kind: type[JoggError], attempts: int
) -> None:
    async with (
        aiohttp.ClientSession(headers={"Prefer": preference}) as http,
        JoggSession(KEY, base_url=examples, http=http, retry=AT_ONCE) as jogg,
    ):
        with pytest.raises(kind, match=f"GET {examples}") as caught:
            await jogg.page()
    assert caught.value.attempts == attempts


async def test_empty_example_has_no_tracks(examples: str) -> None:
    async with (
        aiohttp.ClientSession(headers={"Prefer": "example=empty"}) as http,
        JoggSession(KEY, base_url=examples, http=http) as jogg,
    ):
        assert (await jogg.count(), len(await jogg.tracks().collect())) == (0, 0)


def test_command_line_prints_the_example_tracks(examples: str) -> None:
    command = [sys.executable, "-m", "jogg_async", "tracks", "--base-url", examples, "--format", "jsonl"]
    done = subprocess.run(command, env={**os.environ, "JOGG_API_KEY": KEY}, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 2, "")


async def crawled(jogg: JoggSession, errors: list[JoggError], **settings: Any) -> list[Track]:
    """Return the tracks of a crawl that continues after each error."""
    pager, found = jogg.tracks(**settings), list[Track]()
    for _ in range(STEPS):
        try:
            async with asyncio.timeout(30):
                async for track in pager:
                    found.append(track)
            break
        except CatalogueChangedError:
            break
        except JoggError as error:
            errors.append(error)
    await pager.aclose()
    assert pager.progress.requests > 0
    return found


@pytest.mark.parametrize("on_drift", ["ignore", "warn", "raise", "recrawl"])
async def test_random_responses_end_in_tracks_or_an_error(anything: str, on_drift: str) -> None:
    errors = list[JoggError]()
    for ordered, on_invalid, concurrency in itertools.product((True, False), ("raise", "skip"), (1, 8)):
        async with JoggSession(KEY, base_url=anything, retry=AT_ONCE, concurrency=concurrency) as jogg:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CatalogueChangedWarning)
                settings = {"ordered": ordered, "on_invalid": on_invalid, "on_drift": on_drift}
                found = await crawled(jogg, errors, **settings)
        assert len({track.id for track in found}) == len(found)
    assert [str(error) for error in errors if not str(error).startswith(f"GET {anything}") or KEY in str(error)] == []


async def test_count_of_random_responses_is_never_negative(anything: str) -> None:
    async with JoggSession(KEY, base_url=anything, retry=AT_ONCE) as jogg:
        counts = [await counted(jogg) for _ in range(60)]
    assert min(count for count in counts if count is not None) >= 0


async def counted(jogg: JoggSession) -> int | None:
    try:
        return await jogg.count()
    except JoggError:
        return None
