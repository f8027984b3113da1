"""Sessions in tests of users that mock aiohttp with aioresponses instead of starting a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses

from jogg_async import APIError, JoggSession, NotFoundError, RateLimitError, Track, TransportError

from .leaks import caught, leaks
from .raw import AT_ONCE

KEY: Final = "canary-c40d9e7218ab53f6-key"
MUSICS: Final = "https://api.jogg.ai/v2/musics"
ANY: Final = re.compile(re.escape(MUSICS))


class WrittenResponse(aiohttp.ClientResponse):
    """Response of aioresponses 0.7.9 with an argument that aiohttp 3.14 requires."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock())
        super().__init__(*args, **kwargs)


def envelope(*ids: int, page: int = 1, of: int = 1) -> dict[str, Any]:
    rows = [{"id": number, "name": f"Track {number}", "duration": 60} for number in ids]
    pagination = {"page": page, "page_size": 2, "total_items": 2 * of, "total_pages": of}
    return {"code": 0, "msg": "Success", "data": {"music": rows, "pagination": pagination}, "rid": "f" * 32}


@pytest.fixture
def mocked() -> Iterator[aioresponses]:
    with aioresponses() as mock:
        yield mock


def response(mock: aioresponses, url: Any, **settings: Any) -> None:
    mock.get(url, response_class=WrittenResponse, **settings)


async def test_page_works_under_aioresponses(mocked: aioresponses) -> None:
    response(mocked, f"{MUSICS}?page_size=10&mood=Calm&page=3", payload=envelope(5, 6, page=3, of=3))
    async with JoggSession(KEY) as jogg:
        page = await jogg.page(3, mood="Calm")
    assert page.tracks == (Track(5, "Track 5", None, 60), Track(6, "Track 6", None, 60))
    assert (page.pagination.total_pages, page.rid) == (3, "f" * 32)


async def test_count_works_under_aioresponses(mocked: aioresponses) -> None:
    response(mocked, f"{MUSICS}?page_size=1&page=1", payload=envelope(1, of=21))
    async with JoggSession(KEY) as jogg:
        assert await jogg.count() == 42


async def test_crawl_works_under_aioresponses(mocked: aioresponses) -> None:
    for number in (1, 2, 3):
        rows = envelope(2 * number, 2 * number + 1, page=number, of=3)
        response(mocked, f"{MUSICS}?page_size=2&page={number}", payload=rows)
    async with aiohttp.ClientSession() as http, JoggSession(KEY, http=http) as jogg:
        assert [track.id async for track in jogg.tracks(page_size=2)] == [2, 3, 4, 5, 6, 7]


async def test_mocked_crawl_opens_no_connection(mocked: aioresponses, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[object] = []

    async def dial(*args: object, **_: object) -> None:
        dialled.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", dial)
    response(mocked, f"{MUSICS}?page_size=100&page=1", payload=envelope(1, 2))
    async with JoggSession(KEY) as jogg:
        assert len(await jogg.tracks().collect()) == 2
    assert dialled == []


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        (200, {"code": 10104, "msg": "Record not found", "data": None, "rid": "a" * 32}, NotFoundError),
        (404, {"code": 10104, "msg": "Record not found", "data": None, "rid": "a" * 32}, NotFoundError),
        (418, {"code": 1, "msg": "no", "data": None, "rid": "a" * 32}, APIError),
    ],
)
async def test_mocked_error_raises_the_matching_error(
    mocked: aioresponses, status: int, payload: dict[str, Any], kind: type[APIError]
) -> None:
    response(mocked, ANY, status=status, payload=payload)
    async with JoggSession(KEY) as jogg:
        with pytest.raises(kind) as caught:
            await jogg.page()
    assert (caught.value.code, caught.value.http_status, caught.value.rid) == (payload["code"], status, "a" * 32)


async def test_mocked_rate_limit_is_retried(mocked: aioresponses) -> None:
    refusal = {"code": 429, "msg": "Rate limit exceeded. Please try again later.", "data": None}
    response(mocked, ANY, status=429, payload=refusal, headers={"Retry-After": "0.05"})
    response(mocked, ANY, payload=envelope(1))
    async with JoggSession(KEY) as jogg:
        assert len((await jogg.page()).tracks) == 1


async def test_mocked_persistent_rate_limit_raises_rate_limit_error(mocked: aioresponses) -> None:
    response(mocked, ANY, status=429, headers={"Retry-After": "0.01"}, body="<h1>Slow down</h1>", repeat=True)
    async with JoggSession(KEY, retry=AT_ONCE) as jogg:
        with pytest.raises(RateLimitError) as caught:
            await jogg.page()
    assert (caught.value.attempts, caught.value.retry_after) == (3, 0.01)


@pytest.mark.parametrize(
    "fault",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("cut short"),
        aiohttp.ClientError(),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_mocked_aiohttp_exception_is_the_cause_of_a_transport_error(
    mocked: aioresponses, fault: Exception
) -> None:
    response(mocked, ANY, exception=fault, repeat=True)
    async with JoggSession(KEY, retry=AT_ONCE) as jogg:
        error = await caught(jogg.page(4))
    assert isinstance(error, TransportError)
    assert error.__cause__ is fault
    assert (error.page, error.attempts) == (4, 3)
    assert leaks(error, KEY) == []


async def test_mocked_connection_errors_are_retried(mocked: aioresponses) -> None:
    response(mocked, ANY, exception=aiohttp.ServerDisconnectedError())
    response(mocked, ANY, timeout=True)
    response(mocked, ANY, payload=envelope(1))
    async with JoggSession(KEY, retry=AT_ONCE) as jogg:
        assert len((await jogg.page()).tracks) == 1


async def test_crawl_reads_responses_made_by_a_callback_of_aioresponses(mocked: aioresponses) -> None:
    asked: list[str] = []

    def look(url: Any, **settings: Any) -> CallbackResult:
        asked.append(url.query["page"])
        assert settings["allow_redirects"] is False
        body = envelope(*range(2 * int(url.query["page"]), 2 * int(url.query["page"]) + 2), of=4)
        del body["data"]["pagination"]["page"]
        return CallbackResult(payload=body, response_class=WrittenResponse)

    mocked.get(ANY, callback=look, repeat=True)
    async with aiohttp.ClientSession() as http, JoggSession(KEY, http=http) as jogg:
        assert len(await jogg.tracks(page_size=2).collect()) == 8
    assert sorted(asked) == ["1", "2", "3", "4"]
