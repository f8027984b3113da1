"""Code that blocks the event loop for longer than a timeout, like a notebook cell or a breakpoint."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
import pytest

from jogg_async import JoggSession, TransportError

from .raw import AT_ONCE, PAGE, Behaviour, Connection, RawServer

TIMEOUT: Final = 0.2
BLOCK: Final = 3 * TIMEOUT


def plain_loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def eager_loop() -> asyncio.AbstractEventLoop:
    factory: Any = getattr(asyncio, "eager_task_factory", None)
    if factory is None:
        pytest.skip("eager tasks came with Python 3.12")
    loop = asyncio.new_event_loop()
    loop.set_task_factory(factory)
    return loop


def uvloop_loop() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop").new_event_loop()  # type: ignore[no-any-return]


every_loop: Final = pytest.mark.parametrize("factory", [plain_loop, eager_loop, uvloop_loop])
Factory = Callable[[], asyncio.AbstractEventLoop]


async def with_server(
    behaviour: Behaviour, use: Callable[[RawServer], Awaitable[Any]], tls: ssl.SSLContext | None = None
) -> None:
    server = RawServer(behaviour, tls)
    await server.start()
    try:
        await use(server)
    finally:
        await server.close()


def responds_and_blocks(body: bytes = PAGE) -> Behaviour:
    """Send a whole response, then block the loop: when it runs again, the response is in the socket."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        connection.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        time.sleep(BLOCK)  # noqa: ASYNC251 (it is what the test is about)
        await connection.respond_normally()

    return behave


@every_loop
def test_response_in_the_socket_is_read_before_a_timeout_is_declared(factory: Factory) -> None:
    async def use(server: RawServer) -> None:
        async with JoggSession("key", base_url=server.url, timeout=TIMEOUT, retry=AT_ONCE) as jogg:
            pager = jogg.tracks()
            assert len(await pager.collect()) == 2
            assert pager.progress.requests == 1

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(with_server(responds_and_blocks(), use))


@every_loop
def test_large_response_in_the_socket_is_read_before_a_timeout_is_declared(factory: Factory) -> None:
    """The socket's buffer has more than a megabyte, which the loop reads in many iterations."""
    body = PAGE + b" " * 1_500_000

    async def use(server: RawServer) -> None:
        async with JoggSession("key", base_url=server.url, timeout=TIMEOUT, retry=AT_ONCE) as jogg:
            pager = jogg.tracks()
            assert len(await pager.collect()) == 2
            assert pager.progress.requests == 1

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(with_server(responds_and_blocks(body), use))


@every_loop
def test_response_in_the_socket_of_a_tls_connection_is_read_before_a_timeout_is_declared(
    factory: Factory, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def use(server: RawServer) -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_tls)) as http,
            JoggSession("key", base_url=server.url, timeout=TIMEOUT, retry=AT_ONCE, http=http) as jogg,
        ):
            assert len((await jogg.page()).tracks) == 2

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(with_server(responds_and_blocks(), use, server_tls))


@every_loop
def test_blocked_time_does_not_count_towards_the_timeout_of_an_attempt(factory: Factory) -> None:
    """The server responds only after `BLOCK` seconds, in which the client blocks the loop again and again."""

    async def slow(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(BLOCK)
        await connection.response()
        await connection.stay_silent()

    async def use(server: RawServer) -> None:
        async with JoggSession("key", base_url=server.url, timeout=TIMEOUT, retry=AT_ONCE) as jogg:
            page = asyncio.ensure_future(jogg.page())
            while not page.done():
                await asyncio.sleep(0.001)
                time.sleep(TIMEOUT)  # noqa: ASYNC251 (it is what the test is about)
            assert len((await page).tracks) == 2
            assert jogg._transport.blocked > BLOCK / 2
        assert server.accepted == 1

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(with_server(slow, use))


@every_loop
def test_silent_server_times_out_after_a_block(factory: Factory) -> None:
    async def use(server: RawServer) -> None:
        async with JoggSession("key", base_url=server.url, timeout=TIMEOUT / 4, retry=AT_ONCE) as jogg:
            page = asyncio.ensure_future(jogg.page())
            await asyncio.sleep(0.01)
            time.sleep(BLOCK)  # noqa: ASYNC251 (it is what the test is about)
            with pytest.raises(TransportError) as caught:
                await page
            assert caught.value.attempts == AT_ONCE.attempts

    async def silent(connection: Connection) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await connection.request()
            await connection.stay_silent()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(with_server(silent, use))
