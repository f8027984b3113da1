"""What is sent again, and after how long, over a real connection."""

from __future__ import annotations

import email.utils
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from jogg_async import (
    APIError,
    AuthenticationError,
    DecodeError,
    JoggError,
    JoggSession,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from jogg_async.testing import FakeJogg, Fault

from .raw import AT_ONCE, PAGE

MakeFake = Callable[..., Awaitable[FakeJogg]]
MakeSession = Callable[..., JoggSession]
SLACK: Final = 1.0  # seconds that a busy machine may add

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
async def test_sent_again(make_fake: MakeFake, make_session: MakeSession, fault: Fault, kind: type[JoggError]) -> None:
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
async def test_not_sent_again(
    make_fake: MakeFake, make_session: MakeSession, fault: Fault, kind: type[JoggError]
) -> None:
    fake = await make_fake(5)
    fake.fail(fault, times=None)
    with pytest.raises(kind) as caught:
        await make_session(fake).page()
    assert type(caught.value) is kind
    assert (caught.value.attempts, len(fake.requests)) == (1, 1)


async def gap(fake: FakeJogg, jogg: JoggSession) -> float:
    """Seconds between the first sending and the second."""
    await jogg.page()
    first, second = fake.requests
    return second.at - first.at


CODES: Final = [(429, 200), (429, 429), (50000, 200), (50000, 503), (0, 503), (0, 429), (50000, 500)]


@pytest.mark.parametrize(("code", "status"), CODES)
async def test_a_wait_that_the_server_names_is_kept(
    make_fake: MakeFake, make_session: MakeSession, code: int, status: int
) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.business(code, http_status=status, retry_after=0.2, body=False))
    waited = await gap(fake, make_session(fake))
    assert 0.2 <= waited < 0.2 + SLACK


@pytest.mark.parametrize(("code", "status"), CODES)
async def test_also_where_ours_is_longer(
    make_fake: MakeFake, make_session: MakeSession, code: int, status: int
) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.business(code, http_status=status, retry_after=0.1, header=False))
    ours = RetryPolicy(attempts=2, wait_initial=20.0, wait_jitter=0.1)
    waited = await gap(fake, make_session(fake, retry=ours))
    assert 0.1 <= waited < 0.2 + SLACK


@pytest.mark.parametrize(("header", "body", "data"), [("0.05", 0.2, 0.1), ("0.2", 0.05, 0.1), ("0", 0.1, 0.2)])
async def test_the_longest_wait_counts(
    make_fake: MakeFake, make_session: MakeSession, header: str, body: float, data: float
) -> None:
    fake = await make_fake(5)
    text = f'{{"code": 429, "msg": "", "retryAfter": {body}, "data": {{"retryAfter": {data}}}}}'
    fake.fail(Fault.raw(text.encode(), status=429, headers={"Retry-After": header}))
    waited = await gap(fake, make_session(fake))
    assert 0.2 <= waited < 0.2 + SLACK


async def test_a_date_is_held_against_the_servers_own_clock(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    wrong_by_years = 10**9
    headers = {
        "Date": email.utils.formatdate(wrong_by_years, usegmt=True),
        "Retry-After": email.utils.formatdate(wrong_by_years + 1, usegmt=True),
    }
    fake.fail(Fault.raw(b"", status=503, headers=headers))
    assert 1.0 <= await gap(fake, make_session(fake)) < 1.0 + SLACK


@pytest.mark.parametrize(
    "senseless", ["0", "-5", "soon", "1e999", "9" * 400, "nan", "", "Thu, 01 Jan 1970 00:00:00 GMT", "1; 2"]
)
async def test_a_senseless_wait_counts_as_none(make_fake: MakeFake, make_session: MakeSession, senseless: str) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.raw(b"", status=503, headers={"Retry-After": senseless}))
    ours = RetryPolicy(attempts=2, wait_initial=0.1, wait_jitter=0.0)
    assert 0.1 <= await gap(fake, make_session(fake, retry=ours)) < 0.1 + SLACK


@pytest.mark.parametrize(("code", "kind"), [(429, RateLimitError), (50000, ServerError)])
async def test_a_wait_that_is_too_long_raises_at_once(
    make_fake: MakeFake, make_session: MakeSession, code: int, kind: type[APIError]
) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.business(code, retry_after=50), times=None)
    for policy in (RetryPolicy(max_retry_after=49.0), RetryPolicy(timeout=49.0)):
        began = time.monotonic()
        with pytest.raises(kind) as caught:
            await make_session(fake, retry=policy).page()
        assert time.monotonic() - began < SLACK
        error = caught.value
        assert isinstance(error, RateLimitError | ServerError)
        assert (error.attempts, error.retry_after) == (1, 50)


async def test_chance_only_adds_to_our_wait(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.html(500), times=3)
    jogg = make_session(fake, retry=RetryPolicy(attempts=4, wait_initial=0.05, wait_jitter=0.05))
    await jogg.page()
    times = [seen.at for seen in fake.requests]
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2), strict=True)] == [True] * 3
    assert sum(waits) < 0.35 + 3 * 0.05 + SLACK


async def test_the_policys_time_ends_the_attempts(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.html(500), times=None)
    jogg = make_session(fake, retry=RetryPolicy(attempts=None, timeout=0.2, wait_initial=0.05, wait_jitter=0.0))
    began = time.monotonic()
    with pytest.raises(ServerError) as caught:
        await jogg.page()
    assert time.monotonic() - began < 0.2 + SLACK
    assert 2 <= (caught.value.attempts or 0) == len(fake.requests) <= 4


async def test_one_attempt_is_one_attempt(make_fake: MakeFake, make_session: MakeSession) -> None:
    fake = await make_fake(5)
    fake.fail(Fault.html(500), times=None)
    with pytest.raises(ServerError):
        await make_session(fake, retry=RetryPolicy(attempts=1)).page()
    assert len(fake.requests) == 1
    assert AT_ONCE.attempts == 3
