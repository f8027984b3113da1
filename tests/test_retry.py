from __future__ import annotations

import copy
import json
import math
import pickle
import time
from email.utils import formatdate
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import APIError, RateLimitError, RetryPolicy, ServerError
from jogg_async._wire import Answer, read_envelope, retry_after

NOW = 1_800_000_000.0

SECONDS = ("timeout", "wait_initial", "wait_max", "wait_jitter", "max_retry_after")


def test_the_defaults_are_the_promised_ones() -> None:
    assert attrs.asdict(RetryPolicy()) == {
        "attempts": 5,
        "timeout": 120.0,
        "wait_initial": 0.5,
        "wait_max": 30.0,
        "wait_jitter": 1.0,
        "max_retry_after": 300.0,
    }


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [-1, -0.001, math.inf, -math.inf, math.nan, "1", True, [1]], ids=repr)
def test_seconds_are_finite_numbers_from_zero(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [0, 0.0, 1, 0.25, 1e9])
def test_seconds_in_range_are_taken(name: str, value: float) -> None:
    arguments: dict[str, Any] = {name: value}
    assert getattr(RetryPolicy(**arguments), name) == value


@pytest.mark.parametrize("name", [name for name in SECONDS if name != "timeout"])
def test_only_timeout_may_be_without_limit(name: str) -> None:
    assert RetryPolicy(timeout=None).timeout is None
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, "5", True, False, math.inf, [5]], ids=repr)
def test_attempts_are_a_whole_number_from_one(value: Any) -> None:
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=value)


@pytest.mark.parametrize("value", [1, 2, 10**6, None])
def test_attempts_in_range_are_taken(value: int | None) -> None:
    assert RetryPolicy(attempts=value).attempts == value


def test_a_policy_is_a_frozen_value() -> None:
    policy = RetryPolicy(attempts=2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.attempts = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    for twin in (RetryPolicy(attempts=2), copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert twin == policy
        assert hash(twin) == hash(policy)
    assert policy != RetryPolicy(attempts=3)
    assert not hasattr(policy, "__dict__")


@pytest.mark.parametrize(
    ("wait", "elapsed", "accepted"),
    [
        (0.5, 0.0, True),
        (50.0, 0.0, True),
        (50.1, 0.0, False),  # longer than max_retry_after
        (50.0, 50.0, True),  # ends with the timeout
        (50.0, 50.1, False),  # would end after it
        (1.0, 99.0, True),
        (1.0, 99.5, False),
        (0.5, 100.0, False),
    ],
)
def test_which_waits_of_the_service_are_waited(wait: float, elapsed: float, accepted: bool) -> None:
    assert RetryPolicy(timeout=100.0, max_retry_after=50.0).accepts(wait, elapsed) is accepted


def test_without_a_timeout_only_the_wait_itself_counts() -> None:
    policy = RetryPolicy(timeout=None, max_retry_after=50.0)
    assert policy.accepts(50.0, 1e9)
    assert not policy.accepts(50.5, 0.0)
    assert not RetryPolicy(max_retry_after=0).accepts(0.001, 0.0)


@pytest.mark.parametrize(
    ("timeout", "elapsed", "left"),
    [
        (10.0, 0.0, True),
        (10.0, 9.99, True),
        (10.0, 10.0, False),
        (10.0, 11.0, False),
        (0, 0.0, False),
        (None, 1e9, True),
    ],
)
def test_when_time_is_left(timeout: float | None, elapsed: float, left: bool) -> None:
    assert RetryPolicy(timeout=timeout).leaves_time(elapsed) is left


@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (6, 16.0), (7, 30.0), (8, 30.0), (10**6, 30.0)]
)
def test_waits_double_up_to_their_maximum(failures: int, wait: float) -> None:
    assert RetryPolicy().backoff(failures) == wait


@settings(deadline=None)
@given(
    initial=st.floats(0, 1e308),
    most=st.floats(0, 1e308),
    failures=st.integers(1, 10**9),
)
def test_a_wait_is_never_negative_nor_beyond_its_maximum(initial: float, most: float, failures: int) -> None:
    policy = RetryPolicy(wait_initial=initial, wait_max=most)
    wait = policy.backoff(failures)
    assert 0 <= wait <= most
    assert wait <= policy.backoff(failures + 1)
    if initial == 0:
        assert wait == 0


def refusal(body: bytes, status: int = 429, headers: dict[str, str] | None = None) -> Any:
    with pytest.raises(APIError) as caught:
        read_envelope(Answer(status, headers or {}, body), NOW)
    return caught.value


def header_wait(**headers: str) -> float | None:
    """The wait that these headers name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = refusal(b'{"code":429,"msg":"slow down","data":null}', 429, named)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == retry_after(named, None, NOW)
    return error.retry_after


@pytest.mark.parametrize(
    ("written", "wait"),
    [
        *[("1", 1.0), ("7.25", 7.25), (" 3 ", 3.0), ("0.001", 0.001), ("86400", 86400.0)],
        *[
            (each, None)
            for each in ("0", "0.0", "-1", "-0.5", "nan", "inf", "-inf", "1e999", "9" * 400, "", " ", "soon")
        ],
        *[
            (each, None)
            for each in ("1,5", "0x10", "true", "None", "1 2", "99999 GMT", "Mon, 99 Foo 2026 00:00:00 GMT")
        ],
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW, usegmt=True), None),
        (formatdate(NOW - 1, usegmt=True), None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Fri, 15 Jan 2027 10:01:00 +0200", 60.0),  # NOW is 08:00:00 in London
    ],
)
def test_the_wait_of_the_header(written: str, wait: float | None) -> None:
    assert header_wait(Retry_After=written) == wait


@pytest.mark.parametrize("skew", [-86400, -10, 0, 10, 86400])
def test_a_date_counts_from_the_answers_own_date(skew: int) -> None:
    then, date = formatdate(NOW + skew + 30, usegmt=True), formatdate(NOW + skew, usegmt=True)
    assert header_wait(Retry_After=then, Date=date) == 30.0
    assert header_wait(Retry_After=date, Date=then) is None
    assert header_wait(Retry_After=formatdate(NOW + 30, usegmt=True), Date="yesterday") == 30.0


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(
            "Fri Jan 15 08:01:00 2027",
        ),
        "Fri, 15 Jan 2027 08:01:00 GMT",
        "Friday, 15-Jan-27 08:01:00 GMT",
    ],
)
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be changed here")
def test_a_date_of_http_is_universal_time(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "XXX+5")
            time.tzset()
            assert retry_after({"Retry-After": written}, None, NOW) == 60.0
    finally:
        time.tzset()


@pytest.mark.parametrize(
    ("named", "wait"),
    [
        *[(1, 1.0), (2.5, 2.5), ("4", 4.0), (10**12, 1e12), (0.001, 0.001)],
        *[(each, None) for each in (0, 0.0, -0.0, -1, -2.5, "0", "-3", "soon", "", "nan", "inf", "1e999")],
        *[(each, None) for each in (True, False, [5], {"seconds": 5}, 10**400, "9" * 400)],
    ],
    ids=lambda value: repr(value)[:20],
)
def test_the_wait_of_the_body(named: Any, wait: float | None) -> None:
    body = json.dumps({"code": 429, "msg": "slow down", "data": None, "retryAfter": named}).encode()
    assert refusal(body).retry_after == wait
    assert retry_after({}, {"retryAfter": named}, NOW) == wait
    assert retry_after({}, {"data": {"retryAfter": named}}, NOW) == wait


@pytest.mark.parametrize("code", [429, 50000])
@pytest.mark.parametrize("status", [200, 429, 503])
@pytest.mark.parametrize(
    ("header", "top", "data", "wait"),
    [
        (None, None, None, None),
        ("2", None, None, 2.0),
        (None, 3, None, 3.0),
        (None, None, 4, 4.0),
        ("2", 3, 4, 4.0),
        ("9", 3, 4, 9.0),
        ("2", 7, 4, 7.0),
        ("0", 3, -1, 3.0),
        ("soon", True, 0, None),
        ("1e999", 1, None, 1.0),
    ],
)
def test_the_longest_wait_wins(  # noqa: PLR0917 (a table's columns)
    code: int, status: int, header: str | None, top: Any, data: Any, wait: float | None
) -> None:
    body = json.dumps({"code": code, "msg": "no", "data": {"retryAfter": data}, "retryAfter": top}).encode()
    error = refusal(body, status, {} if header is None else {"Retry-After": header})
    assert isinstance(error, RateLimitError | ServerError)
    assert error.retry_after == wait


def test_a_status_alone_may_name_a_wait_too() -> None:
    assert refusal(b"<html>", 503, {"Retry-After": "5"}).retry_after == 5.0
    assert refusal(b"", 429, {"Retry-After": "5"}).retry_after == 5.0
    assert not hasattr(refusal(b"<html>", 404, {"Retry-After": "5"}), "retry_after")


@pytest.mark.parametrize("named", [b"1e999", b"-1e999", b"9" * 5000], ids=["1e999", "-1e999", "5000 digits"])
def test_a_number_beyond_any_float_leaves_a_refusal_a_refusal(named: bytes) -> None:
    error = refusal(b'{"code":429,"msg":"slow down","data":null,"retryAfter":' + named + b"}", 200)
    assert isinstance(error, RateLimitError)
    assert error.retry_after is None


@settings(deadline=None)
@given(st.one_of(st.floats(), st.text(max_size=40), st.integers(), st.booleans(), st.none()))
def test_a_wait_is_none_or_a_finite_number_above_zero(named: Any) -> None:
    for wait in (
        retry_after({"Retry-After": str(named)}, None, NOW),
        retry_after({}, {"retryAfter": named}, NOW),
        retry_after({}, {"data": {"retryAfter": named}}, NOW),
    ):
        assert wait is None or 0 < wait < math.inf
