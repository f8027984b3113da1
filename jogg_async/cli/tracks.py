"""`jogg-async tracks`: the catalogue as it arrives."""

from __future__ import annotations

import math
from functools import partial
from inspect import signature
from typing import Any, Final, Literal

from jogg_async.pager import TrackPager
from jogg_async.session import JoggSession

from . import log
from .bar import progress_shown
from .connection import connected
from .failure import UsageError, in_options
from .formats import Csv, JsonLines, PlainTable, Printer, TerminalTable
from .options import Bounds, Connection, Filters
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen

Format = Literal["table", "jsonl", "csv"]

_PAGE_SIZE: Final[int] = signature(JoggSession.tracks).parameters["page_size"].default


def tracks(
    *,
    filters: Filters = Filters(),  # noqa: B008 (it is frozen)
    bounds: Bounds = Bounds(),  # noqa: B008
    format: Format | None = None,  # noqa: A002 (the option's name)
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Show the catalogue as it arrives: a table in a terminal, JSON lines in a pipe.

    Args:
        filters: which tracks.
        bounds: how to go over the catalogue.
        format: How to show it: a table, JSON lines with every field, or CSV.
        connection: what to ask.
    """
    return run(partial(_show, filters, bounds, format, connection))


async def _show(
    filters: Filters, bounds: Bounds, wanted: Format | None, connection: Connection, ending: Ending
) -> None:
    screen, outlet = Screen.of_process(), Outlet(ending)
    log.set_up(screen, verbose=connection.verbose)
    printer = _printer(wanted or ("table" if screen.shows_results else "jsonl"), screen, outlet)
    with outlet.watched():
        async with connected(connection, concurrency=bounds.concurrency) as jogg:
            pager = _pager(jogg, filters, bounds)
            async with pager, progress_shown(pager, screen, skipped=_skipped(bounds), most=_most(bounds)):
                await _print(pager, printer, outlet)
    if pager.progress.invalid:
        screen.warn(f"records passed over, since they are no tracks: {pager.progress.invalid}; --verbose names them.")


def _pager(jogg: JoggSession, filters: Filters, bounds: Bounds) -> TrackPager:
    numbers: dict[str, Any] = {"page_size": bounds.page_size, "start_page": bounds.start_page}
    try:
        return jogg.tracks(
            genre=filters.genre,
            mood=filters.mood,
            limit=bounds.limit,
            end_page=bounds.end_page,
            ordered=not bounds.unordered,
            on_invalid=bounds.on_invalid,
            on_drift=bounds.on_drift,
            **{name: number for name, number in numbers.items() if number is not None},
        )
    except ValueError as error:
        raise UsageError(in_options(str(error))) from None


def _skipped(bounds: Bounds) -> int:
    """The tracks of the pages before the first one wanted."""
    return ((bounds.start_page or 1) - 1) * (bounds.page_size or _PAGE_SIZE)


def _most(bounds: Bounds) -> float:
    """The most tracks that the options ask for."""
    limit = math.inf if bounds.limit is None else bounds.limit
    if bounds.end_page is None:
        return limit
    return min(limit, bounds.end_page * (bounds.page_size or _PAGE_SIZE) - _skipped(bounds))


async def _print(pager: TrackPager, printer: Printer, outlet: Outlet) -> None:
    async for page in pager.pages():
        await outlet.beside(partial(printer, page.tracks))
    await outlet.beside(partial(printer, ()))  # at least a header


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
