"""The options that commands share. Their defaults are read from the library's signatures."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Annotated, Any, Final

import attrs
from cyclopts import Parameter, Token

from jogg_async.retry import RetryPolicy
from jogg_async.session import JoggSession
from jogg_async.settings import OnDrift, OnInvalid


def default_of(function: Any, name: str) -> Any:
    """Return the default of a function's parameter."""
    return signature(function).parameters[name].default


def _whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """Convert the text of an option. By default, cyclopts would round 2.6 to 3."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r:.80} is no whole number.") from None


WHOLE: Final = Parameter(converter=_whole_number)
"""Conversion of options that are whole numbers."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Filters:
    """Which tracks to fetch.

    Attributes:
        genre: Only this genre, such as Corporate.
        mood: Only this mood, such as Calm.
    """

    genre: str | None = None
    mood: str | None = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Bounds:
    """Which pages to fetch, and how.

    Attributes:
        limit: Stop after this many tracks.
        page_size: Tracks per request, 1 to 100.
        start_page: First page to fetch, from 1.
        end_page: Last page to fetch.
        concurrency: Requests in flight at once, 1 or more.
        unordered: Take pages as they arrive, instead of in the catalogue's order.
        on_invalid: If a record is not a valid track: stop with an error, or skip it.
        on_drift: If the catalogue changes meanwhile: ignore it, warn or fail at the end, or look for missing tracks.
    """

    limit: Annotated[int | None, WHOLE] = None
    page_size: Annotated[int, WHOLE] = default_of(JoggSession.tracks, "page_size")
    start_page: Annotated[int, WHOLE] = default_of(JoggSession.tracks, "start_page")
    end_page: Annotated[int | None, WHOLE] = None
    concurrency: Annotated[int, WHOLE] = default_of(JoggSession, "concurrency")
    unordered: Annotated[bool, Parameter(show_default=False)] = False
    on_invalid: OnInvalid = "raise"
    on_drift: OnDrift = "warn"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Connection:
    """How to reach the service.

    Attributes:
        base_url: Address of the service [default: JOGG_BASE_URL, or https://api.jogg.ai]
        timeout: Seconds for one attempt.
        attempts: How often a request is sent at most.
        demo: Use a fake service inside this process instead; needs no key and no network.
        verbose: Log requests and retries on standard error.
    """

    base_url: str | None = None
    timeout: float = default_of(JoggSession, "timeout")
    attempts: Annotated[int, WHOLE] = RetryPolicy().attempts or 1
    demo: Annotated[bool, Parameter(show_default=False)] = False
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), show_default=False)] = False
