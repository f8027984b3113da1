"""Requests that wait for a connection in the pool of a caller's own aiohttp session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
from aioresponses import aioresponses

from jogg_async import JoggSession, NotFoundError, RetryPolicy, SessionClosedError, TransportError
from jogg_async._http.connector import PoolWait, _pool_wait
from jogg_async._http.timeouts import TimeoutScope
from jogg_async.testing import FakeJogg, Fault
from tests.model import iterate_loop, until

from .conftest import Serve
from .raw import AT_ONCE, Connection

if TYPE_CHECKING:
    from tests.conftest import MakeFake


@asynccontextmanager
async def session_with_one_connection(fake: FakeJogg, **settings: Any) -> AsyncGenerator[JoggSession, None]:
    """Open a session over a caller's pool of one connection."""
    settings.setdefault("retry", AT_ONCE)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
        JoggSession(fake.api_key, base_url=fake.url, http=http, **settings) as jogg,
    ):
        yield jogg


@pytest.mark.parametrize(("limit", "limit_per_host"), [(1, 0), (100, 1)])
async def test_wait_in_the_pool_does_not_count_as_an_attempts_time(
    make_fake: MakeFake, limit: int, limit_per_host: int
) -> None:
    fake = await make_fake(100, latency=0.1)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit, limit_per_host=limit_per_host)) as http,
        JoggSession(fake.api_key, base_url=fake.url, http=http, retry=AT_ONCE, timeout=0.4, concurrency=8) as jogg,
    ):
        pager = jogg.tracks(page_size=10)
        assert len(await pager.collect()) == 100
    assert (pager.progress.requests, pager.progress.retries) == (10, 0)
    assert fake.max_in_flight == fake.connections == 1


async def test_attempt_has_its_whole_timeout_after_waiting_in_the_pool(make_fake: MakeFake) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.slow(0.3), page=1)
    fake.fail(Fault.stall(), page=2)
    async with session_with_one_connection(fake, timeout=0.4, retry=AT_ONCE) as jogg:
        first = asyncio.ensure_future(jogg.page(1))
        await until(lambda: fake.in_flight == 1)
        second = asyncio.ensure_future(jogg.page(2))
        await first
        left_at = asyncio.get_running_loop().time()
        await asyncio.wait([second], timeout=0.38)
        assert fake.pages == [1, 2]
        await second
        assert round(asyncio.get_running_loop().time() - left_at, 3) >= 0.4


async def test_requests_waiting_in_the_callers_pool_do_not_count_as_attempts(make_fake: MakeFake) -> None:
    fake = await make_fake(1000)
    fake.fail(Fault.stall(), page=2)
    async with session_with_one_connection(fake, concurrency=8) as jogg:
        pager = jogg.tracks(page_size=10)
        await anext(pager)
        await until(lambda: fake.in_flight == 1)
        await iterate_loop(20)
        assert pager.progress.requests == 2
        await pager.aclose()
        assert pager.progress.requests == 2


async def test_each_request_over_a_callers_pool_is_counted_once(make_fake: MakeFake) -> None:
    fake = await make_fake(100)
    fake.fail(Fault.html(502), page=3)
    fake.fail(Fault.drop(), page=4, times=2)  # aiohttp sends it again by itself, which counts for nothing
    async with session_with_one_connection(fake) as jogg:
        pager = jogg.tracks(page_size=10)
        assert len(await pager.collect()) == 100
    assert (pager.progress.requests, pager.progress.retries) == (12, 2)


async def test_refused_connection_over_a_callers_pool_counts_as_an_attempt(serve: Serve) -> None:
    server = await serve()
    await server.close()
    async with (
        aiohttp.ClientSession() as http,
        JoggSession("key", base_url=server.url, http=http, retry=AT_ONCE) as jogg,
    ):
        with pytest.raises(TransportError) as caught:
            await jogg.page()
    assert caught.value.attempts == AT_ONCE.attempts


async def test_error_of_a_mocked_caller_session_counts_its_attempt() -> None:
    with aioresponses() as mock:
        mock.get("https://api.jogg.ai/v2/musics?page_size=10&page=1", exception=aiohttp.ClientError(), repeat=True)
        async with aiohttp.ClientSession() as http, JoggSession("key", http=http, retry=AT_ONCE) as jogg:
            with pytest.raises(TransportError) as caught:
                await jogg.page()
    assert caught.value.attempts == AT_ONCE.attempts


async def test_closing_the_callers_session_ends_requests_that_wait_in_its_pool(make_fake: MakeFake) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.stall(), times=None)
    http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    async with JoggSession(fake.api_key, base_url=fake.url, http=http, retry=RetryPolicy(attempts=1)) as jogg:
        sent = asyncio.ensure_future(jogg.page(1))
        await until(lambda: fake.in_flight == 1)
        waiting = asyncio.ensure_future(jogg.page(2))
        cancelled = asyncio.ensure_future(jogg.page(3))
        await iterate_loop(20)
        cancelled.cancel()
        await http.close()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        for request, attempts in ((sent, 1), (waiting, 0)):
            with pytest.raises(SessionClosedError, match="given as http") as caught:
                await request
            assert caught.value.attempts == attempts


async def test_request_cancelled_in_the_pool_stays_cancelled(make_fake: MakeFake) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.stall(), page=1)
    async with session_with_one_connection(fake) as jogg:
        sent = asyncio.ensure_future(jogg.page(1))
        await until(lambda: fake.in_flight == 1)
        waiting = asyncio.ensure_future(jogg.page(2))
        await iterate_loop(20)
        for request in (waiting, sent):
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
        assert len((await jogg.page(1)).tracks) == 10


async def test_caller_and_library_share_the_pool(make_fake: MakeFake) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.stall(), page=3)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        async with JoggSession(fake.api_key, base_url=fake.url, http=http) as jogg:
            callers = asyncio.ensure_future(http.get(f"{fake.url}/v2/musics?page=3"))
            await until(lambda: fake.in_flight == 1)
            page = asyncio.ensure_future(jogg.page())
            await iterate_loop(20)
            assert not page.done()
            callers.cancel()
            assert len((await page).tracks) == 10
        async with http.get(f"{fake.url}/v2/musics") as response:
            assert response.status == 401
    assert fake.connections == 2  # the cancelled one, and another for both


async def test_callers_traces_see_the_wait_in_the_pool(make_fake: MakeFake) -> None:
    fake = await make_fake(10, latency=0.02)
    seen: list[str] = []
    trace = aiohttp.TraceConfig()

    def note(name: str) -> Callable[..., Awaitable[None]]:
        async def noted(*_: object) -> None:
            seen.append(name)

        return noted

    trace.on_connection_queued_start.append(note("queued"))
    trace.on_connection_queued_end.append(note("dequeued"))
    trace.on_connection_create_start.append(note("created"))
    trace.on_connection_reuseconn.append(note("reused"))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), trace_configs=[trace]) as http,
        JoggSession(fake.api_key, base_url=fake.url, http=http) as jogg,
    ):
        await asyncio.gather(jogg.page(), jogg.page())
    assert seen == ["created", "queued", "dequeued", "reused"]


async def test_error_response_over_a_callers_pool_counts_as_an_attempt(make_fake: MakeFake) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.business(10104))
    async with session_with_one_connection(fake) as jogg:
        with pytest.raises(NotFoundError) as caught:
            await jogg.page()
    assert caught.value.attempts == 1


async def test_wait_in_the_pool_before_aiohttp_sends_again_does_not_count(serve: Serve) -> None:
    """The first connection breaks; before aiohttp gets another, a request that waits in the pool takes it."""

    async def breaks_once(connection: Connection) -> None:
        await connection.request()
        if connection.number == 0:
            return
        await asyncio.sleep(0.25)
        await connection.response()
        await connection.respond_normally()

    server = await serve(breaks_once)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http,
        JoggSession("key", base_url=server.url, http=http, retry=AT_ONCE, timeout=0.4) as jogg,
    ):
        await asyncio.gather(*(jogg.page() for _ in range(4)))
    assert len(server.heads) == 5


class Clock:
    """Stand-in for a timeout scope that records the calls to it."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def pause(self) -> None:
        self.steps.append("pause")

    def restart(self) -> None:
        self.steps.append("restart")


def test_timeout_restarts_once_for_each_wait_in_the_pool() -> None:
    clock = Clock()
    with PoolWait(cast("TimeoutScope", clock), lambda: clock.steps.append("sent")) as wait:
        assert _pool_wait.get() is wait
        wait.queue()
        wait.end()
        wait.end()  # aiohttp sends it again, over a connection that is free
        wait.queue()
        wait.end()
    assert clock.steps == ["pause", "restart", "sent", "pause", "restart"]
    assert _pool_wait.get(None) is None
