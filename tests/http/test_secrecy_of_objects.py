"""The key is not shown by the client's objects: settings, frames, `repr`; unusual keys."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from jogg_async import (
    APIError,
    ConfigurationError,
    DecodeError,
    JoggSession,
    RateLimitError,
    SessionClosedError,
    TransportError,
)
from jogg_async.testing import Fault

from .conftest import Serve
from .leaks import caught, caught_from_call, holds, leaks, leaks_in_log
from .raw import AT_ONCE, Connection

if TYPE_CHECKING:
    from tests.conftest import MakeFake

KEY: Final = "canary-2b8e64d07c1f93a5-key"
LONG_KEY: Final = "canary-" + "0123456789abcdef" * 12


async def silent_in_the_body(connection: Connection) -> None:
    await connection.request()
    await connection.response(b"{", length=1000)
    await connection.stay_silent()


async def silent_in_the_body_after_an_echo(connection: Connection) -> None:
    await connection.request()
    await connection.response(b"{", f"X-Echo: {KEY}", length=1000)
    await connection.stay_silent()


BAD_SETTINGS: Final[dict[str, Callable[[], JoggSession]]] = {
    "line break in the key": lambda: JoggSession(f"{KEY}\n"),
    "space in the key": lambda: JoggSession(f"Bearer {KEY}"),
    "no ASCII in the key": lambda: JoggSession(f"{KEY}é"),
    "key in bytes": lambda: JoggSession(KEY.encode()),  # type: ignore[arg-type]
    "key in a list": lambda: JoggSession([KEY]),  # type: ignore[arg-type]
    "address": lambda: JoggSession(KEY, base_url="ftp://example.org"),
    "plain http": lambda: JoggSession(KEY, base_url="http://example.org"),
    "concurrency": lambda: JoggSession(KEY, concurrency=0),
    "timeout": lambda: JoggSession(KEY, timeout=-1),
    "retry": lambda: JoggSession(KEY, retry=None),  # type: ignore[arg-type]
    "limiter": lambda: JoggSession(KEY, limiter=3),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("make", BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_rejected_setting_shows_no_key(make: Callable[[], JoggSession]) -> None:
    error = caught_from_call(make)
    assert type(error) is ConfigurationError
    assert leaks(error, KEY) == []


def test_repr_of_a_rejected_session_does_not_show_the_key() -> None:
    error = caught_from_call(lambda: JoggSession(KEY, timeout=0))
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert KEY not in repr(frames[-2].f_locals["self"])


def test_malformed_key_in_the_environment_is_not_shown_by_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOGG_API_KEY", f"{KEY} ")
    error = caught_from_call(JoggSession)
    assert type(error) is ConfigurationError
    assert leaks(error, KEY) == []


async def test_no_public_object_shows_the_key(make_fake: MakeFake, debug_log: pytest.LogCaptureFixture) -> None:
    fake = await make_fake(10, api_key=KEY)
    async with JoggSession(KEY, base_url=fake.url) as jogg, jogg.tracks() as pager:
        await anext(pager)
        assert not any(holds(each, KEY) for each in (jogg, pager, pager.pages(), pager.progress, vars(jogg)))
        assert not holds(pager.checkpoint(), KEY)
        assert not any(holds(repr(task), KEY) for task in asyncio.all_tasks() - {asyncio.current_task()})
    assert fake.requests[0].headers["x-api-key"] == KEY
    assert not holds(jogg, KEY)
    assert leaks_in_log(debug_log.records, KEY) == []


async def test_invalid_argument_of_a_method_shows_no_key(make_fake: MakeFake) -> None:
    fake = await make_fake(10, api_key=KEY)
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        errors = [
            caught_from_call(lambda: jogg.tracks(page_size=0)),
            caught_from_call(lambda: jogg.tracks(params={"page": 2})),
            await caught(jogg.page(0)),
            await caught(jogg.page(genre="\ud800")),
        ]
    assert all(isinstance(error, ValueError) for error in errors)
    assert [leaks(error, KEY) for error in errors] == [[], [], [], []]


@pytest.mark.parametrize(
    "behaviour",
    [
        silent_in_the_body,
        pytest.param(
            silent_in_the_body_after_an_echo,
        ),
    ],
)
async def test_cancelled_request_shows_no_key(serve: Serve, behaviour: Callable[[Connection], Awaitable[None]]) -> None:
    server = await serve(behaviour)
    async with JoggSession(KEY, base_url=server.url) as jogg:
        given_up = await caught(asyncio.wait_for(jogg.page(), 0.05))
        step = await caught(asyncio.wait_for(anext(jogg.tracks()), 0.05))
        task = asyncio.ensure_future(caught(jogg.page()))
        await asyncio.sleep(0.05)
        task.cancel()
        cancelled = await task
    assert (type(given_up), type(step), type(cancelled)) == (TimeoutError, TimeoutError, asyncio.CancelledError)
    assert leaks(given_up, KEY) + leaks(step, KEY) + leaks(cancelled, KEY) == []


async def test_request_ended_by_the_close_of_its_session_shows_no_key(
    serve: Serve, debug_log: pytest.LogCaptureFixture
) -> None:
    server = await serve(silent_in_the_body)
    jogg = JoggSession(KEY, base_url=server.url)
    waiting = [asyncio.ensure_future(caught(work)) for work in (jogg.page(), jogg.count(), jogg.tracks().collect())]
    await asyncio.sleep(0.05)
    await jogg.aclose()
    errors = [*await asyncio.gather(*waiting), await caught(jogg.page()), caught_from_call(jogg.tracks)]
    assert {type(error) for error in errors} == {SessionClosedError}
    assert [leaks(error, KEY) for error in errors] == [[]] * 5
    assert leaks_in_log(debug_log.records, KEY) == []


def nameless(envelope: dict[str, Any]) -> None:
    envelope["data"]["music"][0]["name"] = KEY
    del envelope["data"]["pagination"]


async def test_error_about_a_missing_total_shows_no_record(make_fake: MakeFake) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.patch(nameless))
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        error = await caught(jogg.count())
    assert type(error) is DecodeError
    assert leaks(error, KEY) == []


async def test_error_shows_no_part_of_a_long_key(serve: Serve) -> None:
    server = await serve()
    await server.close()
    async with JoggSession(LONG_KEY, base_url=server.url, retry=AT_ONCE) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, TransportError)
    assert leaks(error, LONG_KEY[:40]) == []


@pytest.mark.parametrize("before", [20, pytest.param(40), pytest.param(50)])
async def test_no_part_of_an_echoed_key_is_shown_if_a_value_is_shortened(make_fake: MakeFake, before: int) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.raw(b"x" * before + KEY.encode() + b"x" * 300))
    fake.fail(Fault.wrong_types("id", "x" * before + KEY + "x" * 300))
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        in_body, in_record = await caught(jogg.page()), await caught(jogg.page())
    assert leaks(in_body, KEY[:6]) + leaks(in_record, KEY[:6]) == []


@pytest.mark.parametrize(
    "key",
    [pytest.param(key) for key in ("canary\\7f3a9c51\\e8d24b60", "canary'7f3a9c51\"e8d24b60")],
)
async def test_echoed_key_whose_repr_differs_is_not_shown(make_fake: MakeFake, key: str) -> None:
    fake = await make_fake(10, api_key=key)
    fake.fail(Fault.wrong_types("id", key))
    async with JoggSession(key, base_url=fake.url) as jogg:
        error = await caught(jogg.page())
    assert type(error) is DecodeError
    assert leaks(error, "7f3a9c51") == []


async def test_skipped_record_shows_no_key_in_the_log(make_fake: MakeFake, debug_log: pytest.LogCaptureFixture) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.wrong_types("id", KEY))
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        pager = jogg.tracks(on_invalid="skip")
        assert len(await pager.collect()) == 9
    assert pager.progress.invalid == 1
    assert leaks_in_log(debug_log.records, KEY) == []


async def test_param_that_repeats_the_key_is_redacted_in_the_log(
    make_fake: MakeFake, debug_log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(10, api_key=KEY)
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        await jogg.page(params={"api_key": KEY})
    assert leaks_in_log(debug_log.records, KEY) == []


@pytest.mark.parametrize("key", ["4", "x", "page", "429", "3", "10"])
async def test_short_key_changes_no_attribute_of_an_error(make_fake: MakeFake, key: str) -> None:
    fake = await make_fake(40, api_key=key)
    fake.fail(Fault.business(429, "wait", retry_after=0.001), times=None)
    async with JoggSession(key, base_url=fake.url, retry=AT_ONCE) as jogg:
        limited = await caught(jogg.page(4))
        fake.clear()
        fake.fail(Fault.wrong_types("id", "4"))
        malformed = await caught(jogg.page(4))
        shown = repr((jogg, jogg.tracks()))
    assert isinstance(limited, RateLimitError)
    assert (limited.page, limited.attempts, limited.code, limited.http_status) == (4, AT_ONCE.attempts, 429, 200)
    assert f"failed after {AT_ONCE.attempts} attempts" in str(limited)
    assert isinstance(malformed, DecodeError)
    assert (malformed.page, malformed.attempts, malformed.value) == (4, 1, "'4'")
    assert "$.data.music[0].id is '4'" in str(malformed)
    assert f"'{key}'" not in shown


@pytest.mark.parametrize("key", ["12345678", "canary-2b8e64d0"])
async def test_key_that_equals_a_number_is_masked_in_texts_only(make_fake: MakeFake, key: str) -> None:
    fake = await make_fake(10, api_key=key)
    fake.fail(Fault.business(12345678, f"no such key: {key}"))
    async with JoggSession(key, base_url=fake.url) as jogg:
        error = await caught(jogg.page())
    assert isinstance(error, APIError)
    assert (error.code, error.page, error.attempts, error.msg) == (12345678, 1, 1, "no such key: ***")


class Broken:
    async def __aenter__(self) -> None:
        raise OSError("the limiter is out of order")

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_exception_of_a_limiter_shows_no_key(make_fake: MakeFake) -> None:
    fake = await make_fake(10, api_key=KEY)
    async with JoggSession(KEY, base_url=fake.url, limiter=Broken()) as jogg:
        errors = [await caught(jogg.page()), await caught(jogg.tracks().collect())]
    assert [type(error) for error in errors] == [OSError, OSError]
    assert [leaks(error, KEY) for error in errors] == [[], []]


async def test_key_from_the_environment_that_the_service_echoes_is_not_shown(
    make_fake: MakeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.business(1, KEY))
    monkeypatch.setenv("JOGG_API_KEY", KEY)
    monkeypatch.setenv("JOGG_BASE_URL", fake.url)
    async with JoggSession() as jogg:
        error = await caught(jogg.page())
    assert type(error) is APIError
    assert leaks(error, KEY) == []
