"""Reports of a retry: one log record, and stamina's hooks if the application uses stamina."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from jogg_async import JoggError, JoggSession, RetryPolicy, ServerError
from jogg_async.testing import FakeJogg, Fault
from tests.simulation import Simulation, simulate

if TYPE_CHECKING:
    from tests.conftest import MakeFake

KEY: Final = "canary-7f3a9c51e8d24b60-key"
EXACT: Final = RetryPolicy(attempts=3, wait_initial=2.0, wait_jitter=0.0)


@pytest.fixture
def hooked() -> Iterator[list[RetryDetails]]:
    """Record the arguments of calls to stamina's hooks."""
    seen: list[RetryDetails] = []

    def hook(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([hook])
    yield seen
    set_on_retry_hooks(None)


async def failing_page(simulation: Simulation) -> str:
    simulation.fake.fail(Fault.business(50000, "no luck"), times=None)
    with pytest.raises(ServerError):
        await simulation.jogg.page(7)
    return simulation.fake.url


def test_stamina_hooks_are_called_for_each_retry(hooked: list[RetryDetails]) -> None:
    url = simulate(failing_page, retry=EXACT)
    assert [(each.retry_num, each.wait_for, each.waited_so_far) for each in hooked] == [(1, 2.0, 0.0), (2, 4.0, 2.0)]
    assert {(each.name, each.args) for each in hooked} == {
        ("jogg_async", (f"GET {url}/v2/musics?page_size=10&page=7",))
    }
    assert [each.kwargs for each in hooked] == [{}, {}]
    first, second = (each.caused_by for each in hooked)
    assert isinstance(first, ServerError)
    assert first is not second
    assert (first.page, first.attempts, first.code) == (7, 1, 50000)
    assert str(first).startswith(f"GET {url}/v2/musics")


def test_context_manager_of_a_stamina_hook_is_open_during_the_wait() -> None:
    states: list[str] = []

    @contextmanager
    def waiting(details: RetryDetails) -> Generator[None]:
        states.append("waiting")
        yield
        states.append("sent again")

    async def scenario(simulation: Simulation) -> None:
        simulation.fake.fail(Fault.html(500))
        await simulation.jogg.page()
        states.append(f"{simulation.times}")

    set_on_retry_hooks([waiting, waiting])
    try:
        simulate(scenario, retry=EXACT)
    finally:
        set_on_retry_hooks(None)
    assert states == ["waiting", "waiting", "sent again", "sent again", "[0.0, 2.0]"]


def test_final_failure_and_success_call_no_stamina_hook(hooked: list[RetryDetails]) -> None:
    async def scenario(simulation: Simulation) -> None:
        await simulation.jogg.page()
        simulation.fake.fail(Fault.business(40000))
        with pytest.raises(JoggError):
            await simulation.jogg.page()

    simulate(scenario)
    assert hooked == []


async def test_stamina_hook_sees_no_key(make_fake: MakeFake, hooked: list[RetryDetails]) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.business(50000, f"no luck with {KEY}", rid=KEY))
    async with JoggSession(KEY, base_url=fake.url, retry=RetryPolicy(wait_initial=0.0, wait_jitter=0.0)) as jogg:
        await jogg.page(params={"api_key": KEY})
    (details,) = hooked
    told = [str(details), str(details.caused_by), repr(vars(details.caused_by))]
    assert not [text for text in told if KEY in text]
    assert details.caused_by.__traceback__ is None


def test_logging_hook_of_stamina_logs_a_warning(stamina_log: pytest.LogCaptureFixture) -> None:
    simulate(failing_page, retry=EXACT)
    records = [record for record in stamina_log.records if record.name == "stamina"]
    assert [record.levelno for record in records] == [logging.WARNING] * 2


def test_each_retry_is_logged_once_as_information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = simulate(failing_page, retry=EXACT)
    records = [record for record in caplog.records if record.name == "jogg_async.retry"]
    request = f"GET {url}/v2/musics?page_size=10&page=7"
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("INFO", f"{request}: attempt 1 failed with ServerError; retrying in 2.00 s"),
        ("INFO", f"{request}: attempt 2 failed with ServerError; retrying in 4.00 s"),
    ]


def test_no_handler_is_put_on_any_logger() -> None:
    simulate(failing_page, retry=EXACT)
    assert [logging.getLogger(name).handlers for name in ("jogg_async", "stamina", "tenacity")] == [[], [], []]


SCRIPT: Final = """
import asyncio, sys
from jogg_async import JoggSession, RetryPolicy, ServerError

async def main(url):
    async with JoggSession("fake-jogg-key", base_url=url, retry=RetryPolicy(attempts=3, wait_initial=0)) as jogg:
        try:
            await jogg.page()
        except ServerError as error:
            print(error.attempts, "stamina" in sys.modules, "tenacity" in sys.modules)

asyncio.run(main(sys.argv[1]))
"""


def test_plain_script_prints_nothing_about_retries() -> None:
    with FakeJogg(10) as fake:
        fake.fail(Fault.html(500), times=None)
        command = [sys.executable, "-c", SCRIPT, fake.url]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("3 False False\n", "")


async def test_warning_of_a_skipped_record_shows_no_key(make_fake: MakeFake, caplog: pytest.LogCaptureFixture) -> None:
    fake = await make_fake(10, api_key=KEY)
    fake.fail(Fault.wrong_types("id", KEY))
    async with JoggSession(KEY, base_url=fake.url) as jogg:
        assert len((await jogg.page(2, page_size=5, on_invalid="skip")).tracks) == 4
    (record,) = [record for record in caplog.records if record.name == "jogg_async.record_skipped"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("page 2: invalid record skipped: ")
    assert KEY not in record.getMessage()
