"""Run every Python block of the README and the docs against a fake service."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

import jogg_async
from jogg_async import JoggSession, ServerError, TrackPager
from jogg_async.testing import FakeJogg, Fault

from . import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


QUOTED = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "examples").glob("*.py")))
"""Text of the files in docs/examples. Blocks that quote it run with those files, in the nox session `web`."""

# Those of engines.md need dlt and Dask: tests/engines/test_docs.py runs them.
EXAMPLES = {
    f"{page.name}-{number}": block
    for page in PAGES
    if page.name != "engines.md"
    for number, block in enumerate(blocks(page, "python"))
    if block not in QUOTED
}


def run_example(text: str) -> dict[str, Any]:
    """Run the example that contains `text`, and return its names."""
    (block,) = {block for block in EXAMPLES.values() if text in block}
    return run(block)


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "example", "exec"), names)
    return names


@pytest.fixture
def fake(fake_jogg_env: FakeJogg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJogg:
    """Start a fake with 2,500 tracks, set the environment variables to its key and address, and enter a new folder."""
    monkeypatch.chdir(tmp_path)
    return fake_jogg_env


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_docs_runs(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(EXAMPLES[example])


@pytest.mark.usefixtures("fake")
def test_the_download_examples_fill_a_folder_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("were there already")
    run_example("were there already")
    size = 50 * 24_044
    assert capsys.readouterr().out == (
        f"50 files, {size} bytes, 0 were there already\n0 files, 0 bytes, 50 were there already\n"
    )
    run_example("DownloadProgress")
    assert capsys.readouterr().out.splitlines()[-1].startswith("20 of 20 files, ")
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


@pytest.fixture(autouse=True)
def no_log_set_up() -> Iterator[None]:
    """Undo what an example sets up in the logging module."""
    yield
    logging.captureWarnings(False)
    logging.getLogger("jogg_async").setLevel(logging.NOTSET)


def test_at_least_ten_examples_are_found_in_the_docs() -> None:
    assert len(EXAMPLES) >= 10


def test_the_first_example_prints_every_calm_track(fake: FakeJogg, capsys: pytest.CaptureFixture[str]) -> None:
    run(EXAMPLES["README.md-0"])
    calm = fake.catalogue.filtered(mood="Calm")
    assert capsys.readouterr().out.splitlines() == [f"{row['id']} {row['name']} {row['duration']}" for row in calm]


def test_the_list_example_prints_a_summary(fake: FakeJogg, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("sum(track.duration or 0")
    rows = list(fake.catalogue.filtered(genre="Corporate"))[:500]
    assert capsys.readouterr().out == f"{len(rows)} {rows[0]['name']} {sum(row['duration'] for row in rows)}\n"


def test_the_data_frame_example_makes_frames_of_a_crawl_and_of_a_page(
    fake: FakeJogg, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    run_example("pyarrow.table(tracks)")
    seconds = sum(row["duration"] for row in fake.catalogue.filtered(genre="Corporate"))
    assert capsys.readouterr().out == f"{seconds} seconds of music\n10 rows\n"


def test_the_error_example_prints_the_tracks_before_the_error(
    fake: FakeJogg, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fail(Fault.business(18020, rid="f" * 32), page=2)
    run_example("error.attempts")
    *names, text, facts = capsys.readouterr().out.splitlines()
    assert names == [row["name"] for row in fake.catalogue[:100]]
    assert "page=2" in text
    assert facts == f"page 2 failed after 1 attempts, request id {'f' * 32}"


def test_the_checkpoint_example_continues_with_the_next_track(
    fake: FakeJogg, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example("continued with")
    assert capsys.readouterr().out == "continued with 121\n"
    assert fake.requests


@pytest.mark.usefixtures("fake")
def test_the_limiter_example_prints_the_number_of_tracks(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("AsyncLimiter(100, 1)")
    assert capsys.readouterr().out == "2500 tracks\n"


def test_the_mirror_example_continues_with_the_first_page_that_was_not_stored(fake: FakeJogg) -> None:
    mirror: Callable[[sqlite3.Connection], Coroutine[Any, Any, None]] = run_example("async def mirror")["mirror"]
    fake.fail(Fault.business(50000, retry_after=4000), page=3)
    with closing(sqlite3.connect(":memory:")) as database:
        with pytest.raises(ServerError):
            asyncio.run(mirror(database))
        assert stored(database) == ([row["id"] for row in fake.catalogue[:200]], [3])
        fake.clear()
        asyncio.run(mirror(database))
        assert stored(database) == ([row["id"] for row in fake.catalogue], [])
    assert min(page or 0 for page in fake.pages) == 3


def test_the_nightly_example_brings_a_mirror_up_to_date(fake: FakeJogg, capsys: pytest.CaptureFixture[str]) -> None:
    run_example('save("catalogue.db", resume=True)')
    fake.catalogue.remove_ids(1)
    run_example('save("catalogue.db", resume=True)')
    assert capsys.readouterr().out == "2500 new, 0 changed, 0 gone\n0 new, 0 changed, 1 gone\n"


def test_the_documented_schema_of_the_mirror_is_the_real_one(fake: FakeJogg) -> None:
    run_example('save("catalogue.db", resume=True)')
    (documented,) = blocks(ROOT / "docs" / "crawls.md", "sql")[:1]
    with closing(sqlite3.connect("catalogue.db")) as database:
        real = [row[0] for row in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
        mirror_version = database.execute("PRAGMA user_version").fetchone()[0]
    without_comments = re.sub(r"\s*--.*", "", documented)
    assert [" ".join(each.split()) for each in without_comments.split(";") if each.strip()] == [
        " ".join(each.split()) for each in real
    ]
    assert f"schema version {mirror_version}" in (ROOT / "docs" / "crawls.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("fake")
def test_the_example_of_formats_opens_the_same_tracks_in_each(capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("pandas", "polars", "duckdb"):
        pytest.importorskip(module)
    run_example("pandas.read_parquet")
    assert set(capsys.readouterr().out.split()) == {"244"}


def stored(database: sqlite3.Connection) -> tuple[list[int], list[int]]:
    """Return the ids in the mirror and the page of its checkpoint."""
    ids = [row[0] for row in database.execute("SELECT id FROM tracks ORDER BY id")]
    return ids, [json.loads(row[0])["page"] for row in database.execute("SELECT checkpoint FROM progress")]


def test_the_log_example_prints_retries(fake: FakeJogg) -> None:
    fake.fail(500)
    (block,) = (block for block in EXAMPLES.values() if "logging.basicConfig" in block)
    count = "import asyncio\nfrom jogg_async import JoggSession\nasyncio.run(JoggSession().count())\n"
    done = subprocess.run([sys.executable, "-c", block + count], capture_output=True, text=True, check=True)
    assert " INFO jogg_async.retry: GET " in done.stderr


def test_the_json_example_renders_the_facts_of_a_record() -> None:
    formatter = run_example("class JsonFormatter")["JsonFormatter"]()
    record = logging.makeLogRecord({"msg": "page %d", "args": (7,), "jogg_event": "retry", "jogg_page": 7})
    rendered = json.loads(formatter.format(record))
    assert rendered == {"time": rendered["time"], "message": "page 7", "jogg_event": "retry", "jogg_page": 7}


def test_the_web_example_serves_a_page(fake: FakeJogg) -> None:
    status, body, _ = get("/music?page=2")
    assert status == 200
    assert body["tracks"] == list(fake.catalogue[20:40])
    assert get("/health")[:2] == (200, {"paused": 0.0})


@pytest.mark.parametrize("page", ["abc", "0", "-1", "1.5", ""])
def test_the_web_example_refuses_a_bad_page(fake: FakeJogg, page: str) -> None:
    assert get(f"/music?page={page}")[:2] == (400, {"error": "page must be a whole number, 1 or more"})
    assert fake.requests == []


def test_the_web_example_passes_a_rate_limit_on(fake: FakeJogg) -> None:
    fake.fail(Fault.business(429, retry_after=40), times=None)
    status, body, retry_after = get("/music")
    assert (status, body) == (503, {"error": "busy"})
    assert retry_after is not None
    assert 30 <= int(retry_after) <= 41
    assert len(fake.requests) == 1


def test_the_web_example_does_not_wait_for_a_pause_of_the_session(fake: FakeJogg) -> None:
    fake.fail(Fault.business(429, retry_after=40), times=None)
    names = web_names()
    names["asyncio"] = SimpleTimeout
    # The second request would wait for the pause to end.
    first, second = asyncio.run(responses(names["make_app"](), "/music", "/music"))
    assert (first[0], second[0]) == (503, 503)
    assert len(fake.requests) == 1


class SimpleTimeout:
    """Stand-in for the module `asyncio` with short timeouts."""

    @staticmethod
    def timeout(_: float) -> asyncio.Timeout:
        return asyncio.timeout(0.2)


def test_the_web_example_reports_another_failure(fake: FakeJogg) -> None:
    fake.fail(Fault.business(10105, rid="e" * 32))
    assert get("/music")[:2] == (502, {"error": "AuthenticationError", "rid": "e" * 32})


def web_names() -> dict[str, Any]:
    return run_example("def make_app")


def get(path: str) -> tuple[int, Any, str | None]:
    """Return status, body and Retry-After header of a response of the example's app."""
    (response,) = asyncio.run(responses(web_names()["make_app"](), path))
    return response


async def responses(app: Any, *paths: str) -> list[tuple[int, Any, str | None]]:
    found: list[tuple[int, Any, str | None]] = []
    async with TestClient(TestServer(app)) as client:
        for path in paths:
            async with client.get(path) as response:
                found.append((response.status, await response.json(), response.headers.get("Retry-After")))
    return found


def test_the_test_example_passes_in_a_project_set_up_as_described(pytester: pytest.Pytester) -> None:
    page = ROOT / "docs" / "testing.md"
    (settings,) = blocks(page, "toml")
    (tests,) = (block for block in blocks(page, "python") if "def test_" in block)
    pytester.makepyprojecttoml(settings)
    pytester.makepyfile(tests)
    pytester.runpytest_subprocess().assert_outcomes(passed=tests.count("async def test_"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_have_targets(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)\s]*)\)", text) + re.findall(r'(?:src|srcset)="([^"]*)"', text):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub generates from a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_reference_matches_the_docstrings() -> None:
    written = reference.PAGE.read_text(encoding="utf-8")
    assert written == reference.render_page(), "run `python -m tests.reference`"


def test_the_reference_has_every_public_name() -> None:
    kit = importlib.import_module("jogg_async.testing")
    listed = [name for names in reference.SECTIONS.values() for name in names]
    assert sorted(listed) == sorted({*jogg_async.__all__, *kit.__all__} - {"__version__"})


@pytest.mark.parametrize(
    "member", [JoggSession.closed, TrackPager.invalid_records, FakeJogg.url], ids=["closed", "invalid_records", "url"]
)
def test_the_reference_does_not_cut_a_sentence_at_its_colon(member: property) -> None:
    sentence = (inspect.getdoc(member) or "").splitlines()[0].replace("``", "`")
    assert sentence.endswith(".")
    assert f"\n{sentence}\n" in reference.PAGE.read_text(encoding="utf-8")
