from __future__ import annotations

import asyncio
import gzip
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from jogg_async.testing import FakeJogg, Fault
from tests.model import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Fetch

# aiohttp sends a GET once more when its connection breaks before the response: both attempts must meet the fault.
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
async def test_connection_faults_raise_the_matching_client_error(
    fetch: Fetch, fault: Fault, error: type[Exception]
) -> None:
    async with FakeJogg() as fake:
        fake.fail(fault, times=BOTH)
        with pytest.raises(error):
            await fetch(fake)
        fake.clear()
        assert (await fetch(fake)).status == 200
        assert fake.in_flight == 0


async def test_recorded_status_is_none_where_no_response_was_sent(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.drop(), times=BOTH)
        fake.fail(Fault.truncate())
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await fetch(fake)
        assert [(seen.status, seen.code) for seen in fake.requests] == [(None, None), (None, None), (200, 0)]


@pytest.mark.parametrize(
    "fault", [Fault.stall(), Fault.stall_body(), Fault.slow(3600)], ids=lambda value: getattr(value, "name", None)
)
async def test_stalled_request_ends_when_the_client_gives_up(fetch: Fetch, fault: Fault) -> None:
    async with FakeJogg() as fake:
        fake.fail(fault)
        task = asyncio.create_task(fetch(fake))
        await until(lambda: fake.in_flight, 5)
        task.cancel()
        await until(lambda: not (fake.in_flight or fake.open_connections), 5)


async def test_slow_and_dripped_response_arrives_complete(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.slow(0.05) + Fault.drip(0.05))
        started = time.perf_counter()
        assert (await fetch(fake)).json["code"] == 0
        assert time.perf_counter() - started >= 0.1


async def test_html_fault_sends_a_proxy_error_page(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.html(503))
        response = await fetch(fake)
        assert (response.status, response.headers["Content-Type"]) == (503, "text/html")
        assert b"<html>" in response.body
        assert (fake.requests[0].status, fake.requests[0].code) == (503, None)


async def test_redirect_fault_sends_its_location(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.redirect("https://elsewhere.test/", 307))
        response = await fetch(fake)
        assert (response.status, response.headers["Location"]) == (307, "https://elsewhere.test/")


async def test_business_fault_sends_an_error_envelope(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(18020))
        fake.fail(Fault.business(77, "Odd", http_status=418, rid=None))
        first, second = await fetch(fake), await fetch(fake)
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
async def test_business_fault_announces_the_wait_in_the_chosen_places(
    fetch: Fetch, places: dict[str, Any], header: str | None, body: float | None, data: Any
) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(429, http_status=429, retry_after=2.0, **places))
        response = await fetch(fake)
        assert response.headers.get("Retry-After") == header
        assert response.json.get("retryAfter") == body
        assert response.json["data"] == data
        assert fake.refused == 1


async def test_business_fault_sends_a_date_as_retry_after_unchanged(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(429, retry_after="Fri, 31 Dec 2100 23:59:59 GMT", body=False))
        assert (await fetch(fake)).headers["Retry-After"] == "Fri, 31 Dec 2100 23:59:59 GMT"


async def test_raw_fault_sends_bytes_unchanged(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.raw(b"\xff", status=201, headers={"X-Odd": "1"}, content_type="text/odd"))
        response = await fetch(fake)
        assert (response.status, response.body, response.headers["X-Odd"]) == (201, b"\xff", "1")
        assert response.headers["Content-Type"] == "text/odd"


@pytest.mark.parametrize(("record", "changed"), [(0, [0]), (-1, [4]), (None, [0, 1, 2, 3, 4]), (5, []), (-6, [])])
async def test_wrong_types_fault_changes_the_chosen_records(
    fetch: Fetch, record: int | None, changed: list[int]
) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.wrong_types("duration", 1.5, record=record))
        rows = (await fetch(fake)).json["data"]["music"]
        assert [place for place, row in enumerate(rows) if row["duration"] == 1.5] == changed


async def test_wrong_types_fault_leaves_error_envelopes_unchanged(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.wrong_types())
        assert (await fetch(fake, page=0)).json["code"] == 40000


async def test_patch_fault_sends_the_returned_envelope_or_else_the_changed_one(fetch: Fetch) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.patch(lambda envelope: envelope["data"]["pagination"].update(total_pages=9)))
        fake.fail(Fault.patch(lambda _: {"code": 5}))
        fake.fail(Fault.patch(lambda _: [1]))
        assert (await fetch(fake)).json["data"]["pagination"]["total_pages"] == 9
        assert (await fetch(fake)).json == {"code": 5}
        assert (await fetch(fake)).json == [1]
        assert [seen.code for seen in fake.requests] == [0, 5, None]


async def test_gzip_fault_compresses_the_body(fetch: Fetch) -> None:
    async with FakeJogg(5) as fake, aiohttp.ClientSession(auto_decompress=False) as http:
        fake.fail(Fault.gzip(padding=1_000_000))
        async with http.get(f"{fake.url}/v2/musics", headers={"x-api-key": fake.api_key}) as response:
            body = await response.read()
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(body) < 20_000
        assert len(gzip.decompress(body)) > 1_000_000
        fake.fail(Fault.gzip())
        assert (await fetch(fake)).json["code"] == 0


async def test_sum_of_two_faults_applies_both(fetch: Fetch) -> None:
    async with FakeJogg(5) as fake:
        fake.fail(Fault.wrong_types("id", "1") + Fault.gzip())
        response = await fetch(fake)
        assert response.json["data"]["music"][0]["id"] == "1"
        assert response.headers["Content-Encoding"] == "gzip"
        fake.fail(Fault.business(50000) + Fault.truncate())
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetch(fake)
    with pytest.raises(ValueError, match="two ways"):
        _ = Fault.drop() + Fault.reset()


async def test_faults_are_used_in_order_for_their_page(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(1), page=2, times=2)
        fake.fail(Fault.business(2), page=2)
        fake.fail(Fault.business(3), after=1)
        requested = [2, 1, 2, 2, 2, 1]
        codes = [(await fetch(fake, page=page)).json["code"] for page in requested]
        assert codes == [1, 0, 1, 2, 3, 0]
        assert fake.pages == requested


async def test_fault_with_times_none_applies_until_cleared(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.business(50000), times=None, after=1)
        assert [(await fetch(fake)).json["code"] for _ in range(4)] == [0, 50000, 50000, 50000]
        fake.clear()
        assert (await fetch(fake)).json["code"] == 0


async def test_fault_can_apply_to_a_music_file(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.truncate(), path="/music/2.wav")
        assert (await fetch(fake, "/music/1.wav")).status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetch(fake, "/music/2.wav")


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (400, 400, 40000),
        (401, 401, 10105),
        (402, 402, 18020),
        (403, 403, 18025),
        (404, 404, 10104),
        (429, 429, 429),
        (500, 500, 50000),
        (10104, 404, 10104),
        (50000, 500, 50000),
    ],
)
async def test_fail_with_a_documented_status_or_code_sends_its_error_envelope(
    fetch: Fetch, number: int, status: int, code: int
) -> None:
    async with FakeJogg() as fake:
        fake.fail(number)
        response = await fetch(fake)
    assert (response.status, response.json["code"], response.json["data"]) == (status, code, None)


@pytest.mark.parametrize("status", [408, 418, 422, 502, 503, 599])
async def test_fail_with_another_error_status_sends_an_html_page(fetch: Fetch, status: int) -> None:
    async with FakeJogg() as fake:
        fake.fail(status)
        response = await fetch(fake)
    assert (response.status, response.headers["Content-Type"]) == (status, "text/html")


async def test_fail_with_a_code_obeys_the_http_errors_setting(fetch: Fetch) -> None:
    async with FakeJogg(http_errors=False) as fake:
        fake.fail(50000)
        fake.fail(500)
        assert [(await fetch(fake)).status for _ in range(2)] == [200, 500]


@pytest.mark.parametrize("number", [0, 1, 200, 302, 399, 600, -500, 10**20])
def test_fail_rejects_numbers_that_stand_for_no_error(number: int) -> None:
    with pytest.raises(ValueError, match=rf"an HTTP status from 400 to 599 or one of the codes 429, .*, not {number}:"):
        FakeJogg().fail(number)


@pytest.mark.parametrize("wrong", ["500", None, True, 500.0, Fault.drop, Fault])
def test_fail_rejects_other_objects_than_faults_and_numbers(wrong: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^fail\(\) takes a Fault such as Fault.drop\(\), an HTTP status or a code, not "
    ):
        FakeJogg().fail(wrong)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"times": 0}, ValueError, "times must be 1 or more, not 0"),
        ({"after": -1}, ValueError, "after must be 0 or more, not -1"),
        ({"page": 0}, ValueError, "page must be 1 or more, not 0"),
        ({"page": "3"}, TypeError, "page must be an integer, not '3'"),
        ({"times": "2"}, TypeError, "times must be an integer, not '2'"),
        ({"path": None}, ValueError, "path must begin with a slash, such as /music/7.wav, not None"),
        ({"path": "music/7.wav"}, ValueError, "path must begin with a slash, such as /music/7.wav, not 'music/7.wav'"),
    ],
)
def test_fail_rejects_arguments_that_match_no_request(wrong: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        FakeJogg().fail(Fault.drop(), **wrong)


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        (Fault.stall, (-1,), ValueError),
        (Fault.slow, ("1",), TypeError),
        (Fault.drip, (float("nan"),), ValueError),
        (Fault.html, ("502",), TypeError),
        (Fault.raw, ("text",), TypeError),
        (partial(Fault.raw, status=99), (b"",), ValueError),
        (partial(Fault.business, http_status=5000), (50000,), ValueError),
        (Fault.patch, ({},), TypeError),
        (partial(Fault.gzip, padding=-1), (), ValueError),
        (FakeJogg().mutate_after, (1, "insert"), TypeError),
        (FakeJogg().mutate_after, (0.5, print), TypeError),
    ],
)
def test_faults_and_changes_reject_wrong_arguments_at_the_call(
    call: Callable[..., object], arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error, match="must be"):
        call(*arguments)
