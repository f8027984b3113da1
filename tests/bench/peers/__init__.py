"""The peers: each crawls the whole listing as a competent user of its library would write it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, cast

import attrs


@attrs.frozen
class Job:
    """What a peer is asked to do.

    Attributes:
        url: the endpoint's whole address, without a query.
        base_url: the service's address.
        concurrency: requests in flight at once.
        early: whether connections may be opened before they are needed, where a peer has to be told.
    """

    url: str
    base_url: str
    concurrency: int
    early: bool


Crawl = Callable[[], AsyncIterator[Any]]
"""Begins one crawl over a session that is open: tracks or pages of tracks, in order."""

Open = Callable[[Job], AbstractAsyncContextManager[Crawl]]


@attrs.frozen
class Peer:
    """One way to do it.

    Attributes:
        name: its name in the table.
        home: its module and function.
        by_page: whether its crawl yields pages; else single tracks.
        dicts: whether its tracks are plain dicts; else objects.
        serial: whether it has one request in flight at a time.
        retries: whether it sends a refused request again.
        needs: the modules it stands on, beyond what the library itself needs.
    """

    name: str
    home: str
    by_page: bool = True
    dicts: bool = True
    serial: bool = False
    retries: bool = False
    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """The first module that is not installed."""
        return next((name for name in self.needs if not _is_installed(name)), None)

    def load(self) -> Open:
        module, _, function = self.home.partition(":")
        return cast("Open", getattr(import_module(f".{module}", __name__), function))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is not there either
        return False


TUNED: Final = "gather, msgspec dicts"
"""What few would write: shown beside the others, and judged by in a row of its own."""

PEERS: Final[dict[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer("ours", "ours:tracks", by_page=False, dicts=False, retries=True),
        Peer("ours, pages()", "ours:pages", dicts=False, retries=True),
        Peer("limit", "limit:window", dicts=False),
        Peer("sequential", "plain:sequential", serial=True),
        Peer("gather", "plain:gathered"),
        Peer(TUNED, "plain:gathered_fast"),
        Peer("gather, stamina", "plain:gathered_stamina", retries=True),
        Peer("gather, httpx", "other:gathered_httpx", needs=("httpx",)),
        Peer("aiostream map", "other:mapped", needs=("aiostream",)),
        Peer("Stainless paginator", "stainless:paginator", by_page=False, dicts=False, serial=True, retries=True,
             needs=("openai",)),
        Peer("azure AsyncItemPaged", "azure:paged", by_page=False, serial=True, retries=True, needs=("azure.core",)),
    )
}  # fmt: skip
