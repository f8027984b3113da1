"""What the fake remembers of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SeenRequest"]


@attrs.define(eq=False)
class SeenRequest:
    """One request that reached the fake."""

    at: float
    """When it arrived, on the clock of `time.monotonic`."""
    method: str
    """Such as "GET"."""
    path: str
    """Such as "/v2/musics", decoded."""
    query: dict[str, str]
    """The query parameters, decoded; of a repeated one, the first."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """The headers as they were sent; looked up without regard to case. Not in the `repr`, since one is the key."""
    page: int | None = None
    """The page asked for, 1 where the request names none; `None` off the endpoint, or where it is no integer."""
    page_size: int | None = None
    """The page size asked for, 10 where the request names none; `None` as for `page`."""
    status: int | None = None
    """The HTTP status that was answered; `None` while the request is open, or if nothing was answered."""
    code: int | None = None
    """The business code that was answered; `None` also where the answer was no envelope."""
