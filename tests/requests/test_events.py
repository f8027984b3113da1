"""Log records of retries, rate-limit pauses, changes of the catalogue and skipped records, with their attributes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from jogg_async import CatalogueChangedWarning, JoggError, RateLimitError, RetryPolicy, ServerError
from jogg_async._requests.events import FIELDS, log_drift, log_pause, log_retry, log_skipped
from jogg_async.models import InvalidRecord
from jogg_async.testing import Fault, RecordedRequest
from tests.conftest import AT_ONCE
from tests.http.leaks import leaks_in_log
from tests.http.raw import PAGE
from tests.simulation import Simulation, simulate

if TYPE_CHECKING:
    from tests.conftest import MakeFake, MakeSession

KEY: Final = "canary-7f3a9c51e8d24b60-key"
RID: Final = "d" * 32
EXACT: Final = RetryPolicy(attempts=3, wait_initial=2.0, wait_jitter=0.0)
STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, down to INFO."""
    caplog.set_level(logging.INFO)
    return caplog


def attributes(record: logging.LogRecord) -> dict[str, Any]:
    """Return the attributes that a record has beside those of every record."""
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


def events(log: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """Return the attributes of each record of an event."""
    return [attributes(record) for record in log.records if record.name == f"jogg_async.{event}"]


def test_retry_is_logged_with_its_facts(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> str:
        simulation.fake.fail(Fault.business(50000, http_status=500, rid=RID))
        simulation.fake.fail(Fault.html(502))
        await simulation.jogg.page(7)
        return simulation.fake.url

    url = simulate(scenario, retry=EXACT)
    assert {record.funcName for record in log.records if record.name != "stamina"} == {"log_retry"}
    request = {"jogg_event": "retry", "jogg_request": f"GET {url}/v2/musics?page_size=10&page=7", "jogg_page": 7}
    assert events(log, "retry") == [
        {
            **request,
            "jogg_attempt": 1,
            "jogg_wait": 2.0,
            "jogg_error": "ServerError",
            "jogg_code": 50000,
            "jogg_http_status": 500,
            "jogg_rid": RID,
        },
        {
            **request,
            "jogg_attempt": 2,
            "jogg_wait": 4.0,
            "jogg_error": "ServerError",
            "jogg_code": None,
            "jogg_http_status": 502,
            "jogg_rid": None,
        },
    ]


async def test_retry_after_a_broken_connection_has_neither_code_nor_status(
    make_fake: MakeFake, make_session: MakeSession, log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.truncate())
    await make_session(fake).page()
    (retry,) = events(log, "retry")
    facts = [retry[name] for name in ("jogg_error", "jogg_code", "jogg_http_status", "jogg_rid")]
    assert facts == ["TransportError", None, None, None]


def test_rate_limit_pause_is_logged_once_however_many_requests_it_refuses(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> int:
        simulation.fake.fail(Fault.business(429, retry_after=5, rid=RID), times=5, after=1)
        assert len(await simulation.jogg.tracks(page_size=10, concurrency=5).collect()) == 60
        return simulation.fake.refused

    assert simulate(scenario) == 5
    (pause,) = events(log, "pause")
    facts = [pause[name] for name in ("jogg_attempt", "jogg_wait", "jogg_error", "jogg_code", "jogg_rid")]
    assert facts == [1, 5.0, "RateLimitError", 429, RID]
    assert len(events(log, "retry")) == 5


@pytest.mark.parametrize(("waits", "logged"), [((1, 60, 59), [1.0, 60.0]), ((10, 15, 40), [10.0, 40.0])])
def test_pause_is_logged_again_only_if_it_is_twice_as_long_as_the_time_left(
    log: pytest.LogCaptureFixture, waits: tuple[int, ...], logged: list[float]
) -> None:
    async def scenario(simulation: Simulation) -> None:
        for page, wait in enumerate(waits, 2):
            simulation.fake.fail(Fault.business(429, retry_after=wait), page=page)

        async def respond_in_order(seen: RecordedRequest) -> None:
            await asyncio.sleep(0.01 * (seen.page or 0))

        simulation.fake.on_request = respond_in_order
        assert len(await simulation.jogg.tracks(page_size=10, concurrency=5).collect()) == 60

    simulate(scenario)
    assert [pause["jogg_wait"] for pause in events(log, "pause")] == logged


def test_refusal_that_pauses_nothing_logs_no_pause(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.business(429, retry_after=4000))
        with pytest.raises(RateLimitError):
            await simulation.jogg.page()
        assert simulation.jogg.paused == 0

    simulate(scenario)
    assert log.records == []


def test_request_that_succeeds_logs_nothing(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> None:
        assert len(await simulation.jogg.tracks(page_size=10).collect()) == 60

    simulate(scenario)
    assert log.records == []


def test_each_response_is_logged_at_debug_with_its_status_and_length(debug_log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> str:
        simulation.fake.fail(Fault.raw(b"seven b", status=502))
        simulation.fake.fail(Fault.raw(PAGE))
        await simulation.jogg.page(7, page_size=2)
        return f"GET {simulation.fake.url}/v2/musics?page_size=2&page=7"

    request = simulate(scenario)
    logged = [(record.levelname, record.getMessage()) for record in debug_log.records if record.name == "jogg_async"]
    assert logged == [("DEBUG", f"{request}: HTTP 502, 7 bytes"), ("DEBUG", f"{request}: HTTP 200, {len(PAGE)} bytes")]


def test_final_failure_raises_its_exception_and_logs_no_event(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.business(40000))
        with pytest.raises(JoggError):
            await simulation.jogg.page()

    simulate(scenario)
    assert log.records == []


async def test_skipped_record_is_logged_with_its_place(
    make_fake: MakeFake, make_session: MakeSession, log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.wrong_types("duration", 12.7, record=3))
    page = await make_session(fake).page(2, page_size=5, on_invalid="skip")
    assert events(log, "record_skipped") == [
        {
            "jogg_event": "record_skipped",
            "jogg_request": f"GET {fake.url}/v2/musics?page_size=5&page=2",
            "jogg_page": 2,
            "jogg_place": 3,
            "jogg_problem": "$.data.music[3].duration is 12.7, not a whole number",
            "jogg_rid": page.rid,
        }
    ]


CHANGES: Final[dict[str, tuple[Any, int, str]]] = {
    "total": (lambda data: data["pagination"].update(total_items=51), 2, "total_items was 50, now 51"),
    "pages": (lambda data: data["pagination"].update(total_pages=6), 2, "total_pages was 5, now 6"),
    "number": (lambda data: data["pagination"].update(page=4), 2, "page 2 was requested, the response names page 4"),
    "id": (lambda data: data["music"][0].update(id=1), 2, "an id came twice"),
    "records": (lambda data: data.update(music=data["music"][1:]), 5, "49 records came, total_items is 50"),
}


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
async def test_change_of_the_catalogue_is_logged_with_the_page_that_shows_it(
    make_fake: MakeFake,
    make_session: MakeSession,
    log: pytest.LogCaptureFixture,
    case: tuple[Any, int, str],
) -> None:
    change, page, text = case
    fake = await make_fake(50)
    fake.fail(Fault.patch(lambda envelope: change(envelope["data"])), page=page)
    pager = make_session(fake, concurrency=1).tracks(page_size=10, on_drift="ignore")
    await pager.collect()
    assert pager.progress.drifted
    request = f"GET {fake.url}/v2/musics?page_size=10&page={page}"
    expected = {"jogg_request": request, "jogg_page": page, "jogg_pass": 1, "jogg_change": text}
    assert events(log, "drift") == [{"jogg_event": "drift", **expected}]


async def test_empty_pages_before_the_last_are_logged_as_a_change(
    make_fake: MakeFake, make_session: MakeSession, log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(50)
    fake.fail(Fault.patch(lambda envelope: envelope["data"]["music"].clear()), times=None)
    await make_session(fake, concurrency=1).tracks(page_size=10, on_drift="ignore").collect()
    (drift,) = events(log, "drift")
    assert drift["jogg_change"] == "pages 1 to 3 are empty, before the last page"


async def test_each_pass_logs_its_first_change(
    make_fake: MakeFake, make_session: MakeSession, log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(50)
    fake.mutate_after(2, lambda catalogue: catalogue.insert(0), repeat=True)
    with pytest.warns(CatalogueChangedWarning):
        await make_session(fake, concurrency=1).tracks(page_size=10, on_drift="recrawl").collect()
    assert [drift["jogg_pass"] for drift in events(log, "drift")] == [1, 2, 3, 4, 5, 6]


async def test_no_attribute_of_a_record_has_the_key(
    make_fake: MakeFake, make_session: MakeSession, debug_log: pytest.LogCaptureFixture
) -> None:
    fake = await make_fake(50, api_key=KEY)
    for code in (429, 50000):
        fake.fail(Fault.business(code, KEY, rid=KEY, retry_after=0.001), page=1)
    fake.fail(Fault.wrong_types("id", KEY) + Fault.patch(lambda envelope: envelope.update(rid=KEY)), page=2)
    fake.fail(Fault.patch(lambda envelope: envelope["data"]["pagination"].update(page=9)), page=3)
    pager = make_session(fake, retry=RetryPolicy(wait_initial=0, wait_jitter=0)).tracks(
        page_size=10, on_drift="ignore", on_invalid="skip", params={"api_key": KEY}
    )
    await pager.collect()
    assert {event: bool(events(debug_log, event)) for event in FIELDS} == dict.fromkeys(FIELDS, True)
    assert leaks_in_log(debug_log.records, KEY) == []


async def test_event_can_be_silenced_by_its_logger(
    make_fake: MakeFake, make_session: MakeSession, log: pytest.LogCaptureFixture, quiet_retries: None
) -> None:
    fake = await make_fake(10)
    fake.fail(Fault.business(429, retry_after=0.001), times=None)
    with pytest.raises(RateLimitError):
        await make_session(fake).page()
    assert (len(events(log, "retry")), len(events(log, "pause"))) == (0, AT_ONCE.attempts)


@pytest.fixture
def quiet_retries() -> Iterator[None]:
    """Set the level of the logger of retries to WARNING."""
    logger = logging.getLogger("jogg_async.retry")
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(logging.NOTSET)


def test_each_event_has_its_level_function_and_text(log: pytest.LogCaptureFixture) -> None:
    error = ServerError("failed", code=50000, http_status=503, rid=RID)
    error.request_line, error.page, error.attempts = "GET /musics?page=7", 7, 2
    log_retry(error, 0.256)
    log_pause(error, 5.0)
    log_drift("GET /musics?page=7", 7, 1, "an id came twice")
    log_skipped("GET /musics?page=7", RID, [InvalidRecord(7, 0, "$.data.music[0].id is missing", {})])
    assert [(record.name, record.levelname, record.funcName, record.getMessage()) for record in log.records] == [
        (
            "jogg_async.retry",
            "INFO",
            "log_retry",
            "GET /musics?page=7: attempt 2 failed with ServerError; retrying in 0.26 s",
        ),
        (
            "jogg_async.pause",
            "INFO",
            "log_pause",
            "GET /musics?page=7: rate limit; all requests of the session pause for 5.00 s",
        ),
        (
            "jogg_async.drift",
            "INFO",
            "log_drift",
            "GET /musics?page=7: the catalogue changed during the crawl: an id came twice",
        ),
        (
            "jogg_async.record_skipped",
            "WARNING",
            "log_skipped",
            "page 7: invalid record skipped: $.data.music[0].id is missing",
        ),
    ]


def test_documentation_names_the_events_of_each_attribute() -> None:
    page = Path(__file__).parents[2] / "docs" / "observability.md"
    cells = re.findall(r"^\| `(jogg_(?!async)\w+)` \| ([\w, ]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: set(where.split(", ")) for name, where in cells}
    assert documented == {
        name: {event for event, names in FIELDS.items() if name in names} for names in FIELDS.values() for name in names
    }


def test_server_error_that_names_a_wait_is_logged_as_a_pause(log: pytest.LogCaptureFixture) -> None:
    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.raw(b"", status=503, headers={"Retry-After": "7"}), times=None)
        with pytest.raises(ServerError):
            await simulation.jogg.page(retry=RetryPolicy(attempts=1))

    simulate(scenario)
    (pause,) = events(log, "pause")
    assert (pause["jogg_error"], pause["jogg_http_status"], pause["jogg_wait"]) == ("ServerError", 503, 7.0)
