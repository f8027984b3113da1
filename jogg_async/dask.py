"""The catalogue as a Dask data frame, and its audio files, both fetched by the workers of a cluster (extra ``dask``).

::

    with distributed.Client(cluster):
        frame = read_tracks(mood="Calm")
        print(frame.duration.sum().compute())
        print(download(frame, "s3://bucket/music"))
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from ._api.arguments import checked_int, checked_retry, checked_timeout
from ._download.limits import MAX_BYTES, SizeLimits
from ._download.transfer import CONCURRENCY, RETRY, TIMEOUT
from ._engines.page_ranges import split, totals
from ._export.filesystems import checked_address, filesystem_at, local_path
from ._paging.options import PAGE_SIZE, START_PAGE
from .downloads import DownloadReport
from .downloads import download as download_here
from .models import Pagination
from .retry import RetryPolicy
from .session import JoggSession
from .settings import base_url_from

try:
    dask: Any = import_module("dask")
    frames: Any = import_module("dask.dataframe")
    pd: Any = import_module("pandas")
    from ._engines.cluster import Cluster, ClusterLimiter
    from ._engines.partition_tracks import check_columns, tracks_of
    from ._engines.repeats import DRIFTED, without_repeats
    from ._render import arrow
except ImportError as _fault:
    raise ImportError("Reading tracks into Dask needs dask and pyarrow: pip install 'jogg-async[dask]'.") from _fault

if TYPE_CHECKING:
    from dask.dataframe import DataFrame

    from .settings import OnDrift, OnInvalid

__all__ = ["download", "read_tracks"]

_MAX_PAGES: Final = 1000
"""Default upper limit on the pages of a partition: their 100,000 tracks take about 50 MB."""

_MAX_PARTITIONS: Final = 1000
"""Largest default number of partitions for the sake of `_MAX_PAGES`: a wrong total must not exhaust the memory."""

_T = TypeVar("_T")


def read_tracks(
    *,
    npartitions: int | None = None,
    base_url: str | None = None,
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
) -> DataFrame:
    """Return a Dask data frame of all tracks, or of those that match. Each partition is a range of pages.

    One request, sent now, asks for the total; the workers read the pages when the frame is computed. Columns: ``id``
    (int64), ``name``, ``music_url`` (string), ``duration`` (Int64, seconds) and ``extra`` (string: the undocumented
    fields as a JSON object), the strings backed by pyarrow.

    Every process reads the API key from its own environment variable ``JOGG_API_KEY``; the task graph does not hold it.

    With a current `distributed.Client`, the requests in flight are bounded over the whole cluster, and after the first
    rate limit only one partition at a time sends requests. Without one, each process reads one partition at a time.

    A track whose id an earlier partition has is left out. So each partition waits for those before it, and for no
    later one.

    Args:
        npartitions: partitions, 1 or more, and at most one for each page; `None` for one for each worker, or more, up
            to 1,000, if they would have more than 1,000 pages each.
        base_url: URL of the service, as for `JoggSession`; `None` for each process's own environment.
        genre: only this genre; `None` for all.
        mood: only this mood; `None` for all.
        page_size: tracks per request, 1 to 100.
        concurrency: requests in flight at once over the whole cluster, 1 or more; `None` for 8 for each worker.
        limit: tracks to read at most, 0 or more; `None` for all. Full pages are assumed: records that are left out
            lower the number.
        start_page: first page to fetch, from 1.
        end_page: last page to fetch; `None` for the catalogue's last.
        ordered: keep the catalogue's order; if false, the tracks of a partition are in the order in which their pages
            arrived.
        on_invalid: policy for invalid records, as for `JoggSession.tracks`.
        on_drift: policy for changes of the catalogue between the first request, or the checkpoint in `resume`, and the
            last request, reported when the frame is computed. ``"ignore"`` them; ``"warn"`` once, on the client;
            ``"raise"`` a `CatalogueChangedError`; ``"recrawl"``: each partition reads its own pages again until they do
            not change, and warns, since tracks that moved to a partition read before may be missing.
        resume: a dict from `TrackPager.checkpoint`, to start from.
        params: further query parameters, by name.
        retry: retry policy; `None` for the default.

    Raises:
        ValueError: an argument is out of its range, or contradicts `resume`.
        ConfigurationError: there is no API key, or it or the base URL is malformed.
        DecodeError: the response has no total.
        JoggError: the request failed.
    """
    if npartitions is not None:
        checked_int("npartitions", npartitions, 1)
    if concurrency is not None:
        checked_int("concurrency", concurrency, 1)
    bounds: dict[str, Any] = {"genre": genre, "mood": mood, "page_size": page_size, "limit": limit, "params": params}
    bounds |= {"start_page": start_page, "end_page": end_page, "resume": resume}
    cluster = Cluster.of_client(concurrency)
    reader = _Reader(base_url, RetryPolicy() if retry is None else retry, cluster, bool(ordered), on_invalid, on_drift)
    start, total = _run(reader.first_request(bounds))
    wanted = min(math.ceil((total.total_pages or 0) / _MAX_PAGES), _MAX_PARTITIONS)
    starts = split(start, total, npartitions or max(cluster.partitions, wanted))
    read = frames.from_map(reader.read, starts, meta=_meta(), label="read-tracks")
    return cast("DataFrame", without_repeats(read, on_drift, _meta()))


def download(
    tracks: DataFrame,
    folder: str | os.PathLike[str],
    *,
    concurrency: int = CONCURRENCY,
    max_bytes: int | None = MAX_BYTES,
    timeout: float = TIMEOUT,
    retry: RetryPolicy = RETRY,
    base_url: str | None = None,
) -> DownloadReport:
    """Download the audio files of a data frame's tracks: the workers fetch those of each partition.

    It computes the frame, and waits until every file is stored or failed. Otherwise `jogg_async.download` for each
    partition. A partition whose worker died is begun again and skips the files that are complete.

    Args:
        tracks: data frame of `read_tracks`, or another Dask one with the columns ``id`` and ``music_url``; ``name``,
            ``duration`` and ``extra`` are used where there are any. Rows without an id, such as those of an outer
            join, are left out. If several partitions have the same id, the file may be fetched twice, or be reported as
            failed while another partition writes it: drop such duplicates before.
        folder: folder that every worker sees, or an address that fsspec knows on every worker, such as
            ``s3://bucket/music``.
        concurrency: files downloaded at once for each partition that is being downloaded, 1 or more.
        max_bytes: bytes that one file may have, 1 or more; a larger one fails. `None` for no limit.
        timeout: seconds without any data after which an attempt fails, above 0.
        retry: policy for transient failures of one file.
        base_url: base URL of the service whose origin may have a private address; `None` for the environment variable
            ``JOGG_BASE_URL`` of each worker.

    Raises:
        ValueError: an argument is out of its range, `tracks` is no Dask data frame, a column is missing, or an id is no
            whole number.
        OSError: the folder cannot be made or written.
        ImportError: the address needs a package that is not installed.
        JoggError: the frame of `read_tracks` cannot be computed.
    """
    check_columns(tracks)
    SizeLimits(max_bytes, None)
    settings = {
        "concurrency": checked_int("concurrency", concurrency, 1),
        "max_bytes": max_bytes,
        "timeout": checked_timeout(timeout),
        "retry": checked_retry(retry),
        "base_url": None if base_url is None else str(base_url_from(base_url)),
    }
    fetch = dask.delayed(_Fetcher(_checked_folder(folder), settings))
    parts: list[Any] = cast("Any", tracks).to_delayed()
    return _merged(dask.compute(*map(fetch, parts)))


def _checked_folder(folder: str | os.PathLike[str]) -> str:
    """Return the address, or the absolute path: a worker may run in another folder."""
    address = checked_address("folder", folder)
    path = local_path(address)
    if path is None:
        filesystem_at(address)
    return address if path is None else str(path.absolute())


@attrs.frozen
class _Fetcher:
    """Folder and settings with which the workers download the files of partitions."""

    folder: str
    settings: dict[str, Any]

    def __call__(self, part: Any) -> DownloadReport:
        return _run(download_here(tracks_of(part), self.folder, **self.settings))


def _merged(reports: Sequence[DownloadReport]) -> DownloadReport:
    return DownloadReport(
        downloaded=sum(each.downloaded for each in reports),
        skipped=sum(each.skipped for each in reports),
        failed=tuple(failure for each in reports for failure in each.failed),
        bytes=sum(each.bytes for each in reports),
    )


@attrs.frozen
class _Reader:
    """Settings with which the workers read partitions. It holds no API key."""

    base_url: str | None
    retry: RetryPolicy
    cluster: Cluster
    ordered: bool
    on_invalid: OnInvalid
    on_drift: OnDrift

    def session(self, limiter: ClusterLimiter | None = None) -> JoggSession:
        concurrency = self.cluster.concurrency
        return JoggSession(base_url=self.base_url, concurrency=concurrency, retry=self.retry, limiter=limiter)

    async def first_request(self, bounds: dict[str, Any]) -> tuple[dict[str, Any], Pagination]:
        """Return the checkpoint at which the first partition starts, and the totals."""
        async with self.session() as jogg:
            start = jogg.tracks(**bounds, on_invalid=self.on_invalid, on_drift=self.on_drift).checkpoint()
            filters = dict(start["filters"])
            genre, mood = filters.pop("genre", None), filters.pop("mood", None)
            first: dict[str, Any] = {
                "genre": genre,
                "mood": mood,
                "params": filters,
                "page_size": start["page_size"],
                "end_page": 1,
            }
            pager = jogg.tracks(**first, on_invalid="skip", on_drift="ignore")
            page = await anext(pager.pages())
            return start, totals(page, start["page_size"], pager.progress.requests)

    def read(self, start: dict[str, Any]) -> Any:
        """Return a partition as a pandas data frame, whose ``attrs`` tell whether the catalogue changed."""
        with self.cluster.share() as limiter:
            return _run(self._crawl(start, limiter))

    async def _crawl(self, start: dict[str, Any], limiter: ClusterLimiter | None) -> Any:
        on_drift: OnDrift = "recrawl" if self.on_drift == "recrawl" else "ignore"
        watch = asyncio.create_task(limiter.watch()) if limiter else None
        try:
            async with self.session(limiter) as jogg:
                pager = jogg.tracks(resume=start, ordered=self.ordered, on_invalid=self.on_invalid, on_drift=on_drift)
                # Live tracks are left to the garbage collector: at 70,000 it would pause every worker for 0.15 s.
                tables = [arrow.table(page.tracks) async for page in pager.pages()]
        finally:
            if watch:
                watch.cancel()
        frame = _frame(tables)
        frame.attrs[DRIFTED] = pager.progress.drifted
        return frame


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end; in a thread of its own where an event loop runs, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def _meta() -> Any:
    return _frame([])


def _frame(tables: list[Any]) -> Any:
    types = {arrow.pa.string(): pd.StringDtype("pyarrow"), arrow.pa.int64(): pd.Int64Dtype()}
    frame = arrow.joined([arrow.table(()), *tables]).to_pandas(types_mapper=types.get)
    return frame.astype({"id": "int64"})
