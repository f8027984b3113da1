"""The options that commands share. What is not given is left to the library, which holds the defaults."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import attrs
from cyclopts import Parameter

KEY_VARIABLE: Final = "JOGG_API_KEY"
"""Where the key comes from, and from nowhere else: an option would show it in the list of processes."""

OnInvalid = Literal["raise", "skip"]
OnDrift = Literal["ignore", "warn", "raise", "recrawl"]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Filters:
    """Which tracks.

    Attributes:
        genre: Only this genre, such as Corporate.
        mood: Only this mood, such as Calm.
    """

    genre: str | None = None
    mood: str | None = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Bounds:
    """How to go over the catalogue.

    Attributes:
        limit: The most tracks wanted.
        page_size: Tracks per request, 1 to 100 (100 if not given).
        start_page: The first page wanted, from 1.
        end_page: The last page wanted.
        concurrency: Requests in flight at once, 1 or more (8 if not given).
        unordered: Show pages as they arrive, instead of in the catalogue's order.
        on_invalid: What to do about a record that is no track.
        on_drift: What to do where the catalogue changes meanwhile; recrawl looks up what slid past.
    """

    limit: int | None = None
    page_size: int | None = None
    start_page: int | None = None
    end_page: int | None = None
    concurrency: int | None = None
    unordered: Annotated[bool, Parameter(show_default=False)] = False
    on_invalid: OnInvalid = "raise"
    on_drift: OnDrift = "warn"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Connection:
    """What to ask, and how to talk about it.

    Attributes:
        base_url: The service's address; else JOGG_BASE_URL, else JoggAI's own.
        timeout: Seconds for one attempt (30 if not given).
        attempts: How often a request is sent at the most (5 if not given).
        demo: Ask a fake of the service inside this process: no key, no network.
        verbose: Log requests and retries on standard error.
    """

    base_url: str | None = None
    timeout: float | None = None
    attempts: int | None = None
    demo: Annotated[bool, Parameter(show_default=False)] = False
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), show_default=False)] = False
