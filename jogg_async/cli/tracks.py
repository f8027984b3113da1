"""`jogg-async tracks`: prints the catalogue as it arrives."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal

from jogg_async.errors import ArgumentError
from jogg_async.pager import TrackPager
from jogg_async.session import JoggSession

from . import log
from .bar import show_progress
from .connection import connected
from .failure import UsageError, with_options
from .formats import Csv, JsonLines, PlainTable, Printer, TerminalTable
from .options import Bounds, Connection, Filters
from .outlet import Outlet
from .running import INTERRUPTED, Ending, run
from .terminal import Screen

Format = Literal["table", "jsonl", "csv"]


def tracks(
    *,
    filters: Filters = Filters(),  # noqa: B008 (it is frozen)
    bounds: Bounds = Bounds(),  # noqa: B008
    format: Format | None = None,  # noqa: A002 (the option's name)
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Print the tracks as they arrive: a table in a terminal, JSON lines in a pipe.

    Args:
        filters: which tracks to fetch.
        bounds: which pages to fetch, and how.
        format: Output format: a table, JSON lines with every field, or CSV.
        connection: how to reach the service.
    """
    return run(partial(_run, filters, bounds, format, connection))


async def _run(filters: Filters, bounds: Bounds, wanted: Format | None, connection: Connection, ending: Ending) -> None:
    screen, outlet = Screen.of_process(), Outlet(ending)
    log.set_up(screen, verbose=connection.verbose)
    printer = _printer(wanted or ("table" if screen.shows_results else "jsonl"), screen, outlet)
    with outlet.watched():
        async with connected(connection, concurrency=bounds.concurrency) as jogg:
            pager = make_pager(jogg, filters, bounds)
            try:
                async with pager, show_progress(pager, screen):
                    await _print(pager, printer, outlet)
            except asyncio.CancelledError:
                if ending.code == INTERRUPTED and screen.shows_progress:
                    screen.note(
                        "This command cannot be resumed. jogg-async crawl saves the tracks, and --resume continues it."
                    )
                raise
    if pager.progress.invalid:
        screen.warn(f"invalid records skipped: {pager.progress.invalid}; --verbose names them.")


def make_pager(jogg: JoggSession, filters: Filters, bounds: Bounds) -> TrackPager:
    """Return the pager that the options describe.

    Raises:
        UsageError: an option is out of its range, or contradicts another one.
    """
    try:
        return jogg.tracks(
            genre=filters.genre,
            mood=filters.mood,
            page_size=bounds.page_size,
            limit=bounds.limit,
            start_page=bounds.start_page,
            end_page=bounds.end_page,
            ordered=not bounds.unordered,
            on_invalid=bounds.on_invalid,
            on_drift=bounds.on_drift,
        )
    except ArgumentError as error:
        raise UsageError(with_options(error)) from None


async def _print(pager: TrackPager, printer: Printer, outlet: Outlet) -> None:
    async for page in pager.pages():
        await outlet.run_in_thread(partial(printer, page.tracks))
    await outlet.run_in_thread(partial(printer, ()))  # prints at least the header


def _printer(format: Format, screen: Screen, outlet: Outlet) -> Printer:  # noqa: A002
    terminal = screen.shows_results

    def show(data: bytes) -> None:
        screen.out.out(data.decode(), end="")

    write = show if terminal else outlet.write
    if format == "jsonl":
        return JsonLines(write, for_terminal=terminal)
    if format == "csv":
        return Csv(write, for_terminal=terminal)
    return TerminalTable(screen.out) if terminal else PlainTable(write)
