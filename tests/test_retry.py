from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import time
from email.utils import formatdate
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jogg_async import APIError, JoggError, RateLimitError, RetryPolicy, ServerError, TransportError
from jogg_async._api.envelope import RawResponse, read_envelope
from jogg_async._api.retry_after import retry_after
from jogg_async._requests.page_fetcher import is_rate_limit
from jogg_async.retry import backoff, next_wait

NOW = 1_800_000_000.0

SECONDS = ("timeout", "wait_initial", "wait_max", "wait_jitter", "max_retry_after")


def test_retry_policy_has_the_documented_defaults() -> None:
    assert attrs.asdict(RetryPolicy()) == {
        "attempts": 8,
        "timeout": 120.0,
        "wait_initial": 0.1,
        "wait_max": 30.0,
        "wait_jitter": 0.2,
        "max_retry_after": 300.0,
    }


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize(
    "value", [-1, -0.001, math.inf, -math.inf, math.nan, 10**309, "1", True, [1]], ids=lambda value: f"{value!r:.9}"
)
def test_seconds_of_a_policy_must_be_finite_numbers_from_zero(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [0, 0.0, 1, 0.25, 1e9, sys.float_info.max])
def test_seconds_in_range_are_accepted(name: str, value: float) -> None:
    arguments: dict[str, Any] = {name: value}
    assert getattr(RetryPolicy(**arguments), name) == value


@pytest.mark.parametrize("name", [name for name in SECONDS if name != "timeout"])
def test_none_is_accepted_for_timeout_and_rejected_for_the_other_durations(name: str) -> None:
    assert RetryPolicy(timeout=None).timeout is None
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.0, 2.5, "5", True, False, math.inf, [5]], ids=repr)
def test_attempts_must_be_a_whole_number_from_one(value: Any) -> None:
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=value)


@pytest.mark.parametrize("value", [1, 2, 10**6, None])
def test_attempts_in_range_are_accepted(value: int | None) -> None:
    assert RetryPolicy(attempts=value).attempts == value


def test_retry_policy_is_a_frozen_value() -> None:
    policy = RetryPolicy(attempts=2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.attempts = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    for twin in (RetryPolicy(attempts=2), copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert twin == policy
        assert hash(twin) == hash(policy)
    assert policy != RetryPolicy(attempts=3)
    assert not hasattr(policy, "__dict__")


DOUBLING = RetryPolicy(
    attempts=5, timeout=100.0, wait_initial=1.0, wait_max=30.0, wait_jitter=2.0, max_retry_after=50.0
)


def wait_of(
    policy: RetryPolicy,
    attempts: int = 1,
    elapsed: float = 0.0,
    *,
    named: float | None = None,
    jitter: float = 0.0,
    paused: float = 0.0,
) -> float | None:
    return next_wait(policy, attempts, elapsed, named=named, jitter=jitter, paused=paused)


@pytest.mark.parametrize(
    ("attempts", "wait"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (9, 25.6), (10, 30.0), (11, 30.0), (10**6, 30.0)]
)
def test_waits_double_up_to_wait_max(attempts: int, wait: float) -> None:
    assert backoff(RetryPolicy(), attempts) == pytest.approx(wait)
    assert wait_of(RetryPolicy(attempts=None), attempts) == pytest.approx(wait)


def test_backoff_before_any_attempt_is_wait_initial() -> None:
    assert backoff(RetryPolicy(wait_initial=1.0), 0) == 1.0


@pytest.mark.parametrize(
    ("attempts", "jitter", "wait"), [(1, 0.0, 1.0), (1, 1.5, 2.5), (3, 2.0, 6.0), (5, 1.0, 17.0), (6, 2.0, 30.0)]
)
def test_jitter_is_added_and_the_sum_is_capped_at_wait_max(attempts: int, jitter: float, wait: float) -> None:
    assert backoff(DOUBLING, attempts, jitter) == wait


@pytest.mark.parametrize(("attempts", "retried"), [(1, True), (4, True), (5, False), (6, False)])
def test_no_retry_after_the_last_attempt(attempts: int, retried: bool) -> None:
    assert (wait_of(DOUBLING, attempts) is not None) is retried
    assert (wait_of(DOUBLING, attempts, named=1.0) is not None) is retried
    assert wait_of(RetryPolicy(attempts=None), attempts + 10**6, named=1.0) == 1.0


@pytest.mark.parametrize(
    ("named", "elapsed", "wait"),
    [
        (0.5, 0.0, 0.5),
        (40.0, 0.0, 40.0),  # longer than wait_max, which bounds only the policy's own waits
        (50.0, 0.0, 50.0),
        (50.1, 0.0, None),  # longer than max_retry_after
        (50.0, 50.0, 50.0),  # ends with the timeout
        (50.0, 50.1, None),  # would end after it
        (1.0, 99.0, 1.0),
        (1.0, 99.5, None),
        (0.5, 100.0, None),
    ],
)
def test_named_wait_within_max_retry_after_and_timeout_is_accepted(
    named: float, elapsed: float, wait: float | None
) -> None:
    assert wait_of(DOUBLING, 2, elapsed, named=named) == wait


def test_jitter_of_a_wait_that_the_server_names_counts_against_the_timeout() -> None:
    assert wait_of(DOUBLING, 1, 60.0, named=39.0, jitter=1.0) == 40.0
    assert wait_of(DOUBLING, 1, 60.0, named=39.0, jitter=1.5) is None


def test_jitter_does_not_count_against_max_retry_after() -> None:
    assert wait_of(DOUBLING, named=50.0, jitter=2.0) == 52.0


def test_without_timeout_only_max_retry_after_limits_a_named_wait() -> None:
    policy = RetryPolicy(timeout=None, max_retry_after=50.0)
    assert wait_of(policy, 1, 1e9, named=50.0, paused=1e9) == 50.0
    assert wait_of(policy, named=50.5) is None
    assert wait_of(RetryPolicy(max_retry_after=0), named=0.001) is None


@pytest.mark.parametrize(
    ("timeout", "elapsed", "attempts", "wait"),
    [
        (10.0, 0.0, 1, 1.0),
        (10.0, 9.0, 1, 1.0),
        (10.0, 9.5, 1, None),  # its own wait would end after timeout
        (10.0, 6.0, 3, 4.0),
        (10.0, 6.5, 3, None),
        (1.0, 0.0, 3, None),
        (None, 1e9, 3, 4.0),
    ],
)
def test_backoff_that_would_end_after_timeout_is_not_begun(
    timeout: float | None, elapsed: float, attempts: int, wait: float | None
) -> None:
    policy = RetryPolicy(timeout=timeout, wait_initial=1.0)
    assert wait_of(policy, attempts, elapsed) == wait


@pytest.mark.parametrize(
    ("timeout", "elapsed", "retried"), [(10.0, 0.0, True), (10.0, 9.99, True), (10.0, 10.0, False), (0, 0.0, False)]
)
def test_no_retry_begins_once_timeout_has_elapsed_even_without_a_wait(
    timeout: float, elapsed: float, retried: bool
) -> None:
    assert (wait_of(RetryPolicy(timeout=timeout, wait_initial=0.0), 1, elapsed) == 0.0) is retried


@pytest.mark.parametrize(("paused", "wait"), [(0.0, 1.0), (0.5, 1.0), (40.0, 1.0), (40.5, None)])
def test_request_is_given_up_if_the_pause_of_the_session_ends_after_its_timeout(
    paused: float, wait: float | None
) -> None:
    assert wait_of(DOUBLING, 1, 60.0, paused=paused) == wait


@settings(deadline=None)
@given(
    initial=st.floats(0, 1e308),
    most=st.floats(0, 1e308),
    jitter=st.floats(0, 1e308),
    attempts=st.integers(1, 10**9),
)
def test_backoff_is_between_zero_and_wait_max(initial: float, most: float, jitter: float, attempts: int) -> None:
    policy = RetryPolicy(wait_initial=initial, wait_max=most)
    wait = backoff(policy, attempts)
    assert 0 <= wait <= backoff(policy, attempts, jitter) <= most
    assert wait <= backoff(policy, attempts + 1)
    if initial == 0:
        assert wait == 0


@settings(deadline=None)
@given(
    timeout=st.floats(0, 1e6),
    elapsed=st.floats(0, 1e6),
    named=st.none() | st.floats(0.001, 1e6),
    jitter=st.floats(0, 10),
    paused=st.floats(0, 1e6),
    attempts=st.integers(1, 10),
)
def test_no_wait_ends_after_timeout(  # noqa: PLR0917 (what hypothesis draws)
    timeout: float, elapsed: float, named: float | None, jitter: float, paused: float, attempts: int
) -> None:
    policy = RetryPolicy(timeout=timeout)
    wait = wait_of(policy, attempts, elapsed, named=named, jitter=jitter, paused=paused)
    if wait is not None:
        assert attempts < 8
        assert elapsed < timeout
        assert elapsed + max(wait, paused) <= timeout
        assert wait >= (backoff(policy, attempts) if named is None else named)


def rate_limit(**fields: Any) -> RateLimitError:
    error = RateLimitError("slow down", code=429, http_status=200)
    error.retry_after = fields.get("retry_after")
    return error


def server_error(http_status: int, retry_after: float | None, code: int | None = None) -> ServerError:
    error = ServerError("failed", code=code, http_status=http_status)
    error.retry_after = retry_after
    return error


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (rate_limit(), True),
        (rate_limit(retry_after=2.0), True),
        (server_error(503, 2.0), True),
        (server_error(503, 2.0, code=77), True),
        (server_error(503, 2.0, code=50000), True),
        (server_error(503, None), False),
        (server_error(500, 2.0), False),
        (server_error(200, 2.0, code=50000), False),
        (APIError("no", http_status=503), False),
        (TransportError("broken", transient=True), False),
    ],
    ids=str,
)
def test_429_and_503_with_a_named_wait_are_rate_limits(error: JoggError, pauses: bool) -> None:
    assert is_rate_limit(error) is pauses


def refusal(body: bytes, status: int = 429, headers: dict[str, str] | None = None) -> Any:
    with pytest.raises(APIError) as caught:
        read_envelope(RawResponse(status, headers or {}, body), NOW)
    return caught.value


def header_wait(**headers: str) -> float | None:
    """Return the wait that these headers name."""
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
def test_retry_after_header_is_parsed_as_seconds_or_date(written: str, wait: float | None) -> None:
    assert header_wait(Retry_After=written) == wait


@pytest.mark.parametrize("skew", [-86400, -10, 0, 10, 86400])
def test_retry_after_date_is_compared_with_the_date_of_its_response(skew: int) -> None:
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
def test_retry_after_date_is_in_utc(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_retry_after_in_the_body_is_parsed_as_seconds(named: Any, wait: float | None) -> None:
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
def test_longest_wait_of_header_and_body_is_used(  # noqa: PLR0917 (a table's columns)
    code: int, status: int, header: str | None, top: Any, data: Any, wait: float | None
) -> None:
    body = json.dumps({"code": code, "msg": "no", "data": {"retryAfter": data}, "retryAfter": top}).encode()
    error = refusal(body, status, {} if header is None else {"Retry-After": header})
    assert isinstance(error, RateLimitError | ServerError)
    assert error.retry_after == wait


def test_retry_after_header_is_used_without_an_envelope() -> None:
    assert refusal(b"<html>", 503, {"Retry-After": "5"}).retry_after == 5.0
    assert refusal(b"", 429, {"Retry-After": "5"}).retry_after == 5.0
    assert not hasattr(refusal(b"<html>", 404, {"Retry-After": "5"}), "retry_after")


@pytest.mark.parametrize("named", [b"1e999", b"-1e999", b"9" * 5000], ids=["1e999", "-1e999", "5000 digits"])
def test_absurd_retry_after_in_a_rate_limit_is_ignored(named: bytes) -> None:
    error = refusal(b'{"code":429,"msg":"slow down","data":null,"retryAfter":' + named + b"}", 200)
    assert isinstance(error, RateLimitError)
    assert error.retry_after is None


@settings(deadline=None)
@given(st.one_of(st.floats(), st.text(max_size=40), st.integers(), st.booleans(), st.none()))
def test_retry_after_is_none_or_a_finite_number_above_zero(named: Any) -> None:
    for wait in (
        retry_after({"Retry-After": str(named)}, None, NOW),
        retry_after({}, {"retryAfter": named}, NOW),
        retry_after({}, {"data": {"retryAfter": named}}, NOW),
    ):
        assert wait is None or 0 < wait < math.inf
