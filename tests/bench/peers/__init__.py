"""The peers: each crawls the whole catalogue as a competent user of its library would write it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, cast

import attrs


@attrs.frozen
class Job:
    """The crawl that a peer has to do.

    Attributes:
        url: the endpoint's whole address, without a query.
        base_url: the service's address.
        concurrency: requests in flight at once.
        early: True if connections may be opened before they are needed; only the peer `LIMIT` reads it.
        attempts: attempts for a request; `None` for the peer's own default.
    """

    url: str
    base_url: str
    concurrency: int
    early: bool
    attempts: int | None = None


Crawl = Callable[[], AsyncIterator[Any]]
"""Start one crawl over an open session: tracks or pages of tracks, in order."""

Open = Callable[[Job], AbstractAsyncContextManager[Crawl]]


@attrs.frozen
class Peer:
    """One way to crawl.

    Attributes:
        name: its name in the table.
        home: its module and function.
        by_page: True if its crawl yields pages; else single tracks.
        dicts: True if its tracks are plain dicts; else objects.
        serial: True if it has one request in flight at a time.
        retries: True if it retries a refused request.
        needs: modules that it needs besides the library's own dependencies.
    """

    name: str
    home: str
    by_page: bool = True
    dicts: bool = True
    serial: bool = False
    retries: bool = False
    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """Return the first module that is not installed."""
        return next((name for name in self.needs if not _is_installed(name)), None)

    def load(self) -> Open:
        module, _, function = self.home.partition(":")
        return cast("Open", getattr(import_module(f".{module}", __name__), function))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is not installed either
        return False


OURS: Final = "ours"
OURS_BY_PAGE: Final = "ours, pages()"
LIMIT: Final = "limit"
GATHER: Final = "gather"
RETRIED: Final = "gather, stamina"
TUNED: Final = "gather, msgspec dicts"
"""Peer of hand-optimized code, with which the CPU time of the library is compared."""

PEERS: Final[dict[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer(OURS, "ours:tracks", by_page=False, dicts=False, retries=True),
        Peer(OURS_BY_PAGE, "ours:pages", dicts=False, retries=True),
        Peer(LIMIT, "limit:window", dicts=False),
        Peer("sequential", "plain:sequential", serial=True),
        Peer(GATHER, "plain:gathered"),
        Peer(TUNED, "plain:gathered_fast"),
        Peer(RETRIED, "plain:gathered_stamina", retries=True),
        Peer("gather, httpx", "other:gathered_httpx", needs=("httpx",)),
        Peer("aiostream map", "other:mapped", needs=("aiostream",)),
        Peer("Stainless paginator", "stainless:paginator", by_page=False, dicts=False, serial=True, retries=True,
             needs=("openai",)),
        Peer("azure AsyncItemPaged", "azure:paged", by_page=False, serial=True, retries=True, needs=("azure.core",)),
    )
}  # fmt: skip
