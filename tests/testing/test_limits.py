from __future__ import annotations

from typing import Any

import pytest

from jogg_async.testing import FakeJogg, RateLimit
from jogg_async.testing.answers import Answer, json_answer
from jogg_async.testing.limits import Latency, RateGate, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def failure(code: int, *, http_status: int, **more: Any) -> Answer:
    return json_answer({"code": code, **more}, http_status)


def test_a_bucket_gains_its_rate_and_holds_its_burst() -> None:
    clock = Clock()
    bucket = TokenBucket(4.0, 3, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.25
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 0.125
    assert not bucket.take()
    clock.now += 0.125
    assert bucket.remaining == 1
    clock.now += 60
    assert bucket.remaining == 3


def test_a_refusal_names_the_wait_and_what_is_left() -> None:
    gate = RateGate(RateLimit(rate=1.0, burst=1, retry_after=0.25), Clock())
    assert gate.refusal(failure) is None
    refusal = gate.refusal(failure)
    assert refusal is not None
    assert (refusal.status, refusal.code) == (429, 429)
    assert refusal.headers["Retry-After"] == "0.25"
    assert refusal.headers["X-RateLimit-Remaining"] == "0"
    assert b'"retryAfter":0.25' in refusal.body


@pytest.mark.parametrize(
    ("limit", "absent"),
    [
        (RateLimit(1.0, 1, header=False), "Retry-After"),
        (RateLimit(1.0, 1, retry_after=None), "Retry-After"),
        (RateLimit(1.0, 1, remaining_header=False), "X-RateLimit-Remaining"),
    ],
)
def test_headers_can_be_left_out(limit: RateLimit, absent: str) -> None:
    gate = RateGate(limit, Clock())
    gate.refusal(failure)
    refusal = gate.refusal(failure)
    assert refusal is not None
    assert absent not in refusal.headers


@pytest.mark.parametrize("limit", [RateLimit(1.0, 1, body=False), RateLimit(1.0, 1, retry_after=None)])
def test_the_body_can_be_silent(limit: RateLimit) -> None:
    gate = RateGate(limit, Clock())
    gate.refusal(failure)
    refusal = gate.refusal(failure)
    assert refusal is not None
    assert b"retryAfter" not in refusal.body


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"rate": 1.0, "burst": 0}])
def test_senseless_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        RateLimit(**wrong)


def test_latency_adds_jitter_and_a_tail() -> None:
    draws = iter([0.5, 0.0, 0.5, 1.0, 0.05, 0.5])
    latency = Latency(0.1, 0.02, 0.1, 10.0, lambda: next(draws))
    assert latency.next() == pytest.approx(0.1)
    assert latency.next() == pytest.approx(0.12)
    assert latency.next() == pytest.approx(1.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": -1.0},
        {"jitter": -0.1},
        {"slow_factor": 0.5},
        {"slow_fraction": 1.5},
        {"error_rate": 2.0},
        {"error_rate": -0.1},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"0 to 1|0 or more"):
        FakeJogg(**wrong)
