"""`jogg-async browse`: opens a local page to choose music by ear."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import webbrowser
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter, validators

from jogg_async.browse.sources import Query, ServiceSource, Source, SourceError, Suggestions
from jogg_async.testing import GENRES, MOODS

from . import log
from .connection import connected
from .failure import ExitCode, UsageError
from .options import WHOLE, Connection, Filters
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen

_TEXT_BROWSERS: Final = ("www-browser", "links", "elinks", "lynx", "w3m")
_DEMO: Final = ("Demo catalogue", Suggestions(GENRES, MOODS))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Serving:
    """Source of the page's tracks, and address of the page.

    Attributes:
        mirror: Show the tracks of this SQLite file, which the command crawl writes, instead of the service's.
        port: Port to listen on; 0 for any free port.
        no_open: Do not open the page in the default browser.
    """

    mirror: Annotated[Path | None, Parameter(name="--from")] = None
    port: Annotated[int, WHOLE, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0
    no_open: Annotated[bool, Parameter(show_default=False)] = False


def browse(
    *,
    serving: Serving = Serving(),
    filters: Filters = Filters(),  # noqa: B008
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Open a local page to search, filter and play the tracks; print its address. Runs until Ctrl-C.

    Args:
        serving: source of the tracks, and address of the page.
        filters: filters that the page begins with.
        connection: how to reach the service.
    """
    return run(partial(_browse, serving, filters, connection), after_signal=ExitCode.OK)


async def _browse(serving: Serving, filters: Filters, connection: Connection, ending: Ending) -> None:
    from jogg_async.browse.server import BrowseServer  # with aiohttp's server, which other commands do not need

    outlet, screen = Outlet(ending), Screen.of_process()
    log.set_up(screen, verbose=connection.verbose)
    query = Query(filters.genre or None, filters.mood or None)
    async with (
        _source(serving.mirror, connection) as source,
        BrowseServer(source, query, port=serving.port) as server,
    ):
        notice = f"Choose music on this page (Ctrl-C ends it): {server.url}\n"
        await outlet.run_in_thread(partial(outlet.write, notice.encode()))
        if not serving.no_open:
            threading.Thread(target=_open, args=(server.url_for_browser(), screen), daemon=True).start()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _source(mirror: Path | None, connection: Connection) -> AsyncGenerator[Source]:
    if mirror is not None:
        if connection.demo or connection.base_url is not None:
            raise UsageError("--from reads a file: it excludes --demo and --base-url.")
        yield await _opened(mirror)
        return
    async with connected(connection) as jogg:
        yield ServiceSource(jogg, *_DEMO) if connection.demo else ServiceSource(jogg)


async def _opened(mirror: Path) -> Source:
    from jogg_async.browse.mirror import MirrorSource

    try:
        return await asyncio.to_thread(MirrorSource.open, mirror)
    except SourceError as error:
        raise UsageError(f"--from: {error}") from None


def _open(url: str, screen: Screen) -> None:
    """Open the address in the default browser, unless it runs in the terminal, such as w3m."""
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        if browser.name not in _TEXT_BROWSERS and browser.open(url):
            return
    screen.note("No browser was opened: open the address yourself.")
