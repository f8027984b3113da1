from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from jogg_async import AuthenticationError, ConfigurationError, JoggSession, RetryPolicy
from jogg_async.errors import ArgumentError


def session(**settings: Any) -> JoggSession:
    return JoggSession("a-key", **settings)


def tracks_with(params: Any) -> object:
    return session().tracks(params=params)


BAD_ARGUMENTS: list[tuple[str, Callable[[], object]]] = [
    ("concurrency", lambda: session(concurrency=0)),
    ("timeout", lambda: session(timeout=0)),
    ("base_url", lambda: session(base_url="http://host")),
    ("page_size", lambda: session().tracks(page_size=101)),
    ("start_page", lambda: session().tracks(start_page=0)),
    ("end_page", lambda: session().tracks(start_page=5, end_page=3)),
    ("limit", lambda: session().tracks(limit=-1)),
    ("concurrency", lambda: session().tracks(concurrency=0)),
    ("on_drift", lambda: session().tracks(on_drift="panic")),  # type: ignore[arg-type]
    *[("params", functools.partial(tracks_with, params)) for params in ([("a", 1)], [], "a=1", "", 1, 0)],
    ("attempts", lambda: RetryPolicy(attempts=0)),
    ("wait_max", lambda: RetryPolicy(wait_max=-1)),
]


@pytest.mark.parametrize(("argument", "call"), BAD_ARGUMENTS)
async def test_error_about_an_argument_has_its_name(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=f"^{argument} ") as caught:
        call()
    error = caught.value
    assert isinstance(error, ArgumentError | ConfigurationError)
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), twin.argument) == (type(error), str(error), argument)


@pytest.mark.parametrize("params", [[("a", 1)], "a=1", 1])
async def test_params_of_page_that_are_no_mapping_are_rejected_before_the_request(params: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^params must be a mapping of names to values, not "):
        await session().page(params=params)


def test_error_about_an_address_from_the_environment_names_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOGG_BASE_URL", "http://host")
    with pytest.raises(ConfigurationError, match=r"^JOGG_BASE_URL is plain http") as caught:
        session()
    assert caught.value.argument is None


def test_summary_of_an_error_is_its_text_without_the_advice() -> None:
    error = AuthenticationError("no such key", code=10105)
    error.request_line, error.attempts = "GET https://host/v2/musics", 1
    assert error.summary == "GET https://host/v2/musics failed: no such key (code 10105)."
    assert str(error) == f"{error.summary} {error.advice}"
