"""`jogg-async count`: prints the number of tracks."""

from __future__ import annotations

from functools import partial

from . import log
from .connection import connected
from .options import Connection, Filters
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen


def count(
    *,
    filters: Filters = Filters(),  # noqa: B008 (it is frozen)
    connection: Connection = Connection(),  # noqa: B008
) -> int:
    """Print the number of tracks.

    Args:
        filters: which tracks to count.
        connection: how to reach the service.
    """
    return run(partial(_count, filters, connection))


async def _count(filters: Filters, connection: Connection, ending: Ending) -> None:
    outlet = Outlet(ending)
    log.set_up(Screen.of_process(), verbose=connection.verbose)
    with outlet.watched():
        async with connected(connection) as jogg:
            total = await jogg.count(genre=filters.genre, mood=filters.mood)
        await outlet.run_in_thread(partial(outlet.write, b"%d\n" % total))
