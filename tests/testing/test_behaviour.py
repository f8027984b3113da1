from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from jogg_async.testing import FakeJogg, RateLimit
from jogg_async.testing._behaviour import Latency, RateLimiter
from jogg_async.testing._endpoint import FakeResponse, json_response

if TYPE_CHECKING:
    from .conftest import Fetch


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def error(code: int, *, http_status: int, **fields: Any) -> FakeResponse:
    return json_response({"code": code, **fields}, http_status)


def test_rate_limiter_refills_at_its_rate_up_to_its_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(RateLimit(4.0, 3), clock)
    assert [limiter.try_acquire() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.25
    assert [limiter.try_acquire() for _ in range(2)] == [True, False]
    clock.now += 0.125
    assert not limiter.try_acquire()
    clock.now += 0.125
    assert limiter.remaining == 1
    clock.now += 60
    assert limiter.remaining == 3


def test_rejection_announces_the_wait_and_the_remaining_requests() -> None:
    limiter = RateLimiter(RateLimit(rate=1.0, burst=1, retry_after=0.25), Clock())
    assert limiter.try_acquire()
    assert not limiter.try_acquire()
    rejection = limiter.rejection(error)
    assert (rejection.status, rejection.code) == (429, 429)
    assert rejection.headers["Retry-After"] == "0.25"
    assert rejection.headers["X-RateLimit-Remaining"] == "0"
    assert b'"retryAfter":0.25' in rejection.body


@pytest.mark.parametrize(
    ("limit", "absent"),
    [
        (RateLimit(1.0, 1, header=False), "Retry-After"),
        (RateLimit(1.0, 1, retry_after=None), "Retry-After"),
        (RateLimit(1.0, 1, remaining_header=False), "X-RateLimit-Remaining"),
    ],
)
def test_rejection_headers_can_be_turned_off(limit: RateLimit, absent: str) -> None:
    rejection = RateLimiter(limit, Clock()).rejection(error)
    assert absent not in rejection.headers


@pytest.mark.parametrize("limit", [RateLimit(1.0, 1, body=False), RateLimit(1.0, 1, retry_after=None)])
def test_fake_can_leave_retry_after_out_of_the_rejection_body(limit: RateLimit) -> None:
    rejection = RateLimiter(limit, Clock()).rejection(error)
    assert b"retryAfter" not in rejection.body


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate": 0.0}, "rate must be above 0, not 0.0"),
        ({"rate": -1.0}, "rate must be above 0, not -1.0"),
        ({"rate": float("inf")}, "rate must be .*, not inf"),
        ({"rate": float("nan")}, "rate must be .*, not nan"),
        ({"rate": 1.0, "burst": 0}, "burst must be 1 or more, not 0"),
        ({"rate": 1.0, "retry_after": -1}, "retry_after must be 0 or more, not -1"),
    ],
)
def test_rate_limit_rejects_numbers_out_of_range(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateLimit(**wrong)


@pytest.mark.parametrize("wrong", [{"rate": "5"}, {"rate": True}, {"rate": 5, "burst": 2.5}])
def test_rate_limit_rejects_other_types_than_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"must be an? (number|integer), not"):
        RateLimit(**wrong)


async def test_a_number_as_rate_limit_means_requests_per_second(fetch: Fetch) -> None:
    async with FakeJogg(rate_limit=0.001) as fake:
        responses = [await fetch(fake) for _ in range(RateLimit(1).burst + 1)]
    assert [response.json["code"] for response in responses] == [0] * RateLimit(1).burst + [429]


def test_latency_adds_jitter_and_a_slow_fraction() -> None:
    draws = iter([0.5, 0.0, 0.5, 1.0, 0.05, 0.5])
    latency = Latency(0.1, 0.02, 0.1, 10.0, lambda: next(draws))
    assert latency.draw_seconds() == pytest.approx(0.1)
    assert latency.draw_seconds() == pytest.approx(0.12)
    assert latency.draw_seconds() == pytest.approx(1.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tracks": -1},
        {"latency": -1.0},
        {"latency": float("nan")},
        {"jitter": -0.1},
        {"port": 70000},
        {"rate_limit": 0},
        {"slow_factor": 0.5},
        {"slow_fraction": 1.5},
        {"error_rate": 2.0},
        {"error_rate": -0.1},
    ],
)
def test_fake_rejects_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be (\d to \d+|\d or more|above 0), not"):
        FakeJogg(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tracks": "30"}, "tracks must be a number of tracks or an iterable of rows, not '30'"),
        ({"tracks": 2.5}, "tracks must be a number of tracks or an iterable of rows, not 2.5"),
        ({"tracks": True}, "tracks must be a number of tracks or an iterable of rows, not True"),
        ({"tracks": [{"id": 1}, 2]}, "row 1 must be a mapping such as {'id': 1}, not 2"),
        ({"tracks": {"id": 1}}, "row 0 must be a mapping such as {'id': 1}, not 'id'"),
        ({"tracks": [{"id": {1}}]}, "row 0 cannot be sent as JSON"),
        ({"rate_limit": "5"}, "rate must be a number, not '5'"),
        ({"latency": "0.1"}, "latency must be a number, not '0.1'"),
        ({"error_rate": None}, "error_rate must be a number, not None"),
        ({"port": "8080"}, "port must be an integer, not '8080'"),
    ],
)
def test_fake_rejects_settings_of_the_wrong_type(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        FakeJogg(**wrong)
