"""`jogg_async.dask`: frames from a fake service, read by threads and by the processes of a real cluster."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
import warnings
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")

import cloudpickle
import pandas as pd

from jogg_async import (
    CatalogueChangedError,
    CatalogueChangedWarning,
    ConfigurationError,
    DecodeError,
    RetryPolicy,
    ServerError,
    Track,
)
from jogg_async._engines.cluster import Cluster
from jogg_async.testing import FakeJogg, Fault, RateLimit

from .conftest import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

read_tracks: Any = import_module("jogg_async.dask").read_tracks  # what Dask returns has hardly any types
COLUMNS = ["id", "name", "music_url", "duration", "extra"]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    assert list(frame.columns) == COLUMNS
    return [
        {name: None if pd.isna(value) else value for name, value in row.items() if name != "extra"}
        for row in frame.to_dict("records")
    ]


def sequential(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


def changes(expected: bool) -> AbstractContextManager[Any]:
    return pytest.warns(CatalogueChangedWarning) if expected else warnings.catch_warnings()


@pytest.mark.fake_jogg(tracks=12_345)
def test_partitions_hold_the_catalogue_in_its_order(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=5)
    assert frame.npartitions == 5
    assert len(fake.requests) == 1
    assert records(frame.compute()) == sequential(fake.catalogue)
    assert sorted(page or 0 for page in fake.pages) == sorted([1, *range(1, 125)])


@pytest.mark.parametrize(("pages", "expected"), [(1000, 1), (1001, 2), (10**6, 1000), (10**10, 1000)])
def test_default_number_of_partitions_is_bounded(fake: FakeJogg, pages: int, expected: int) -> None:
    totals = {"total_items": 100 * pages, "total_pages": pages}
    fake.fail(Fault.patch(lambda envelope: envelope["data"]["pagination"].update(totals)))
    assert read_tracks().npartitions == expected


def test_columns_have_fixed_types_also_before_and_without_data(fake: FakeJogg) -> None:
    frame = read_tracks(mood="none")
    for dtypes in (frame.dtypes, frame.compute().dtypes, read_tracks(limit=3).compute().dtypes):
        assert [str(kind) for kind in dtypes] == ["int64", "string", "string", "Int64", "string"]
        assert dtypes["name"].storage == "pyarrow"


@pytest.mark.fake_jogg(tracks=[{"id": 1, "name": "One", "bpm": 90}, {"id": 2, "duration": 7}])
def test_missing_values_are_null_and_undocumented_fields_a_json_object(fake: FakeJogg) -> None:
    frame = read_tracks().compute()
    assert frame["extra"].tolist() == ['{"bpm":90}', pd.NA]
    assert frame["duration"].tolist() == [pd.NA, 7]
    assert frame["name"].tolist() == ["One", pd.NA]


def test_first_rows_need_only_the_first_partition(fake: FakeJogg) -> None:
    assert read_tracks(npartitions=5).head(3)["id"].tolist() == [row["id"] for row in fake.catalogue[:3]]
    assert sorted(page or 0 for page in fake.pages) == [1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({"limit": 550}, slice(550)),
        ({"limit": 0}, slice(0)),
        ({"start_page": 3, "end_page": 7}, slice(200, 700)),
        ({"start_page": 24}, slice(2300, 2500)),
        ({"page_size": 7, "limit": 100}, slice(100)),
        ({"start_page": 90}, slice(0)),
    ],
)
def test_bounds_hold_over_all_partitions(fake: FakeJogg, arguments: dict[str, Any], rows: slice) -> None:
    frame = read_tracks(npartitions=4, on_drift="ignore", **arguments)
    assert records(frame.compute()) == sequential(fake.catalogue[rows])


@pytest.mark.fake_jogg(tracks=1000)
@pytest.mark.parametrize("names_size", [True, False])
def test_limit_is_reached_if_the_service_caps_the_page_size(fake: FakeJogg, names_size: bool) -> None:
    rows = list(fake.catalogue)

    def cap(envelope: Any) -> None:
        number = envelope["data"]["pagination"]["page"]
        envelope["data"]["music"] = rows[(number - 1) * 50 : number * 50]
        pagination = {"page": number, "total_items": 1000, "total_pages": 20}
        envelope["data"]["pagination"] = pagination | ({"page_size": 50} if names_size else {})

    fake.fail(Fault.patch(cap), times=None)
    assert records(read_tracks(npartitions=3, limit=301).compute()) == sequential(rows[:301])
    assert records(read_tracks(npartitions=3, start_page=5, limit=130).compute()) == sequential(rows[200:330])


def test_filters_apply_to_every_partition(fake: FakeJogg) -> None:
    frame = read_tracks(mood="Calm", genre="Corporate", page_size=10, npartitions=3, params={"sort": "name"})
    assert records(frame.compute()) == sequential(fake.catalogue.filtered(mood="Calm", genre="Corporate"))
    assert {dict(request.query)["sort"] for request in fake.requests} == {"name"}


def test_partitions_continue_from_a_checkpoint(fake: FakeJogg) -> None:
    start = {"page": 2, "place": 30, "page_size": 100, "filters": {}, "total_items": 2500, "total_pages": 25}
    frame = read_tracks(npartitions=4, resume={**start, "limit": 1000})
    assert records(frame.compute()) == sequential(fake.catalogue[130:1130])


CHECKPOINT = {"page": 2, "place": 30, "page_size": 100, "filters": {}, "total_items": 2400, "total_pages": 24}


@pytest.mark.parametrize(("on_drift", "first"), [("warn", 130), ("ignore", 130), ("recrawl", 100)])
def test_another_total_than_that_of_the_checkpoint_is_a_change_of_the_catalogue(
    fake: FakeJogg, on_drift: Any, first: int
) -> None:
    frame = read_tracks(npartitions=4, resume=CHECKPOINT, on_drift=on_drift)
    with changes(on_drift != "ignore"):
        found = records(frame.compute(scheduler="synchronous"))
    assert sorted(found, key=lambda row: row["id"]) == sequential(fake.catalogue[first:])


def test_another_total_than_that_of_the_checkpoint_is_an_error_with_on_drift_raise(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=4, resume=CHECKPOINT, on_drift="raise")
    with pytest.raises(CatalogueChangedError):
        frame.compute(scheduler="synchronous")


@pytest.mark.fake_jogg(tracks=20_000)
def test_partition_keeps_no_tracks_of_the_pages_already_read(fake: FakeJogg) -> None:
    alive: list[int] = []

    def count_tracks(_: Any) -> None:
        if len(fake.requests) % 50 == 0:
            alive.append(sum(type(each) is Track for each in gc.get_objects()))

    fake.on_request = count_tracks
    assert len(read_tracks(npartitions=1, concurrency=2).compute(scheduler="synchronous")) == 20_000
    assert len(alive) == 4
    assert max(alive) < 5000


@pytest.mark.fake_jogg(tracks=3000, latency=0.01)
def test_without_a_cluster_one_partition_at_a_time_is_read(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=6, concurrency=3)
    assert len(frame.compute(scheduler="threads")) == 3000
    assert fake.max_in_flight <= 3


async def test_frame_can_be_made_and_computed_under_a_running_event_loop(fake: FakeJogg) -> None:
    assert len(read_tracks(npartitions=2).compute(scheduler="synchronous")) == 2500


@pytest.mark.fake_jogg(tracks=3000)
@pytest.mark.parametrize("on_drift", ["warn", "ignore", "recrawl"])
def test_track_on_two_partitions_is_kept_once(fake: FakeJogg, on_drift: Any) -> None:
    frame = read_tracks(npartitions=3, on_drift=on_drift, concurrency=1)
    new: list[int] = []
    fake.mutate_after(10, lambda catalogue: new.extend(catalogue.insert(0)))
    with changes(on_drift != "ignore"):
        found = frame.compute(scheduler="synchronous")
    assert records(found) == sequential(row for row in fake.catalogue if row["id"] not in new)


@pytest.mark.fake_jogg(tracks=3000)
def test_changed_catalogue_is_an_error_with_on_drift_raise(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=3, on_drift="raise")
    fake.catalogue.remove(0)
    with pytest.raises(CatalogueChangedError):
        frame.compute(scheduler="synchronous")  # threads would read on after the error


@pytest.mark.fake_jogg(tracks=3000)
def test_catalogue_that_shrank_below_a_partition_is_reported(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=3).partitions[2]
    fake.catalogue.remove(slice(1000, 3000))
    with pytest.warns(CatalogueChangedWarning):
        assert len(frame.compute()) == 0


@pytest.mark.fake_jogg(tracks=3000)
def test_last_partition_reads_further_if_the_catalogue_grew(fake: FakeJogg) -> None:
    frame = read_tracks(npartitions=3)
    fake.catalogue.insert(3000, count=500)
    with pytest.warns(CatalogueChangedWarning) as caught:
        assert records(frame.compute()) == sequential(fake.catalogue)
    assert len(caught) == 1


@pytest.mark.fake_jogg(tracks=8000, latency=0.005)
def test_cluster_reads_the_catalogue_within_its_concurrency(fake: FakeJogg, client: Any) -> None:
    frame = read_tracks(base_url=fake.url, npartitions=9, concurrency=7)
    assert records(frame.compute()) == sequential(fake.catalogue)
    assert 1 < fake.max_in_flight <= 7


@pytest.mark.fake_jogg(tracks=8000, latency=0.02)
def test_frame_after_a_killed_worker_equals_the_sequential_crawl(fake: FakeJogg, client: Any) -> None:
    frame = read_tracks(base_url=fake.url, npartitions=9, concurrency=6)
    process_ids = list(client.run(os.getpid).values())
    killed = threading.Event()

    def kill(_: Any) -> None:
        if len(fake.requests) > 60 and not killed.is_set():
            killed.set()
            os.kill(process_ids[1], signal.SIGKILL)

    fake.on_request = kill
    assert records(frame.compute()) == sequential(fake.catalogue)
    assert killed.is_set()
    assert fake.max_in_flight <= 6


@pytest.mark.fake_jogg(tracks=12_000, rate_limit=RateLimit(60, burst=10, retry_after=0.5))
def test_after_a_rate_limit_one_partition_of_the_cluster_at_a_time_sends_requests(fake: FakeJogg, client: Any) -> None:
    frame = read_tracks(base_url=fake.url)
    assert frame.npartitions == 3
    assert records(frame.compute()) == sequential(fake.catalogue)
    accepted = [request.page for request in fake.requests if request.code == 0][-60:]
    # Late in the crawl the requests of the partitions do not alternate.
    parts = [((page or 1) - 1) * 3 // 120 for page in accepted]
    assert sum(one != other for one, other in pairwise(parts)) <= 2
    assert fake.refused <= 30


@pytest.mark.fake_jogg(tracks=3000)
def test_warning_of_a_worker_reaches_the_client(fake: FakeJogg, client: Any) -> None:
    frame = read_tracks(base_url=fake.url, npartitions=3)
    fake.catalogue.insert(0)

    async def wait_for_warning() -> None:
        for _ in range(100):
            if caught:
                return
            await asyncio.sleep(0.05)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(frame.compute()) >= 3000
        asyncio.run(wait_for_warning())
    assert [warning.category for warning in caught] == [CatalogueChangedWarning]


def test_key_is_in_no_graph_and_every_worker_reads_its_own(
    fake: FakeJogg, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = read_tracks(base_url=fake.url, npartitions=3)
    graph = frame.optimize().dask
    for pickled in (pickle.dumps(dict(graph)), cloudpickle.dumps(frame), repr(dict(graph)).encode()):
        assert fake.api_key.encode() not in pickled
        assert len(pickled) > 500
    monkeypatch.delenv("JOGG_API_KEY")  # the client needs it no more
    assert len(frame.compute()) == 2500
    client.run(lambda: os.environ.pop("JOGG_API_KEY"))
    try:
        with pytest.raises(ConfigurationError, match="JOGG_API_KEY"):
            frame.compute()
    finally:
        client.run(lambda: os.environ.update(JOGG_API_KEY=KEY))


def test_concurrency_is_divided_among_the_workers(fake: FakeJogg, client: Any) -> None:
    shares = {given: Cluster.of_client(given) for given in (None, 1, 2, 3, 10)}
    found = {given: (share.partitions, share.concurrency) for given, share in shares.items()}
    assert found == {None: (3, 8), 1: (1, 1), 2: (2, 1), 3: (3, 1), 10: (3, 3)}


def test_failed_page_of_a_partition_raises_its_error_from_compute(fake: FakeJogg) -> None:
    fake.fail(50000, page=20, times=None)
    frame = read_tracks(npartitions=3, retry=RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0))
    with pytest.raises(ServerError) as caught:
        frame.compute(scheduler="synchronous")
    assert caught.value.page == 20
    assert fake.pages.count(20) == 2


@pytest.mark.fake_jogg(tracks=[{"id": 1}, {"id": "two"}, {"id": 3}])
def test_invalid_records_are_skipped_with_on_invalid_skip(fake: FakeJogg) -> None:
    assert read_tracks(on_invalid="skip", page_size=1, npartitions=3).compute()["id"].tolist() == [1, 3]


def test_read_tracks_raises_if_the_response_has_no_total(fake: FakeJogg) -> None:
    fake.fail(Fault.patch(lambda envelope: envelope["data"].update(pagination=None)), page=1)
    with pytest.raises(DecodeError, match="no total") as caught:
        read_tracks()
    assert (caught.value.page, caught.value.attempts) == (1, 1)
    assert caught.value.rid


@pytest.mark.parametrize(
    "bad", [{"page_size": 101}, {"limit": -1}, {"npartitions": 0}, {"concurrency": 0}, {"on_drift": "no"}]
)
def test_read_tracks_rejects_a_bad_argument_before_any_request(fake: FakeJogg, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        read_tracks(**bad)
    assert fake.requests == []


def test_import_error_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.delitem(sys.modules, "jogg_async.dask")
    with pytest.raises(ImportError, match=r"pip install 'jogg-async\[dask\]'"):
        import_module("jogg_async.dask")
