"""`jogg-async crawl`: saves the catalogue to a file or to an SQLite mirror."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Annotated

import attrs
from cyclopts import Parameter

from jogg_async.errors import ArgumentError
from jogg_async.report import SaveReport

from . import log
from .bar import ProgressMode, show_progress
from .connection import connected
from .failure import ExitCode, UsageError, os_message_of, with_options
from .options import Bounds, Connection, Filters
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen, printable
from .tracks import make_pager


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Saving:
    """How to save the tracks.

    Attributes:
        format: Format, such as csv or jsonl.gz, if the suffix does not tell it.
        resume: Continue an interrupted crawl, or start if there is none.
        json: Print the report as one JSON object.
        progress: What standard error shows: auto (a bar if it is a terminal), json (a line every second), or none.
    """

    format: str | None = None
    resume: Annotated[bool, Parameter(show_default=False)] = False
    json: Annotated[bool, Parameter(show_default=False)] = False
    progress: ProgressMode = "auto"


def crawl(
    dest: str,
    /,
    *,
    filters: Filters = Filters(),  # noqa: B008 (it is frozen)
    bounds: Bounds = Bounds(),  # noqa: B008
    saving: Saving = Saving(),
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Save the tracks to a file, or bring an SQLite mirror of the catalogue up to date.

    Nothing is lost if it is interrupted: --resume continues it.

    Args:
        dest: File to write: .jsonl or .csv (each also with .gz or .zst), .parquet, .db or .sqlite. Or an address, such
            as s3://bucket/tracks.parquet.
        filters: which tracks to fetch.
        bounds: which pages to fetch, and how.
        saving: how to save the tracks.
        connection: how to reach the service.
    """
    screen = Screen.of_process()
    try:
        return run(partial(_crawl, dest=dest, filters=filters, bounds=bounds, saving=saving, connection=connection))
    except ArgumentError as error:
        raise UsageError(with_options(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        screen.fail(os_message_of(error))
    except ImportError as error:  # an extra is missing
        screen.fail(str(error))
    return ExitCode.OTHER


async def _crawl(
    ending: Ending, *, dest: str, filters: Filters, bounds: Bounds, saving: Saving, connection: Connection
) -> None:
    screen, outlet = Screen.of_process(), Outlet(ending)
    log.set_up(screen, verbose=connection.verbose)
    async with connected(connection, concurrency=bounds.concurrency) as jogg:
        pager = make_pager(jogg, filters, bounds)
        try:
            async with pager, show_progress(pager, screen, saving.progress):
                report = await pager.save(dest, format=saving.format, resume=saving.resume)
        except asyncio.CancelledError:
            screen.warn("interrupted; the same command with --resume continues.")
            raise
    if report.invalid:
        screen.warn(f"invalid records skipped: {report.invalid}; --verbose names them.")
    text = json.dumps(report.to_dict()) if saving.json else _sentence(report, dest)
    await outlet.run_in_thread(partial(outlet.write, f"{text}\n".encode()))


def _sentence(report: SaveReport, dest: str) -> str:
    text = f"Saved {report.tracks:,} tracks to {printable(dest)} in {report.seconds:.1f} s"
    if report.new is None:
        return f"{text}."
    return f"{text}: {report.new:,} new, {report.changed:,} changed, {report.gone:,} gone."
