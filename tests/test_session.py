"""Session: single pages, the count, closing, and the caller's own aiohttp session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from jogg_async import (
    ConfigurationError,
    DecodeError,
    JoggSession,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SessionClosedError,
    Track,
    TransportError,
)
from jogg_async.testing import FakeJogg, Fault

from .model import HeldResponses, ids, ids_from, iterate_loop, no_loop_errors, until, with_pagination
from .simulation import Simulation, simulate

if TYPE_CHECKING:
    from .conftest import MakeFake, MakeSession


async def test_page_returns_the_requested_page(fake: FakeJogg, jogg: JoggSession) -> None:
    page = await jogg.page()
    assert ids(page.tracks) == list(range(1, 11))
    assert page.pagination.total_pages == 25
    page = await jogg.page(3, page_size=100)
    assert (len(page.tracks), page.pagination.page) == (50, 3)
    assert (await jogg.page(9, page_size=100)).tracks == ()
    assert [(seen.page, seen.page_size) for seen in fake.requests] == [(1, 10), (3, 100), (9, 100)]


async def test_page_applies_filters_and_params(fake: FakeJogg, jogg: JoggSession) -> None:
    page = await jogg.page(genre="Jazz", mood="Dark", params={"sort": "name"})
    assert ids(page.tracks) == [row["id"] for row in fake.catalogue.filtered(genre="Jazz", mood="Dark")[:10]]
    assert fake.requests[0].query["sort"] == "name"


async def test_page_raises_or_skips_an_invalid_record(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.wrong_types("id", True), times=None)
    with pytest.raises(DecodeError) as caught:
        await jogg.page(2)
    assert (caught.value.page, caught.value.path, caught.value.attempts) == (2, "$.data.music[0].id", 1)
    assert ids((await jogg.page(2, on_invalid="skip")).tracks) == list(range(12, 21))


async def test_error_of_page_has_its_page_attempts_and_rid(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.business(10104))
    with pytest.raises(NotFoundError) as caught:
        await jogg.page(4)
    assert (caught.value.page, caught.value.attempts, caught.value.code) == (4, 1, 10104)
    assert len(caught.value.rid or "") == 32


async def test_count_sends_one_request_for_one_track(fake: FakeJogg, jogg: JoggSession) -> None:
    assert await jogg.count() == 250
    assert await jogg.count(mood="Calm") == len(fake.catalogue.filtered(mood="Calm"))
    assert await jogg.count(genre="no such") == 0
    assert [(seen.page, seen.page_size) for seen in fake.requests] == [(1, 1)] * 3


async def test_count_without_a_total_raises(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_pagination(total_items=None))
    with pytest.raises(DecodeError) as caught:
        await jogg.count()
    assert (caught.value.page, caught.value.attempts, len(caught.value.rid or "")) == (1, 1, 32)
    assert caught.value.request_line == f"GET {fake.url}/v2/musics?page_size=1&page=1"


async def test_error_of_count_without_a_total_counts_every_attempt(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(Fault.business(50000))
    fake.fail(with_pagination(total_items=None))
    with pytest.raises(DecodeError, match="after 2 attempts") as caught:
        await jogg.count()
    assert caught.value.attempts == len(fake.requests) == 2


async def test_count_rejects_a_total_below_zero(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_pagination(total_items=-7))
    with pytest.raises(DecodeError, match="the response's total is -7") as caught:
        await jogg.count()
    assert caught.value.path == "$.data.pagination.total_items"


async def test_invalid_arguments_of_page_raise_before_any_request(fake: FakeJogg, jogg: JoggSession) -> None:
    bad: list[dict[str, Any]] = [{"number": 0}, {"page_size": 0}, {"page_size": 101}, {"params": {"page": 1}}]
    for arguments in bad:
        with pytest.raises(ValueError, match="must"):
            await jogg.page(**arguments)
    with pytest.raises(ValueError, match="on_invalid"):
        await jogg.page(on_invalid="maybe")  # type: ignore[arg-type]
    assert fake.requests == []


BEYOND_64_BITS = [2**63, 2**64, 10**400, 10**5000]


@pytest.mark.parametrize("value", BEYOND_64_BITS, ids=lambda value: f"{value.bit_length()} bits")
async def test_number_beyond_64_bits_is_rejected_before_any_request(
    fake: FakeJogg, jogg: JoggSession, value: int
) -> None:
    with pytest.raises(ValueError, match="number must be a whole number from 1 to 9223372036854775807"):
        await jogg.page(value)
    for name in ("start_page", "end_page", "limit", "concurrency"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from"):
            jogg.tracks(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number from 1 to"):
        JoggSession(fake.api_key, concurrency=value)
    assert fake.requests == []


async def test_largest_number_of_64_bits_is_sent(fake: FakeJogg, jogg: JoggSession) -> None:
    largest = 2**63 - 1
    assert (await jogg.page(largest)).tracks == ()
    assert len(await jogg.tracks(limit=largest, end_page=largest).collect()) == 250
    assert len(await jogg.tracks(start_page=largest, end_page=largest, on_drift="ignore").collect()) == 0
    assert fake.requests[-1].page == largest


ONCE = RetryPolicy(attempts=1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda jogg, retry: jogg.page(2, retry=retry),
        lambda jogg, retry: jogg.count(retry=retry),
        lambda jogg, retry: jogg.tracks(retry=retry).collect(),
        lambda jogg, retry: anext(jogg.tracks(retry=retry, ordered=False)),
    ],
    ids=["page", "count", "collect", "unordered"],
)
async def test_retry_of_one_call_replaces_that_of_the_session(
    fake: FakeJogg, jogg: JoggSession, ask: Callable[[JoggSession, RetryPolicy | None], Awaitable[object]]
) -> None:
    fake.fail(Fault.business(50000), times=None)
    for retry, attempts in ((None, 3), (ONCE, 1), (RetryPolicy(attempts=5, wait_initial=0, wait_jitter=0), 5)):
        fake.requests.clear()
        with pytest.raises(ServerError) as caught:
            await ask(jogg, retry)
        assert caught.value.attempts == len(fake.requests) == attempts


@pytest.mark.parametrize("retry", [3, 0, "8", False, {"attempts": 3}, RetryPolicy], ids=repr)
async def test_retry_that_is_no_policy_is_rejected_before_any_request(
    fake: FakeJogg, jogg: JoggSession, retry: Any
) -> None:
    for ask in (jogg.page, jogg.count):
        with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy, not"):
            await ask(retry=retry)
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy, not"):
        jogg.tracks(retry=retry)
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy, not"):
        JoggSession(fake.api_key, retry=retry)
    assert fake.requests == []


def test_paused_is_the_remaining_seconds_of_a_pause() -> None:
    async def scenario(simulation: Simulation) -> None:
        jogg = simulation.jogg
        assert jogg.paused == 0.0
        await jogg.page()
        assert jogg.paused == 0.0
        simulation.fake.fail(Fault.business(429, retry_after=60))
        with pytest.raises(RateLimitError):
            await jogg.page(retry=ONCE)
        assert jogg.paused == pytest.approx(60)
        await asyncio.sleep(45)
        assert jogg.paused == pytest.approx(15)
        await asyncio.sleep(20)
        assert jogg.paused == 0.0
        simulation.fake.fail(Fault.business(429, retry_after=60))
        with pytest.raises(RateLimitError):
            await jogg.page(retry=ONCE)
        await jogg.aclose()
        assert jogg.paused == 0.0

    simulate(scenario)


def test_paused_is_0_before_any_loop_runs() -> None:
    assert JoggSession("key").paused == 0.0


async def test_session_belongs_to_the_event_loop_of_its_first_request(fake: FakeJogg, jogg: JoggSession) -> None:
    await jogg.count()
    for ask in (jogg.page, jogg.count, jogg.tracks().collect):
        with pytest.raises(ConfigurationError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, ask())
    assert len(fake.requests) == 1
    assert await jogg.count() == 250


async def test_cancelled_request_raises_cancelled_error_even_if_its_session_closes(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(latency=3600)
    session = make_session(fake)
    request = asyncio.ensure_future(session.page())
    await until(lambda: fake.in_flight == 1)
    request.cancel()
    await session.aclose()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_request_cancelled_by_other_code_does_not_raise_session_closed_error(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(latency=3600)
    request = asyncio.ensure_future(make_session(fake).page())
    await until(lambda: fake.in_flight == 1)
    (fetching,) = [task for task in asyncio.all_tasks() if "PageFetcher.page" in str(task.get_coro())]
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


def test_pager_reads_no_further_ahead_than_the_concurrency_of_the_session() -> None:
    async def scenario(simulation: Simulation) -> None:
        pager = simulation.jogg.tracks(page_size=1, concurrency=9)
        await anext(pager)
        await asyncio.sleep(10)
        assert len(simulation.sent) == 1 + 16 * 1 + 16
        await pager.aclose()

    simulate(scenario, concurrency=1)


class SlowToRelease:
    """Limiter that takes a second to leave."""

    inside = 0

    async def __aenter__(self) -> None:
        self.inside += 1

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(1)
        self.inside -= 1


@pytest.mark.parametrize(
    "ask", [lambda jogg: jogg.page(), lambda jogg: jogg.tracks().collect()], ids=["page", "collect"]
)
def test_close_waits_until_its_requests_have_left_the_limiter(ask: Callable[[JoggSession], Awaitable[object]]) -> None:
    limiter = SlowToRelease()

    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.stall())
        request = asyncio.ensure_future(ask(simulation.jogg))
        await asyncio.sleep(5)
        assert limiter.inside == 1
        await simulation.jogg.aclose()
        assert limiter.inside == 0
        with pytest.raises(SessionClosedError):
            await request

    simulate(scenario, limiter=limiter)


def test_close_leaves_no_timer_behind() -> None:
    async def scenario(simulation: Simulation) -> None:
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        call_at = loop.call_at

        def recorded(when: float, callback: Callable[..., object], *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            timer = call_at(when, callback, *args, **kwargs)
            if callback.__module__.startswith("jogg_async._"):
                timers.append(timer)
            return timer

        def pending() -> list[asyncio.TimerHandle]:
            return [timer for timer in timers if timer.when() > loop.time() + 0.01 and not timer.cancelled()]

        loop.call_at = recorded  # type: ignore[method-assign, assignment]
        simulation.fake.fail(Fault.business(429, retry_after=60), page=1)
        simulation.fake.fail(Fault.stall(), page=2)
        requests = [asyncio.ensure_future(simulation.jogg.page(number)) for number in (1, 2)]
        await asyncio.sleep(1)
        requests.append(asyncio.ensure_future(simulation.jogg.page(3)))
        await asyncio.sleep(1)
        assert pending()
        await simulation.jogg.aclose()
        await asyncio.gather(*requests, return_exceptions=True)
        assert pending() == []

    simulate(scenario)


async def test_closing_the_session_ends_waiting_steps_with_session_closed_error(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(250)
    HeldResponses(fake, 2)
    session = make_session(fake)
    pagers = [session.tracks(), session.tracks(ordered=False)]
    crawls = [asyncio.ensure_future(pager.collect()) for pager in pagers]
    await until(lambda: all(pager.progress.tracks == tracks for pager, tracks in zip(pagers, (100, 150), strict=True)))
    steps = [asyncio.ensure_future(anext(pagers[0])) for _ in range(3)]
    await iterate_loop()
    with no_loop_errors():
        await session.aclose()
        for crawl, tracks in zip(crawls, (100, 150), strict=True):
            with pytest.raises(SessionClosedError) as caught:
                await crawl
            assert len(caught.value.tracks or ()) == tracks
        ends = await asyncio.gather(*steps, return_exceptions=True)
        assert [type(end) for end in ends] == [SessionClosedError] * 3
    for pager in pagers:
        with pytest.raises(SessionClosedError):
            await anext(pager)
    await until(lambda: fake.in_flight == 0)


async def test_pager_cut_short_by_the_close_of_its_session_raises_at_every_step(
    fake: FakeJogg, jogg: JoggSession
) -> None:
    fresh, started, ended = jogg.tracks(), jogg.tracks(), jogg.tracks()
    await anext(started)
    await ended.collect()
    await jogg.aclose()
    for pager in (fresh, started):
        for _ in range(2):
            with pytest.raises(SessionClosedError):
                await anext(pager)
            with pytest.raises(SessionClosedError):
                await anext(pager.pages())
            with pytest.raises(SessionClosedError):
                await pager.collect()
    with pytest.raises(StopAsyncIteration):
        await anext(ended)


@pytest.mark.parametrize("ask", [JoggSession.page, JoggSession.count])
@pytest.mark.parametrize("queued", [False, True])
async def test_closing_the_session_ends_its_requests_with_session_closed_error(
    make_fake: MakeFake, make_session: MakeSession, ask: Callable[[JoggSession], Awaitable[object]], queued: bool
) -> None:
    fake = await make_fake(latency=3600)
    session = make_session(fake, concurrency=1)
    requests: list[asyncio.Future[object]] = []
    for _ in range(1 + queued):
        requests.append(asyncio.ensure_future(ask(session)))
        await until(lambda: fake.in_flight == 1)
    await iterate_loop()
    await session.aclose()
    for request in requests:
        with pytest.raises(SessionClosedError):
            await request
    assert len(fake.requests) == 1


async def test_timeout_around_page_closes_its_request(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(latency=3600)
    session = make_session(fake)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.page(), 0.05)
    await until(lambda: fake.in_flight == 0)
    assert {task for task in asyncio.all_tasks() - before if "RequestHandler" not in repr(task)} == set()


async def test_session_can_be_closed_twice(fake: FakeJogg) -> None:
    async with JoggSession(fake.api_key, base_url=fake.url) as session:
        await anext(session.tracks(page_size=1))
        await asyncio.gather(session.aclose(), session.aclose())
        await session.aclose()
        assert session.closed
    await session.aclose()
    await until(lambda: fake.open_connections == 0)


@pytest.mark.parametrize("patience", [1, 2, 3])
async def test_cancelled_close_of_a_session_leaves_nothing_open(make_fake: MakeFake, patience: int) -> None:
    fake = await make_fake(latency=3600)
    session = JoggSession(fake.api_key, base_url=fake.url)
    with no_loop_errors():
        step = asyncio.ensure_future(anext(session.tracks()))
        await until(lambda: fake.in_flight == 1 and fake.open_connections > 1)  # some of them opened ahead
        closing = asyncio.ensure_future(session.aclose())
        await iterate_loop(patience)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(SessionClosedError):
            await step
        await until(lambda: fake.open_connections == 0)


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_cancelled_close_of_a_session_ends_a_pager_in_a_rate_limit_pause(patience: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        loop = asyncio.get_running_loop()
        simulation.fake.fail(Fault.business(429, retry_after=60))
        step = asyncio.ensure_future(anext(simulation.jogg.tracks()))
        await asyncio.sleep(10)
        closing = asyncio.ensure_future(simulation.jogg.aclose())
        await iterate_loop(patience)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        began = loop.time()
        with pytest.raises(SessionClosedError):
            await step
        assert loop.time() - began < 1

    simulate(scenario)


async def test_calls_on_a_closed_session_raise_session_closed_error(fake: FakeJogg) -> None:
    session = JoggSession(fake.api_key, base_url=fake.url)
    assert await session.count() == 250
    assert not session.closed
    await session.aclose()
    with pytest.raises(SessionClosedError):
        session.tracks()
    with pytest.raises(SessionClosedError):
        await session.page()
    with pytest.raises(SessionClosedError):
        await session.count()
    with pytest.raises(SessionClosedError):
        async with session:
            pass
    await JoggSession("never-used").aclose()


async def test_timeout_applies_to_one_attempt_without_its_wait_for_a_slot(
    make_fake: MakeFake, make_session: MakeSession
) -> None:
    fake = await make_fake(latency=0.03)
    session = make_session(fake, concurrency=1, timeout=0.2)
    await asyncio.gather(*(session.page(number) for number in range(1, 11)))  # 0.3 s in all, most of it waiting
    fake.fail(Fault.stall(), times=None)
    once = make_session(fake, timeout=0.05, retry=RetryPolicy(attempts=1))
    with pytest.raises(TransportError, match=r"0\.05") as caught:
        await once.page(7)
    assert (caught.value.page, caught.value.attempts) == (7, 1)
    fake.clear()
    fake.fail(Fault.drip(0.4))
    with pytest.raises(TransportError):
        await once.page()


def with_cookie(value: str) -> Fault:
    return Fault("cookie", alter=lambda response: response.with_headers({"Set-Cookie": value}))


async def test_crawl_keeps_no_cookies(fake: FakeJogg, jogg: JoggSession) -> None:
    fake.fail(with_cookie("crumb=1"), times=None)
    await jogg.tracks().collect()
    await jogg.page()
    assert not any("Cookie" in seen.headers for seen in fake.requests)


async def test_callers_aiohttp_session_is_left_unchanged_and_open(fake: FakeJogg) -> None:
    traced: list[str] = []

    async def on_start(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        traced.append(str(params.url.query.get("page")))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(on_start)
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"own": "1"})
    fake.fail(with_cookie("crumb=1"), times=None)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"X-Team": "music"}, trace_configs=[trace]) as http:
        headers = dict(http.headers)
        async with JoggSession(fake.api_key, base_url=fake.url, http=http) as jogg:
            assert len(await ids_from(jogg.tracks())) == 250
        assert not http.closed
        assert dict(http.headers) == headers
        assert [(cookie.key, cookie.value) for cookie in jar] == [("own", "1")]
        async with http.get(f"{fake.url}/music/1.wav") as response:
            assert response.status == 200
        assert "x-api-key" not in fake.requests[-1].headers
    assert sorted(traced[:3]) == ["1", "2", "3"]
    assert all(seen.headers["X-Team"] == "music" and "Cookie" not in seen.headers for seen in fake.requests[:3])


async def test_timeout_and_raise_for_status_of_the_callers_session_do_not_apply(make_fake: MakeFake) -> None:
    fake = await make_fake(250, latency=0.05)
    settings: dict[str, Any] = {
        "raise_for_status": True,
        "timeout": aiohttp.ClientTimeout(total=0.01),
        "auto_decompress": True,
    }
    fake.fail(Fault.gzip(), times=1)
    fake.fail(Fault.business(10104, http_status=404), times=1)
    async with (
        aiohttp.ClientSession(**settings) as http,
        JoggSession("fake-jogg-key", base_url=fake.url, http=http) as jogg,
    ):
        page = await jogg.page()
        assert isinstance(page.tracks[0], Track)
        with pytest.raises(NotFoundError):
            await jogg.page()


async def test_closed_aiohttp_session_of_the_caller_raises_session_closed_error(fake: FakeJogg) -> None:
    async with aiohttp.ClientSession() as http:
        jogg = JoggSession(fake.api_key, base_url=fake.url, http=http)
    with pytest.raises(SessionClosedError):
        await jogg.page()
    await jogg.aclose()


async def test_notebook_shows_what_to_await_on_an_open_session() -> None:
    session = JoggSession("s3cret-key", base_url="http://localhost:1/a&b")
    shown = session._repr_html_()
    assert "&lt;JoggSession http://localhost:1/a&amp;b&gt;" in shown
    assert "await jogg.count()" in shown
    assert "s3cret" not in shown
    await session.aclose()
    assert "closed" in session._repr_html_()
    assert "await" not in session._repr_html_()
