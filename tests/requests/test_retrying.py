"""Retries over a real connection: which failures are retried, and after how long."""

from __future__ import annotations

import asyncio
import email.utils
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from jogg_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    JoggError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from jogg_async._requests.throttle import RequestQueue, Throttle
from jogg_async.testing import Fault, RecordedRequest
from tests.http.raw import PAGE
from tests.simulation import Simulation, simulate

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession


RETRIED: Final[dict[str, tuple[Fault, type[JoggError]]]] = {
    "408": (Fault.html(408), APIError),
    "429": (Fault.html(429), RateLimitError),
    "500": (Fault.html(500), ServerError),
    "502": (Fault.html(502), ServerError),
    "503": (Fault.html(503), ServerError),
    "599": (Fault.html(599), ServerError),
    "408, unknown code": (Fault.business(77, http_status=408), APIError),
    "408, code 0": (Fault.business(0, http_status=408), APIError),
    "429, code 0": (Fault.business(0, http_status=429), RateLimitError),
    "500, code 0": (Fault.business(0, http_status=500), ServerError),
    "500, unknown code": (Fault.business(77, http_status=500), ServerError),
    "code 429": (Fault.business(429), RateLimitError),
    "code 50000": (Fault.business(50000), ServerError),
    "code 50000 beside 404": (Fault.business(50000, http_status=404), ServerError),
    "code 429 beside 503": (Fault.business(429, http_status=503), RateLimitError),
    "code 50000 beside 429": (Fault.business(50000, http_status=429), ServerError),
    "a body cut short": (Fault.truncate(), TransportError),
    "chunks cut short": (Fault.truncate(chunked=True), TransportError),
}

FINAL: Final[dict[str, tuple[Fault, type[JoggError]]]] = {
    "401": (Fault.html(401), AuthenticationError),
    "403": (Fault.html(403), PermissionDeniedError),
    "404": (Fault.html(404), NotFoundError),
    "418": (Fault.html(418), APIError),
    "422": (Fault.html(422), ParameterError),
    "unknown code": (Fault.business(77), APIError),
    "negative code": (Fault.business(-1), APIError),
    "500, code 40000": (Fault.business(40000, http_status=500), ParameterError),
    "503, code 10105": (Fault.business(10105, http_status=503), AuthenticationError),
    "429, code 10104": (Fault.business(10104, http_status=429), NotFoundError),
    "408, code 40000": (Fault.business(40000, http_status=408), ParameterError),
    "JSON cut short in a whole body": (Fault.raw(PAGE[:-5]), DecodeError),
    "no JSON": (Fault.html(200), DecodeError),
}


@pytest.mark.parametrize(("fault", "kind"), RETRIED.values(), ids=RETRIED)
async def test_request_is_sent_again_after_a_retryable_failure(
    make_fake: MakeFake, make_session: MakeSession, fault: Fault, kind: type[JoggError]
) -> None:
    fake = await make_fake(5)
    jogg = make_session(fake, retry=RetryPolicy(attempts=3, wait_initial=0.001, wait_jitter=0.0))
    fake.fail(fault, times=2)
    assert len((await jogg.page()).tracks) == 5
    assert len(fake.requests) == 3
    fake.fail(fault, times=None)
    with pytest.raises(kind) as caught:
        await jogg.page()
    assert type(caught.value) is kind
    assert (caught.value.attempts, len(fake.requests)) == (3, 6)


@pytest.mark.parametrize(("fault", "kind"), FINAL.values(), ids=FINAL)
async def test_request_is_sent_once_if_its_failure_is_not_retryable(
    make_fake: MakeFake, make_session: MakeSession, fault: Fault, kind: type[JoggError]
) -> None:
    fake = await make_fake(5)
    fake.fail(fault, times=None)
    with pytest.raises(kind) as caught:
        await make_session(fake).page()
    assert type(caught.value) is kind
    assert (caught.value.attempts, len(fake.requests)) == (1, 1)


def gap(fault: Fault, **settings: Any) -> float:
    """Return the seconds between the first sending and the second."""

    async def scenario(simulation: Simulation) -> float:
        simulation.fake.fail(fault)
        await simulation.jogg.page()
        first, second = simulation.times
        return second - first

    return simulate(scenario, **settings)


def failing(fault: Fault, **settings: Any) -> tuple[JoggError, list[float]]:
    """Return the error of a page that always fails, and the times of its attempts."""

    async def scenario(simulation: Simulation) -> tuple[JoggError, list[float]]:
        simulation.fake.fail(fault, times=None)
        with pytest.raises(JoggError) as caught:
            await simulation.jogg.page()
        return caught.value, simulation.times

    return simulate(scenario, **settings)


@pytest.fixture
def most_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the random jitter as large as it can be."""
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


CODES: Final = [(429, 200), (429, 429), (50000, 200), (50000, 503), (0, 503), (0, 429), (50000, 500), (0, 502)]
JITTERED: Final = {(50000, 200), (50000, 500), (0, 502)}
"""Failures whose wait delays only their own request, with jitter. The others pause the whole session, without it."""


@pytest.mark.usefixtures("most_jitter")
@pytest.mark.parametrize(("code", "status"), CODES)
@pytest.mark.parametrize("ours", [0.01, 20.0])
def test_wait_named_by_the_service_replaces_the_backoff(code: int, status: int, ours: float) -> None:
    policy = RetryPolicy(attempts=2, wait_initial=ours, wait_jitter=0.5)
    jitter = 0.5 if (code, status) in JITTERED else 0.0
    for header in (True, False):
        fault = Fault.business(code, http_status=status, retry_after=7, header=header, body=not header)
        assert gap(fault, retry=policy) == pytest.approx(7 + jitter)


@pytest.mark.usefixtures("most_jitter")
@pytest.mark.parametrize(("code", "status"), CODES)
def test_jitter_is_added_to_the_backoff(code: int, status: int) -> None:
    policy = RetryPolicy(attempts=2, wait_initial=4.0, wait_jitter=0.5)
    assert gap(Fault.business(code, http_status=status), retry=policy) == pytest.approx(4.5)


@pytest.mark.usefixtures("most_jitter")
def test_jitter_is_that_of_the_policy_of_the_call() -> None:
    async def scenario(simulation: Simulation) -> list[float]:
        simulation.fake.fail(Fault.html(500))
        await simulation.jogg.page(retry=RetryPolicy(wait_initial=4.0, wait_jitter=0.25))
        return simulation.times

    assert simulate(scenario, retry=RetryPolicy(wait_jitter=7.0)) == pytest.approx([0, 4.25])


def waits_in_crawl(*failing_pages: int) -> list[float]:
    """Return the seconds between the two attempts of each of these pages of one crawl."""

    async def scenario(simulation: Simulation) -> list[float]:
        for page in failing_pages:
            simulation.fake.fail(Fault.html(500), page=page)
        await simulation.jogg.tracks(page_size=10).collect()
        attempts = {page: [at for sent, at in simulation.sent if sent == page] for page in failing_pages}
        return [second - first for first, second in attempts.values()]

    return simulate(scenario, concurrency=2, retry=RetryPolicy(wait_initial=4.0, wait_jitter=0.5))


@pytest.mark.usefixtures("most_jitter")
def test_isolated_failure_in_a_crawl_is_retried_without_jitter() -> None:
    assert waits_in_crawl(3) == pytest.approx([4.0])


@pytest.mark.usefixtures("most_jitter")
def test_failures_in_a_row_in_a_crawl_are_retried_with_jitter() -> None:
    assert waits_in_crawl(2, 3, 4) == pytest.approx([4.0, 4.0, 4.5])


@pytest.mark.usefixtures("most_jitter")
def test_first_request_of_a_crawl_is_retried_with_jitter() -> None:
    assert waits_in_crawl(1) == pytest.approx([4.5])


def test_jitter_is_a_random_number_up_to_wait_jitter() -> None:
    policy = RetryPolicy(wait_initial=4.0, wait_jitter=0.5)
    waits = {gap(Fault.html(500), retry=policy) for _ in range(5)}
    assert len(waits) > 1
    assert all(4.0 <= wait <= 4.5 for wait in waits)


@pytest.mark.parametrize(("header", "body", "data"), [("5", 20, 10), ("20", 5, 10), ("0", 10, 20)])
def test_longest_of_the_named_waits_is_used(header: str, body: int, data: int) -> None:
    text = f'{{"code": 429, "msg": "", "retryAfter": {body}, "data": {{"retryAfter": {data}}}}}'
    assert gap(Fault.raw(text.encode(), status=429, headers={"Retry-After": header})) == pytest.approx(20)


def test_http_date_is_compared_with_the_date_of_its_response() -> None:
    wrong_by_years = 10**9
    headers = {
        "Date": email.utils.formatdate(wrong_by_years, usegmt=True),
        "Retry-After": email.utils.formatdate(wrong_by_years + 3, usegmt=True),
    }
    assert gap(Fault.raw(b"", status=503, headers=headers)) == pytest.approx(3)


@pytest.mark.parametrize(
    "senseless", ["0", "-5", "soon", "1e999", "9" * 400, "nan", "", "Thu, 01 Jan 1970 00:00:00 GMT", "1; 2"]
)
@pytest.mark.parametrize("status", [429, 503])
def test_invalid_named_wait_is_ignored(senseless: str, status: int) -> None:
    fault = Fault.raw(b"", status=status, headers={"Retry-After": senseless})
    assert gap(fault, retry=RetryPolicy(wait_initial=0.3, wait_jitter=0.0)) == pytest.approx(0.3)


@pytest.mark.parametrize("code", [429, 50000])
@pytest.mark.parametrize("policy", [RetryPolicy(max_retry_after=49.0), RetryPolicy(timeout=49.0)])
def test_named_wait_beyond_max_retry_after_raises_at_once(code: int, policy: RetryPolicy) -> None:
    error, times = failing(Fault.business(code, retry_after=50), retry=policy)
    assert isinstance(error, RateLimitError | ServerError)
    assert (error.attempts, error.retry_after, times) == (1, 50, [0])


def test_backoff_doubles_with_each_attempt() -> None:
    error, times = failing(Fault.html(500), retry=RetryPolicy(wait_jitter=0.0))
    assert times == pytest.approx([0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7])
    assert error.attempts == 8


def test_backoff_that_would_end_after_timeout_raises_at_once() -> None:
    error, times = failing(Fault.html(500), retry=RetryPolicy(timeout=1.0, wait_initial=4.0))
    assert (type(error), error.attempts, times) == (ServerError, 1, [0])


def test_timeout_bounds_the_retries_of_a_policy_without_a_limit_of_attempts() -> None:
    policy = RetryPolicy(attempts=None, timeout=3.5, wait_initial=1.0, wait_max=1.0, wait_jitter=0.0)
    assert failing(Fault.html(500), retry=policy)[1] == pytest.approx([0, 1, 2, 3])


def test_timeout_counts_from_the_first_sending() -> None:
    policy = RetryPolicy(timeout=9.0, wait_initial=1.0, wait_max=1.0, wait_jitter=0.0)
    error, times = failing(Fault.slow(3) + Fault.html(500), retry=policy)
    assert times == pytest.approx([0, 4, 8])  # what is sent by then may end later
    assert error.attempts == 3


def test_time_in_the_queue_before_the_first_sending_does_not_count() -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.slow(10), page=1)
        simulation.fake.fail(Fault.html(500), page=2)
        await asyncio.gather(simulation.jogg.page(1), simulation.jogg.page(2))
        assert simulation.pages == [1, 2, 2]
        assert simulation.times == pytest.approx([0, 10, 11])

    policy = RetryPolicy(timeout=5.0, wait_initial=1.0, wait_jitter=0.0)
    simulate(scenario, retry=policy, concurrency=1)


@pytest.mark.parametrize("when", [0.5, 2.5], ids=["during an attempt", "during a wait"])
def test_time_for_which_the_loop_was_blocked_does_not_count(when: float) -> None:
    async def scenario(simulation: Simulation) -> list[float]:
        simulation.fake.fail(Fault.slow(2) + Fault.html(500))
        simulation.fake.fail(Fault.html(500), times=None)
        asyncio.get_running_loop().call_later(when, simulation.block, 60)
        with pytest.raises(ServerError):
            await simulation.jogg.page()
        return simulation.times

    policy = RetryPolicy(timeout=5.5, wait_initial=1.0, wait_max=1.0, wait_jitter=0.0)
    first, second, *others = simulate(scenario, retry=policy)
    assert first == 0
    assert second >= 60
    assert others[0] == pytest.approx(second + 1)


@pytest.mark.parametrize(("timeout", "sent"), [(59.0, 2), (None, 3)])
def test_pause_that_would_end_after_timeout_raises_at_once(timeout: float | None, sent: int) -> None:
    async def scenario(simulation: Simulation) -> list[float]:
        simulation.fake.fail(Fault.business(429, retry_after=60), page=1)
        simulation.fake.fail(Fault.slow(0.5) + Fault.html(500), page=2)
        refused = simulation.jogg.page(1, retry=RetryPolicy(attempts=1))
        failed = simulation.jogg.page(2, retry=RetryPolicy(timeout=timeout))
        await asyncio.gather(refused, failed, return_exceptions=True)
        return simulation.times

    assert simulate(scenario) == pytest.approx([0, 0, 60][:sent])


NAMED: Final = {
    "429": (Fault.business(429, retry_after=60), True),
    "HTTP 429": (Fault.raw(b"", status=429, headers={"Retry-After": "60"}), True),
    "HTTP 503": (Fault.raw(b"", status=503, headers={"Retry-After": "60"}), True),
    "HTTP 503, unknown code": (Fault.business(77, http_status=503, retry_after=60), True),
    "50000": (Fault.business(50000, retry_after=60), False),
    "HTTP 500": (Fault.raw(b"", status=500, headers={"Retry-After": "60"}), False),
}


@pytest.mark.parametrize(("fault", "pauses"), NAMED.values(), ids=NAMED)
def test_rate_limit_pauses_the_whole_session(fault: Fault, pauses: bool) -> None:
    async def scenario(simulation: Simulation) -> list[float]:
        simulation.fake.fail(fault, page=1)
        refused = asyncio.ensure_future(simulation.jogg.page(1))
        await asyncio.sleep(1)
        assert simulation.jogg.paused == (pytest.approx(59) if pauses else 0)
        await simulation.jogg.page(2)
        await refused
        return simulation.times

    first, second, third = simulate(scenario, retry=RetryPolicy(wait_jitter=0.0))
    assert first == 0
    assert second == pytest.approx(60 if pauses else 1)
    assert third >= 60


@pytest.mark.parametrize(("longest", "paused"), [(50.0, 50.0), (49.9, 0.0)])
def test_named_wait_pauses_the_session_up_to_max_retry_after(longest: float, paused: float) -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.business(429, retry_after=50))
        with pytest.raises(RateLimitError):
            await simulation.jogg.page(retry=RetryPolicy(attempts=1))
        assert simulation.jogg.paused == pytest.approx(paused)

    simulate(scenario, retry=RetryPolicy(max_retry_after=longest))


def test_503_without_a_named_wait_does_not_pause_the_session() -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.html(503), page=1)
        failed = asyncio.ensure_future(simulation.jogg.page(1))
        await asyncio.sleep(1)
        assert simulation.jogg.paused == 0
        await failed

    simulate(scenario, retry=RetryPolicy(wait_initial=5.0))


@pytest.mark.parametrize("status", [429, 503])
def test_limiter_of_nginx_is_obeyed(status: int) -> None:
    """nginx's ``limit_req`` refuses what exceeds the rate, by default with 503."""

    async def scenario(simulation: Simulation) -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        taken = [-10.0]

        async def limit(_: RecordedRequest) -> None:
            if loop.time() - taken[-1] < 0.1:
                simulation.fake.fail(Fault.raw(b"", status=status, headers={"Retry-After": "1"}))
            else:
                taken.append(loop.time())

        simulation.fake.on_request = limit
        tracks = await simulation.jogg.tracks(page_size=1).collect()
        return len(tracks), len(simulation.fake.requests) - len(tracks)

    tracks, refused = simulate(scenario)
    assert tracks == 60
    assert refused <= 30


@pytest.mark.parametrize("call", [RetryPolicy(attempts=1, max_retry_after=1.0), RetryPolicy(attempts=1, timeout=1.0)])
def test_pause_of_the_session_follows_the_policy_of_the_session(call: RetryPolicy) -> None:
    async def scenario(simulation: Simulation) -> float:
        simulation.fake.fail(Fault.business(429, retry_after=60))
        with pytest.raises(RateLimitError):
            await simulation.jogg.page(1, retry=call)
        return simulation.jogg.paused

    assert simulate(scenario) == pytest.approx(60)
    assert simulate(scenario, retry=RetryPolicy(max_retry_after=59.0)) == 0


def test_pause_without_a_named_wait_is_the_backoff() -> None:
    async def scenario(simulation: Simulation) -> float:
        simulation.fake.fail(Fault.business(429), times=2)
        with pytest.raises(RateLimitError):
            await simulation.jogg.page(1, retry=RetryPolicy(attempts=2))
        return simulation.jogg.paused

    assert simulate(scenario, retry=RetryPolicy(wait_initial=4.0)) == pytest.approx(8)


def test_every_response_but_a_rate_limit_counts_as_a_success_for_the_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("on_success", "on_rate_limited"):
        monkeypatch.setattr(Throttle, name, lambda *_, name=name: calls.append(name))

    async def scenario(simulation: Simulation) -> None:
        faults = [Fault.business(429), Fault.html(500), Fault.business(10104), Fault.truncate(), Fault.html(200)]
        for fault in faults:
            simulation.fake.fail(fault)
            with pytest.raises(JoggError):
                await simulation.jogg.page()
        await simulation.jogg.page()

    simulate(scenario, retry=RetryPolicy(attempts=1))
    assert calls == ["on_rate_limited", "on_success", "on_success", "on_success"]


class Suppressing:
    """A limiter that suppresses every exception."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> bool:
        return True


async def test_failure_that_the_limiter_suppresses_is_raised(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    jogg = make_session(fake, limiter=Suppressing())
    fake.fail(Fault.business(50000))
    assert len((await jogg.page()).tracks) == 5
    fake.fail(Fault.business(50000), times=None)
    with pytest.raises(ServerError) as caught:
        await jogg.page()
    assert caught.value.attempts == 3
    fake.clear()
    fake.fail(Fault.stall(), times=None)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(jogg.page(), 0.05)


@pytest.mark.parametrize("stalled", [True, False], ids=["while it is sent", "while it waits to be sent again"])
def test_error_of_a_request_cancelled_by_other_code_has_its_page_and_attempts(stalled: bool) -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.html(500), page=2)
        if stalled:
            simulation.fake.fail(Fault.stall(), page=2)
        pager = simulation.jogg.tracks(page_size=10, concurrency=1, limit=20)
        await anext(pager)
        step = asyncio.ensure_future(pager.collect())
        await asyncio.sleep(1)
        (fetching,) = [task for task in asyncio.all_tasks() if "PageFetcher.page" in str(task.get_coro())]
        fetching.cancel()
        with pytest.raises(JoggError, match=r"page=2 failed.*: the request was cancelled") as caught:
            await step
        assert (caught.value.page, caught.value.attempts) == (2, 2 if stalled else 1)
        assert len(caught.value.tracks or ()) == 9
        simulation.fake.clear()
        assert len(await pager.collect()) == 10

    simulate(scenario, retry=RetryPolicy(wait_initial=0.5 if stalled else 5.0, wait_jitter=0.0), timeout=50)


WITHOUT_DESCRIPTORS: Final = """
import asyncio, os, resource, socket, sys
from jogg_async import JoggSession, RetryPolicy, TransportError

async def main():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        policy = RetryPolicy(attempts=3, wait_initial=0, wait_jitter=0)
        async with JoggSession("key", base_url=url, retry=policy) as jogg:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            held = []
            try:
                while True:
                    held.append(os.dup(0))
            except OSError:
                pass
            try:
                await jogg.page()
            except TransportError as error:
                print(error.attempts, type(error.__cause__.os_error).__name__)
            finally:
                for descriptor in held:
                    os.close(descriptor)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no RLIMIT_NOFILE")
def test_request_is_retried_without_free_descriptors() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_DESCRIPTORS], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("3 OSError\n", "")


def test_progress_counts_an_attempt_when_it_is_sent() -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.html(500), times=2)
        pager = simulation.jogg.tracks()
        counts: list[tuple[int, int]] = []
        step = asyncio.ensure_future(anext(pager))
        for _ in range(4):
            await asyncio.sleep(1)
            counts.append((pager.progress.requests, pager.progress.retries))
        await step
        assert counts == [(1, 0), (2, 1), (2, 1), (3, 2)]

    simulate(scenario, retry=RetryPolicy(wait_initial=1.2, wait_jitter=0.0))


@pytest.mark.parametrize("ends", ["success", "failure", "cancellation"])
def test_queue_counts_a_request_as_in_backoff_only_while_it_waits(ends: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[int] = []
    monkeypatch.setattr(RequestQueue, "enter_backoff", lambda _: changes.append(1))
    monkeypatch.setattr(RequestQueue, "leave_backoff", lambda _: changes.append(-1))

    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.html(500), times=2 if ends == "failure" else 1)
        request = asyncio.ensure_future(simulation.jogg.page())
        await asyncio.sleep(1)
        assert changes == [1]
        if ends == "cancellation":
            request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert changes == [1, -1]

    simulate(scenario, retry=RetryPolicy(attempts=2, wait_initial=2.0))


async def test_request_with_one_allowed_attempt_is_not_retried(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.html(500), times=None)
    with pytest.raises(ServerError):
        await make_session(fake, retry=RetryPolicy(attempts=1)).page()
    assert len(fake.requests) == 1
