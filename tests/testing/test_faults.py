from __future__ import annotations

import asyncio
import gzip
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from jogg_async.testing import FakeJogg, Fault

if TYPE_CHECKING:
    from .conftest import Asker

# aiohttp sends a GET once more when its connection breaks before the answer: both tries must meet the fault.
BOTH = 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.drop(), aiohttp.ServerDisconnectedError),
        (Fault.stall(0.01), aiohttp.ServerDisconnectedError),
        (Fault.reset(), aiohttp.ClientOSError),
        (Fault.stall_body(0.01), aiohttp.ClientPayloadError),
        (Fault.truncate(), aiohttp.ClientPayloadError),
        (Fault.truncate(chunked=True), aiohttp.ClientPayloadError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_broken_connections(ask: Asker, fault: Fault, error: type[Exception]) -> None:
    async with FakeJogg() as fake:
        fake.fail(fault, times=BOTH)
        with pytest.raises(error):
            await ask(fake)
        fake.clear()
        assert (await ask(fake)).status == 200
        assert fake.in_flight == 0


async def test_what_was_not_answered_has_no_status(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.drop(), times=BOTH)
        fake.fail(Fault.truncate())
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await ask(fake)
        assert [(seen.status, seen.code) for seen in fake.requests] == [(None, None), (None, None), (200, 0)]


@pytest.mark.parametrize(
    "fault", [Fault.stall(), Fault.stall_body(), Fault.slow(3600)], ids=lambda value: getattr(value, "name", None)
)
async def test_silence_lasts_until_the_client_gives_up(ask: Asker, fault: Fault) -> None:
    async with FakeJogg() as fake:
        fake.fail(fault)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(fake), 0.05)
        async with asyncio.timeout(5):
            while fake.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert fake.open_connections == 0


async def test_a_slow_answer_is_a_whole_one(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.slow(0.05) + Fault.drip(0.05))
        started = time.perf_counter()
        assert (await ask(fake)).json["code"] == 0
        assert time.perf_counter() - started >= 0.1


async def test_a_page_of_a_proxy(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.html(503))
        reply = await ask(fake)
        assert (reply.status, reply.headers["Content-Type"]) == (503, "text/html")
        assert b"<html>" in reply.body
        assert (fake.requests[0].status, fake.requests[0].code) == (503, None)


async def test_a_redirect(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.redirect("https://elsewhere.test/", 307))
        reply = await ask(fake)
        assert (reply.status, reply.headers["Location"]) == (307, "https://elsewhere.test/")


async def test_business_errors(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(18020))
        fake.fail(Fault.business(77, "Odd", http_status=418, rid=None))
        first, second = await ask(fake), await ask(fake)
        assert (first.status, first.json["msg"], first.json["data"]) == (200, "Insufficient credit", None)
        assert len(first.json["rid"]) == 32
        assert (second.status, second.json) == (418, {"code": 77, "msg": "Odd", "data": None})
        assert [seen.code for seen in fake.requests] == [18020, 77]


@pytest.mark.parametrize(
    ("places", "header", "body", "data"),
    [
        ({}, "2", 2.0, None),
        ({"header": False, "data": True}, None, 2.0, {"retryAfter": 2.0}),
        ({"body": False}, "2", None, None),
    ],
)
async def test_a_wait_stands_where_it_is_put(
    ask: Asker, places: dict[str, Any], header: str | None, body: float | None, data: Any
) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(429, http_status=429, retry_after=2.0, **places))
        reply = await ask(fake)
        assert reply.headers.get("Retry-After") == header
        assert reply.json.get("retryAfter") == body
        assert reply.json["data"] == data
        assert fake.refused == 1


async def test_a_wait_may_be_a_date(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(429, retry_after="Fri, 31 Dec 2100 23:59:59 GMT", body=False))
        assert (await ask(fake)).headers["Retry-After"] == "Fri, 31 Dec 2100 23:59:59 GMT"


async def test_raw_bytes(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.raw(b"\xff", status=201, headers={"X-Odd": "1"}, content_type="text/odd"))
        reply = await ask(fake)
        assert (reply.status, reply.body, reply.headers["X-Odd"]) == (201, b"\xff", "1")
        assert reply.headers["Content-Type"] == "text/odd"


@pytest.mark.parametrize(("record", "changed"), [(0, [0]), (-1, [4]), (None, [0, 1, 2, 3, 4]), (5, []), (-6, [])])
async def test_wrong_types(ask: Asker, record: int | None, changed: list[int]) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.wrong_types("duration", 1.5, record=record))
        rows = (await ask(fake)).json["data"]["music"]
        assert [place for place, row in enumerate(rows) if row["duration"] == 1.5] == changed


async def test_wrong_types_leave_an_error_alone(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.wrong_types())
        assert (await ask(fake, page=0)).json["code"] == 40000


async def test_patches_return_or_change_in_place(ask: Asker) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.patch(lambda envelope: envelope["data"]["pagination"].update(total_pages=9)))
        fake.fail(Fault.patch(lambda _: {"code": 5}))
        fake.fail(Fault.patch(lambda _: [1]))
        assert (await ask(fake)).json["data"]["pagination"]["total_pages"] == 9
        assert (await ask(fake)).json == {"code": 5}
        assert (await ask(fake)).json == [1]
        assert [seen.code for seen in fake.requests] == [0, 5, None]


async def test_gzip(ask: Asker) -> None:
    async with FakeJogg(5) as fake, aiohttp.ClientSession(auto_decompress=False) as http:
        fake.fail(Fault.gzip(padding=1_000_000))
        async with http.get(f"{fake.url}/v2/musics", headers={"x-api-key": fake.api_key}) as response:
            body = await response.read()
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(body) < 20_000
        assert len(gzip.decompress(body)) > 1_000_000
        fake.fail(Fault.gzip())
        assert (await ask(fake)).json["code"] == 0


async def test_two_faults_at_once(ask: Asker) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.wrong_types("id", "1") + Fault.gzip())
        reply = await ask(fake)
        assert reply.json["data"]["music"][0]["id"] == "1"
        assert reply.headers["Content-Encoding"] == "gzip"
        fake.fail(Fault.business(50000) + Fault.truncate())
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(fake)
    with pytest.raises(ValueError, match="two ways"):
        _ = Fault.drop() + Fault.reset()


async def test_faults_are_used_in_order_and_by_page(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(1), page=2, times=2)
        fake.fail(Fault.business(2), page=2)
        fake.fail(Fault.business(3), after=1)
        asked = [2, 1, 2, 2, 2, 1]
        codes = [(await ask(fake, page=page)).json["code"] for page in asked]
        assert codes == [1, 0, 1, 2, 3, 0]
        assert fake.pages == asked


async def test_a_fault_can_last_for_ever(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(50000), times=None, after=1)
        assert [(await ask(fake)).json["code"] for _ in range(4)] == [0, 50000, 50000, 50000]
        fake.clear()
        assert (await ask(fake)).json["code"] == 0


async def test_music_files_can_fail_too(ask: Asker) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.truncate(), path="/music/2.wav")
        assert (await ask(fake, "/music/1.wav")).status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(fake, "/music/2.wav")


@pytest.mark.parametrize("wrong", [{"times": 0}, {"after": -1}])
def test_senseless_counts_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="or more"):
        FakeJogg().fail(Fault.drop(), **wrong)  # type: ignore[arg-type]
