"""`jogg_async.dlt`: real pipelines from a fake service into DuckDB and Parquet files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

dlt = pytest.importorskip("dlt")
duckdb = pytest.importorskip("duckdb")

from dlt.pipeline.exceptions import PipelineStepFailed  # noqa: E402
from pyarrow import dataset  # noqa: E402

from jogg_async import (  # noqa: E402
    CatalogueChangedError,
    ConfigurationError,
    InsufficientCreditError,
    RetryPolicy,
    ServerError,
)
from jogg_async.dlt import tracks_resource  # noqa: E402
from jogg_async.testing import FakeJogg, Fault, RateLimit  # noqa: E402

NO_CREDIT = 18020
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.chdir(tmp_path)  # dlt looks for its settings there


@pytest.fixture
def fake(fake_jogg_env: FakeJogg) -> FakeJogg:
    return fake_jogg_env


class Loader:
    """Pipeline into one of the destinations, in a folder of its own."""

    def __init__(self, folder: Path, destination: str) -> None:
        self.folder, self.destination = folder, destination
        target = dlt.destinations.duckdb(str(folder / "warehouse.db"))
        if destination == "parquet":
            target = dlt.destinations.filesystem(bucket_url=(folder / "files").as_uri())
        self.pipeline = dlt.pipeline(
            "music", pipelines_dir=str(folder / "pipelines"), destination=target, dataset_name="music"
        )

    def run(self, resource: Any, **options: Any) -> None:
        if self.destination == "parquet":
            options["loader_file_format"] = "parquet"
        self.pipeline.run(resource, **options).raise_on_failed_jobs()

    def rows(self, table: str = "tracks") -> list[Row]:
        """Return the loaded rows, sorted by id."""
        found = self._arrow(table).to_pylist()
        return sorted(found, key=lambda row: row["id"])

    def _arrow(self, table: str) -> Any:
        if self.destination == "parquet":
            return dataset.dataset(self.folder / "files" / "music" / table).to_table()
        with duckdb.connect(str(self.folder / "warehouse.db")) as connection:
            return connection.sql(f"SELECT * FROM music.{table}").to_arrow_table()

    def has_table(self) -> bool:
        if self.destination == "parquet":
            return (self.folder / "files" / "music" / "tracks").exists()
        with duckdb.connect(str(self.folder / "warehouse.db")) as connection:
            return bool(connection.sql("FROM duckdb_tables() WHERE table_name = 'tracks'").fetchall())


@pytest.fixture(params=["duckdb", "parquet"])
def loader(request: pytest.FixtureRequest, tmp_path: Path) -> Loader:
    return Loader(tmp_path, request.param)


@pytest.fixture
def into_duckdb(tmp_path: Path) -> Loader:
    return Loader(tmp_path, "duckdb")


def expected(rows: Any) -> list[Row]:
    return sorted(({**row, "extra": None} for row in rows), key=lambda row: row["id"])


def cause(failure: pytest.ExceptionInfo[BaseException]) -> BaseException:
    """Return the innermost cause of a failed run."""
    error = failure.value
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def fail_once(loader: Loader, resource: Any, error: type[BaseException]) -> None:
    with pytest.raises(PipelineStepFailed) as failure:
        loader.run(resource)
    assert isinstance(cause(failure), error)


@pytest.mark.fake_jogg(tracks=12_345)
def test_first_run_loads_every_track(fake: FakeJogg, loader: Loader) -> None:
    loader.run(tracks_resource())
    assert loader.rows() == expected(fake.catalogue)
    assert len(fake.requests) == 124


@pytest.mark.fake_jogg(tracks=[{"id": 1, "name": "One", "bpm": 90}])
def test_undocumented_fields_are_loaded_as_a_json_object(fake: FakeJogg, loader: Loader) -> None:
    loader.run(tracks_resource())
    (row,) = loader.rows()
    assert (row["name"], row["duration"], row["extra"]) == ("One", None, '{"bpm":90}')


def test_filters_and_limit_are_passed_on(fake: FakeJogg, loader: Loader) -> None:
    loader.run(tracks_resource(mood="Calm", genre="Corporate", limit=10, page_size=7))
    assert loader.rows() == expected(fake.catalogue.filtered(mood="Calm", genre="Corporate")[:10])
    assert [dict(request.query)["page_size"] for request in fake.requests] == ["7", "7"]


def test_second_run_merges_a_changed_catalogue_by_id(fake: FakeJogg, into_duckdb: Loader) -> None:
    into_duckdb.run(tracks_resource())
    before = into_duckdb.rows()
    renamed: Row = {**fake.catalogue[100], "name": "Renamed"}
    fake.catalogue.remove_ids(renamed["id"])
    fake.catalogue.insert(100, track=renamed)
    (new,) = fake.catalogue.insert(0)
    gone = fake.catalogue[2000]["id"]
    fake.catalogue.remove_ids(gone)
    into_duckdb.run(tracks_resource())
    kept = [row for row in before if row["id"] == gone]
    assert into_duckdb.rows() == sorted(expected(fake.catalogue) + kept, key=lambda row: row["id"])
    assert new in {row["id"] for row in into_duckdb.rows()}


@pytest.mark.fake_jogg(tracks=250)
def test_catalogue_without_a_matching_track_makes_an_empty_table(fake: FakeJogg, into_duckdb: Loader) -> None:
    into_duckdb.run(tracks_resource(mood="none"))
    assert into_duckdb.rows() == []


@pytest.mark.fake_jogg(tracks=20_000)
@pytest.mark.parametrize("disposition", ["merge", "append", "replace"])
def test_run_after_a_failure_continues_and_loads_each_track_once(
    fake: FakeJogg, loader: Loader, disposition: str
) -> None:
    fake.fail(Fault.business(NO_CREDIT), page=77)
    fail_once(loader, tracks_resource(write_disposition=disposition), InsufficientCreditError)
    assert not loader.has_table()
    fake.clear()
    loader.run(tracks_resource(write_disposition=disposition))
    assert loader.rows() == expected(fake.catalogue)
    assert sorted(page or 0 for page in fake.pages) == list(range(77, 201))


@pytest.mark.fake_jogg(tracks=20_000)
def test_run_after_two_failures_continues_at_the_second(fake: FakeJogg, into_duckdb: Loader) -> None:
    for page in (60, 120):
        fake.fail(Fault.business(NO_CREDIT), page=page)
        fail_once(into_duckdb, tracks_resource(), InsufficientCreditError)
    fake.clear()
    into_duckdb.run(tracks_resource(on_drift="recrawl"))
    assert into_duckdb.rows() == expected(fake.catalogue)
    assert min(page or 0 for page in fake.pages) == 120


@pytest.mark.fake_jogg(tracks=3000)
def test_run_with_other_arguments_does_not_continue_a_failed_one(fake: FakeJogg, into_duckdb: Loader) -> None:
    fake.fail(Fault.business(NO_CREDIT), page=5)
    fail_once(into_duckdb, tracks_resource(), InsufficientCreditError)
    fake.clear()
    into_duckdb.run(tracks_resource(mood="Calm"))
    assert into_duckdb.rows() == expected(fake.catalogue.filtered(mood="Calm"))


@pytest.mark.fake_jogg(tracks=3000)
def test_failure_of_more_than_a_day_ago_is_forgotten(fake: FakeJogg, into_duckdb: Loader) -> None:
    fake.fail(Fault.business(NO_CREDIT), page=5)
    fail_once(into_duckdb, tracks_resource(), InsufficientCreditError)
    (saved,) = (Path(into_duckdb.pipeline.working_dir) / "jogg_async").iterdir()
    yesterday = saved.stat().st_mtime - 25 * 3600
    os.utime(saved, (yesterday, yesterday))
    fake.clear()
    into_duckdb.run(tracks_resource())
    assert min(page or 0 for page in fake.pages) == 1
    assert not saved.exists()


@pytest.mark.fake_jogg(tracks=3000)
def test_track_that_slid_to_a_later_page_between_two_runs_is_loaded_once(fake: FakeJogg, into_duckdb: Loader) -> None:
    fake.fail(Fault.business(NO_CREDIT), page=5)
    fail_once(into_duckdb, tracks_resource(write_disposition="append"), InsufficientCreditError)
    fake.clear()
    (new,) = fake.catalogue.insert(0)
    into_duckdb.run(tracks_resource(write_disposition="append", on_drift="ignore"))
    assert into_duckdb.rows() == expected(row for row in fake.catalogue if row["id"] != new)


@pytest.mark.fake_jogg(tracks=3000)
def test_run_that_raises_on_drift_loads_nothing_and_the_next_run_starts_anew(
    fake: FakeJogg, into_duckdb: Loader
) -> None:
    fake.mutate_after(3, lambda catalogue: catalogue.insert(0))
    fail_once(into_duckdb, tracks_resource(on_drift="raise"), CatalogueChangedError)
    fake.clear()
    into_duckdb.run(tracks_resource(on_drift="raise"))
    assert into_duckdb.rows() == expected(fake.catalogue)
    assert len(fake.requests) == 31


@pytest.mark.fake_jogg(tracks=20_000)
def test_tables_saved_by_a_run_with_add_limit_are_not_used_by_the_next_run(fake: FakeJogg, into_duckdb: Loader) -> None:
    into_duckdb.run(tracks_resource(name="part").add_limit(1), write_disposition="append")
    assert 5000 <= len(into_duckdb.rows("part")) < 20_000
    into_duckdb.run(tracks_resource(name="part"), write_disposition="replace")
    assert into_duckdb.rows("part") == expected(fake.catalogue)
    assert not any((Path(into_duckdb.pipeline.working_dir) / "jogg_async").iterdir())


KILLED = """
import dlt, sys
from jogg_async.dlt import tracks_resource
target = dlt.destinations.duckdb(sys.argv[2])
dlt.pipeline("music", pipelines_dir=sys.argv[1], destination=target, dataset_name="music").run(tracks_resource())
"""


@pytest.mark.fake_jogg(tracks=20_000)
def test_run_after_a_killed_process_continues(fake: FakeJogg, into_duckdb: Loader) -> None:
    reached, killed = threading.Event(), threading.Event()

    async def block(request: Any) -> None:
        if request.page == 150:
            reached.set()
            await asyncio.to_thread(killed.wait, 60)

    fake.on_request = block
    folders = [str(into_duckdb.folder / "pipelines"), str(into_duckdb.folder / "warehouse.db")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", KILLED, *folders], env=env) as process:
        assert reached.wait(60)
        saved = Path(into_duckdb.pipeline.working_dir) / "jogg_async"
        while len(list(saved.glob("*/*.arrow"))) < 2:
            killed.wait(0.05)
        process.send_signal(signal.SIGKILL)
    killed.set()
    fake.on_request = None
    fake.clear()
    into_duckdb.run(tracks_resource())
    assert into_duckdb.rows() == expected(fake.catalogue)
    assert min(page or 0 for page in fake.pages) == 101


@pytest.mark.fake_jogg(tracks=5000, rate_limit=RateLimit(100, burst=10, retry_after=0.05))
def test_rate_limit_is_waited_for(fake: FakeJogg, loader: Loader) -> None:
    loader.run(tracks_resource())
    assert loader.rows() == expected(fake.catalogue)
    assert fake.refused > 0


@pytest.mark.fake_jogg(tracks=[{"id": 1}, {"id": "two"}, {"id": 3}])
def test_invalid_record_is_skipped_with_on_invalid_skip(fake: FakeJogg, into_duckdb: Loader) -> None:
    into_duckdb.run(tracks_resource(on_invalid="skip"))
    assert [row["id"] for row in into_duckdb.rows()] == [1, 3]


def test_retry_policy_is_used(fake: FakeJogg, into_duckdb: Loader) -> None:
    fake.fail(50000, page=2, times=None)
    retry = RetryPolicy(attempts=2, wait_initial=0.0, wait_jitter=0.0)
    fail_once(into_duckdb, tracks_resource(retry=retry), ServerError)
    assert fake.pages.count(2) == 2


def test_key_from_the_dlt_secrets_is_used_and_stored_nowhere(
    fake: FakeJogg, into_duckdb: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.api_key = key = "the-key-in-the-secrets"
    fake._endpoint._api_key = key
    monkeypatch.setenv("SOURCES__JOGG__API_KEY", key)
    fake.fail(Fault.business(NO_CREDIT), page=5)
    resource = tracks_resource()
    with pytest.raises(PipelineStepFailed) as failure:
        into_duckdb.run(resource)
    into_duckdb.run(tracks_resource())
    assert len(into_duckdb.rows()) == 2500
    shown = [repr(resource), str(failure.value), into_duckdb.pipeline.default_schema.to_pretty_yaml()]
    shown += [str(into_duckdb.pipeline.state), into_duckdb.pipeline.last_trace.asstr(verbosity=2)]
    assert not [text for text in shown if key in text]
    files = [path for path in into_duckdb.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if key.encode() in path.read_bytes()]


def test_key_and_address_may_be_arguments(fake: FakeJogg, into_duckdb: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOGG_API_KEY")
    monkeypatch.delenv("JOGG_BASE_URL")
    into_duckdb.run(tracks_resource(api_key=fake.api_key, base_url=fake.url, concurrency=2))
    assert len(into_duckdb.rows()) == 2500
    assert fake.max_in_flight <= 2


def test_tracks_resource_raises_if_the_key_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOGG_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="JOGG_API_KEY"):
        tracks_resource()


@pytest.mark.parametrize("bad", [{"page_size": 101}, {"limit": -1}, {"on_drift": "no"}, {"params": {"page": 1}}])
def test_tracks_resource_rejects_a_bad_argument_before_any_request(fake: FakeJogg, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        tracks_resource(**bad)
    assert fake.requests == []


@pytest.mark.fake_jogg(tracks=250)
def test_resource_yields_arrow_tables_without_a_pipeline(fake: FakeJogg) -> None:
    (table,) = tracks_resource(limit=150)
    assert table.num_rows == 150
    assert table.column_names == ["id", "name", "music_url", "duration", "extra"]


def test_import_error_names_the_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    monkeypatch.delitem(sys.modules, "jogg_async.dlt")
    with pytest.raises(ImportError, match=r"pip install 'jogg-async\[dlt\]'"):
        import_module("jogg_async.dlt")
