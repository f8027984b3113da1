"""`tracks_resource`: the catalogue as a resource of dlt, for any of dlt's destinations (extra ``dlt``).

::

    pipeline = dlt.pipeline("music", destination="duckdb")
    pipeline.run(tracks_resource(mood="Calm"))
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ._api.redaction import Secret, as_secret
from ._paging.options import PAGE_SIZE, START_PAGE
from ._paging.seen_ids import SeenIds
from .errors import CatalogueChangedError, CatalogueChangedWarning, JoggError
from .session import JoggSession
from .settings import base_url_from

try:
    dlt: Any = import_module("dlt")
    from ._engines.saved_tables import SavedTables
    from ._render import arrow
except ImportError as _fault:
    raise ImportError("Loading tracks through dlt needs dlt and pyarrow: pip install 'jogg-async[dlt]'.") from _fault

if TYPE_CHECKING:
    from dlt.extract import DltResource

    from .models import Track
    from .pager import TrackPager
    from .retry import RetryPolicy
    from .settings import OnDrift, OnInvalid

__all__ = ["tracks_resource"]

_SECRET: Final = "sources.jogg.api_key"  # noqa: S105 (the name of the secret)

_TRACKS_PER_TABLE: Final = 5000
"""Least tracks of a table, except the last. Every table has a cost in dlt and its destinations."""


def tracks_resource(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    name: str = "tracks",
    write_disposition: str | Mapping[str, Any] = "merge",
    genre: str | None = None,
    mood: str | None = None,
    page_size: int = PAGE_SIZE,
    concurrency: int | None = None,
    limit: int | None = None,
    start_page: int = START_PAGE,
    end_page: int | None = None,
    ordered: bool = True,
    on_invalid: OnInvalid = "raise",
    on_drift: OnDrift = "warn",
    resume: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    retry: RetryPolicy | None = None,
) -> DltResource:
    """Return a dlt resource of all tracks, or of those that match, with the primary key ``id``.

    It yields Arrow tables of several pages, with the columns ``id`` (bigint), ``name``, ``music_url`` (text),
    ``duration`` (bigint, seconds) and ``extra`` (text: the undocumented fields as a JSON object). No request is sent
    before a pipeline extracts the resource.

    If the crawl fails, or its process is killed, the run fails and loads nothing: dlt drops the data and the state of
    a failed extract. The tracks so far and the position are therefore kept in the pipeline's working directory for a
    day. The next run with the same arguments loads these tracks and continues after them. It starts from the beginning
    if the day has passed or the working directory is gone.

    Args:
        api_key: the API key. `None` reads ``dlt.secrets["sources.jogg.api_key"]`` or, if that is missing, the
            environment variable ``JOGG_API_KEY``. dlt stores the key in no schema, state or trace.
        base_url: URL of the service, as for `JoggSession`.
        name: name of the resource, and of its table.
        write_disposition: ``"merge"`` (update by ``id``), ``"append"``, ``"replace"``, or a dict as dlt takes it. Under
            ``"merge"``, tracks that were removed from the catalogue stay in the table.
        genre: only this genre; `None` for all.
        mood: only this mood; `None` for all.
        page_size: tracks per request, 1 to 100.
        concurrency: requests in flight at once, 1 or more; `None` for the default of `JoggSession`, 8.
        limit: tracks to load at most, 0 or more; `None` for all.
        start_page: first page to fetch, from 1.
        end_page: last page to fetch; `None` for the catalogue's last.
        ordered: load tracks in the catalogue's order; if false, as pages arrive.
        on_invalid: policy for invalid records, as for `JoggSession.tracks`.
        on_drift: policy for changes of the catalogue during the crawl, as for `JoggSession.tracks`. Under ``"raise"``,
            nothing is loaded and the next run starts from the beginning.
        resume: a dict from `TrackPager.checkpoint`, to start from.
        params: further query parameters, by name.
        retry: retry policy; `None` for the default.

    Raises:
        ValueError: an argument is out of its range, or contradicts `resume`.
        ConfigurationError: there is no API key, or it or the base URL is malformed.
    """
    api_key = as_secret(api_key)  # before anything can fail: a traceback may show the variables of this frame
    key = api_key if api_key is not None else _key_from_secrets()
    given: dict[str, Any] = {"base_url": base_url, "concurrency": concurrency, "retry": retry}
    open_session = partial(JoggSession, key, **{name: value for name, value in given.items() if value is not None})
    bounds: dict[str, Any] = {"genre": genre, "mood": mood, "page_size": page_size, "limit": limit, "params": params}
    bounds |= {"start_page": start_page, "end_page": end_page, "resume": resume}
    policies: dict[str, Any] = {"ordered": ordered, "on_invalid": on_invalid, "on_drift": on_drift}
    open_session().tracks(**bounds, **policies)  # bad arguments fail now, not in the pipeline
    identity = {"url": str(base_url_from(base_url)), **bounds, "ordered": ordered, "on_invalid": on_invalid}
    start = partial(_start, bounds, policies)

    async def tables() -> AsyncIterator[Any]:
        async for table in _tables(open_session, start, SavedTables(_folder(name, identity))):
            yield table

    return cast("DltResource", dlt.resource(tables, name=name, primary_key="id", write_disposition=write_disposition)())


def _key_from_secrets() -> Secret | None:
    """Return the key from dlt's secrets; `None` if it is not there."""
    # Without an expected type: with `str`, dlt would store the key in its trace.
    found = dlt.secrets.get(_SECRET)
    return as_secret(None if found is None else str(found))


def _start(
    bounds: Mapping[str, Any], policies: Mapping[str, Any], jogg: JoggSession, checkpoint: dict[str, Any] | None
) -> TrackPager:
    """Return a new pager with these bounds. With a checkpoint, start there, with the bounds in it."""
    return jogg.tracks(**policies, **(bounds if checkpoint is None else {"resume": checkpoint}))


async def _tables(
    open_session: Callable[[], JoggSession],
    start: Callable[[JoggSession, dict[str, Any] | None], TrackPager],
    saved: SavedTables,
) -> AsyncIterator[Any]:
    """Yield the tables that an earlier, failed extract saved. Then save and yield the tables of the crawl."""
    seen, checkpoint = SeenIds(), None
    try:
        for table, after in saved.read():
            checkpoint = after
            seen.add_all(table.column("id").to_pylist())
            yield table
        async with open_session() as jogg, start(jogg, checkpoint) as pager:
            async for tracks in _batches(pager):
                new = seen.add_all([track.id for track in tracks])
                table = arrow.table(tracks if new is None else [tracks[index] for index in new])
                saved.append(table, pager.checkpoint())
                yield table
    except JoggError as error:
        if isinstance(error, CatalogueChangedError):
            saved.clear()
        raise
    except BaseException:
        # Also if dlt closes the resource early, as for `add_limit`: dlt loads the tables yielded so far, so the next
        # run must not yield them again.
        saved.clear()
        raise
    saved.clear()


async def _batches(pager: TrackPager) -> AsyncIterator[list[Track]]:
    """Yield lists of tracks from several pages. If the crawl fails, yield the last list before the error is raised."""
    tracks: list[Track] = []
    try:
        async for page in pager.pages():
            tracks += page.tracks
            if len(tracks) >= _TRACKS_PER_TABLE:
                yield tracks
                tracks = []
    except (JoggError, CatalogueChangedWarning):
        if tracks:
            yield tracks
        raise
    yield tracks


def _folder(name: str, identity: Mapping[str, Any]) -> Path | None:
    """Return the folder for the tables of this resource; `None` outside a pipeline's extract."""
    try:
        dlt.current.load_package_state()
    except dlt.common.exceptions.DltException:
        return None
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
    return Path(dlt.current.pipeline().working_dir, "jogg_async", f"{name}-{digest[:16]}")
