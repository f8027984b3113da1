from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import aiohttp
import pytest

import jogg_async.testing
from jogg_async.testing import FakeJogg, Fault, RecordedRequest
from tests.model import until

if TYPE_CHECKING:
    from .conftest import Fetch


async def arrived(fake: FakeJogg, count: int) -> None:
    await until(lambda: len(fake.requests) >= count, 5)


async def test_requests_are_recorded_with_their_response_codes(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        before = time.monotonic()
        await fetch(fake, page=2, page_size=5, mood="Très calme", headers={"User-Agent": "probe/1"})
        await fetch(fake, page="x")
        await fetch(fake, "/elsewhere", method="POST")
        first, second, third = fake.requests
        assert before <= first.at <= second.at <= time.monotonic()
        assert (first.method, first.path) == ("GET", "/v2/musics")
        assert first.query == {"page": "2", "page_size": "5", "mood": "Très calme"}
        assert first.headers["user-agent"] == "probe/1"
        assert (first.page, first.page_size, first.status, first.code) == (2, 5, 200, 0)
        assert (second.page, second.page_size, second.status, second.code) == (None, 10, 400, 40000)
        assert (third.method, third.page, third.code) == ("POST", None, 10104)
        assert fake.pages == [2, None]
        assert fake.api_key not in repr(fake.requests)


async def test_recording_can_be_turned_off(fetch: Fetch) -> None:
    async with FakeJogg(record=False) as fake:
        await fetch(fake)
        assert fake.requests == []
        assert fake.max_in_flight == 1


async def test_open_requests_and_connections_are_counted(fetch: Fetch) -> None:
    release = asyncio.Event()
    async with FakeJogg() as fake:
        fake.on_request = lambda _: release.wait()
        tasks = [asyncio.create_task(fetch(fake)) for _ in range(3)]
        await arrived(fake, 3)
        assert (fake.in_flight, fake.max_in_flight) == (3, 3)
        assert (fake.connections, fake.open_connections) == (3, 3)
        assert fake.requests[0].status is None
        release.set()
        await asyncio.gather(*tasks)
        await fetch(fake)
        assert (fake.in_flight, fake.max_in_flight, fake.connections) == (0, 3, 3)
        fake.clear()
        assert (fake.requests, fake.max_in_flight, fake.refused) == ([], 0, 0)
    assert (fake.connections, fake.open_connections) == (3, 0)


async def test_on_request_gets_each_request_and_may_change_the_catalogue(fetch: Fetch) -> None:
    seen: list[RecordedRequest] = []

    async def change(request: RecordedRequest) -> None:
        seen.append(request)
        if request.page == 2:
            fake.catalogue.remove(0)

    async with FakeJogg(6) as fake:
        fake.on_request = change
        pages = [(await fetch(fake, page=page, page_size=2)).json["data"]["music"] for page in (1, 2)]
        assert [row["id"] for page in pages for row in page] == [1, 2, 4, 5]
        fake.on_request = seen.append
        await fetch(fake)
        assert seen == fake.requests


async def test_close_raises_the_exception_of_on_request(fetch: Fetch) -> None:
    def fail(_: RecordedRequest) -> None:
        raise LookupError("seat taken")

    fake = await FakeJogg().start()
    fake.on_request = fail
    response = await fetch(fake)
    assert (response.status, response.json["code"]) == (500, 50000)
    assert "seat taken" in response.json["msg"]
    with pytest.raises(LookupError, match="seat taken"):
        await fake.close()
    await fake.close()


async def test_exception_of_the_test_takes_precedence_over_one_of_a_patch_fault(fetch: Fetch) -> None:
    async def test() -> None:
        async with FakeJogg() as fake:
            fake.fail(Fault.patch(lambda envelope: envelope["nothing"]))
            await fetch(fake)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        await test()
    assert "nothing" in caught.value.__notes__[0]


async def test_url_of_a_fake_that_was_never_started_raises() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = FakeJogg().url


async def test_start_and_close_may_be_called_twice(fetch: Fetch) -> None:
    fake = FakeJogg()
    assert await fake.start() is fake
    url = fake.url
    await fake.start()
    assert fake.url == url
    assert (await fetch(fake)).status == 200
    await fake.close()
    await fake.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(fake)


async def test_restarted_fake_listens_on_the_same_port(fetch: Fetch) -> None:
    async with FakeJogg() as fake:
        await fetch(fake)
        await fake.close()
        await fake.start()
        assert (await fetch(fake)).status == 200
        assert len(fake.requests) == 2
        assert fake.connections == 2


async def test_start_on_a_port_in_use_raises() -> None:
    async with FakeJogg() as fake:
        with pytest.raises(OSError, match="in use"):
            await FakeJogg(port=int(fake.url.rsplit(":", 1)[1])).start()


async def test_fake_can_listen_on_ipv6(fetch: Fetch) -> None:
    try:
        async with FakeJogg(host="::1") as fake:
            assert fake.url.startswith("http://[::1]:")
            assert (await fetch(fake)).status == 200
    except OSError:
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize(
    "fault",
    [Fault.stall(), Fault.stall_body(), Fault.slow(3600), Fault.drip(3600)],
    ids=lambda value: getattr(value, "name", None),
)
async def test_close_does_not_wait_for_open_requests(fetch: Fetch, fault: Fault) -> None:
    async with FakeJogg() as fake:
        await asyncio.gather(fetch(fake), fetch(fake))  # two connections, kept alive
        fake.fail(fault)
        pending = asyncio.create_task(fetch(fake))
        await arrived(fake, 3)
        started = time.perf_counter()
        await fake.close()
        assert time.perf_counter() - started < 2.0
        assert (fake.in_flight, fake.open_connections) == (0, 0)
        with pytest.raises(aiohttp.ClientError):
            await pending
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


async def test_close_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with FakeJogg() as fake:
        fake.fail(Fault.raw(b" " * 30_000_000))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(fake.url.rsplit(":", 1)[1]), limit=1000)
        writer.write(b"GET /v2/musics HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        started = time.perf_counter()
        await fake.close()
        assert time.perf_counter() - started < 2.0
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_request_ends_when_its_client_disconnects(fetch: Fetch) -> None:
    async with FakeJogg(latency=3600) as fake:
        task = asyncio.create_task(fetch(fake))
        await arrived(fake, 1)
        task.cancel()
        await until(lambda: fake.in_flight == 0, 5)


def test_fake_with_a_million_tracks_starts_quickly() -> None:
    started = time.process_time()
    with FakeJogg(1_000_000) as fake:
        elapsed = time.process_time() - started
        assert len(fake.catalogue) == 1_000_000
    assert elapsed < 0.2


def test_with_statement_serves_from_a_separate_thread() -> None:
    threads = threading.active_count()
    names: list[str] = []
    with FakeJogg(3) as fake:
        fake.on_request = lambda _: names.append(threading.current_thread().name)
        request = urllib.request.Request(f"{fake.url}/v2/musics", headers={"x-api-key": fake.api_key})
        with urllib.request.urlopen(request) as response:
            assert response.status == 200
        assert names == ["FakeJogg"]
        assert fake.requests[0].code == 0
        with pytest.raises(RuntimeError, match="runs already"):
            fake.__enter__()
    assert threading.active_count() == threads
    with fake:
        assert threading.active_count() == threads + 1


async def test_fake_in_a_thread_can_be_closed_inside_the_with_block(fetch: Fetch) -> None:
    with FakeJogg() as fake:
        await fetch(fake)
        await fake.close()
        await fake.close()
        with pytest.raises(aiohttp.ClientConnectorError):
            await fetch(fake)


def test_start_error_in_the_thread_is_raised_by_the_with_statement() -> None:
    with FakeJogg() as fake, pytest.raises(OSError, match="in use"):
        FakeJogg(port=int(fake.url.rsplit(":", 1)[1])).__enter__()


def test_with_statement_raises_the_exception_of_on_request() -> None:
    def test(*, fail: bool) -> None:
        with FakeJogg() as fake:
            fake.on_request = lambda _: 1 / 0
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(fake.url)
            caught.value.close()
            if fail:
                raise KeyError("mine")

    with pytest.raises(ZeroDivisionError):
        test(fail=False)
    with pytest.raises(KeyError, match="mine") as caught:
        test(fail=True)
    assert "ZeroDivisionError" in caught.value.__notes__[0]


@pytest.mark.parametrize("name", jogg_async.testing.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(jogg_async.testing, name) is not None
    assert name in dir(jogg_async.testing)


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = jogg_async.testing.Nothing


PROBE = """
import sys
import pytest
before = set(sys.modules)
import jogg_async.testing.plugin
new = {name for name in set(sys.modules) - before if not name.startswith("jogg_async")}
print(sorted(name for name in new if name.partition(".")[0] not in sys.stdlib_module_names))
print(sorted(name for name in sys.modules if name.startswith("jogg_async.testing")))
"""


def test_plugin_imports_nothing_but_pytest() -> None:
    probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, env=os.environ)
    outside, inside = probe.stdout.splitlines()
    assert outside == "[]"
    assert inside == "['jogg_async.testing', 'jogg_async.testing.plugin']"
