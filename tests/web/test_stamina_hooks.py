"""stamina's hooks for Prometheus and structlog, called for the retries of this package."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from jogg_async import JoggSession
from jogg_async.testing import FakeJogg, Fault
from tests.conftest import AT_ONCE

from .conftest import EXAMPLES

prometheus_client: Any = pytest.importorskip("prometheus_client")
structlog: Any = pytest.importorskip("structlog")
instrumentation: Any = pytest.importorskip("stamina.instrumentation")


@pytest.fixture
def hooks() -> Iterator[Any]:
    """Return stamina's instrumentation, whose hooks are reset afterwards."""
    yield instrumentation
    instrumentation.set_on_retry_hooks(None)


async def retry_twice(fake: FakeJogg) -> None:
    """Send a request that fails with a system error and with a cut connection before it succeeds."""
    fake.fail(Fault.business(50000, http_status=500))
    fake.fail(Fault.truncate())
    async with JoggSession(fake.api_key, base_url=fake.url, retry=AT_ONCE) as jogg:
        await jogg.page(7)


def counted(number: int, error: str) -> float:
    """Return the value of the counter of retries for an attempt and an error."""
    labels = {"callable": "jogg_async", "retry_num": str(number), "error_type": f"jogg_async.errors.{error}"}
    return float(prometheus_client.REGISTRY.get_sample_value("stamina_retries_total", labels) or 0)


def test_example_prints_the_retries_that_prometheus_counted(fake_jogg_env: FakeJogg) -> None:
    fake_jogg_env.fail(500)
    example = str(EXAMPLES / "stamina_example.py")
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, check=True)
    assert "2500 tracks" in done.stdout
    labels = 'callable="jogg_async",error_type="jogg_async.errors.ServerError",retry_num="1"'
    assert f"stamina_retries_total{{{labels}}} 1.0" in done.stdout
    assert "stamina.retry_scheduled" in done.stdout


async def test_prometheus_counts_retries_by_attempt_and_error(hooks: Any, fake_jogg: FakeJogg) -> None:
    hooks.set_on_retry_hooks([hooks.PrometheusOnRetryHook])
    before = [counted(1, "ServerError"), counted(2, "TransportError"), counted(3, "ServerError")]
    await retry_twice(fake_jogg)
    after = [counted(1, "ServerError"), counted(2, "TransportError"), counted(3, "ServerError")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 0]


async def test_structlog_logs_each_retry_as_an_event(hooks: Any, fake_jogg: FakeJogg) -> None:
    hooks.set_on_retry_hooks([hooks.StructlogOnRetryHook])
    with structlog.testing.capture_logs() as events:
        await retry_twice(fake_jogg)
    first, second = ({name: event[name] for name in ("event", "callable", "retry_num", "args")} for event in events)
    request = f"GET {fake_jogg.url}/v2/musics?page_size=10&page=7"
    assert first == {
        "event": "stamina.retry_scheduled",
        "callable": "jogg_async",
        "retry_num": 1,
        "args": (repr(request),),
    }
    assert second["retry_num"] == 2
    assert "ServerError" in events[0]["caused_by"]
    assert fake_jogg.api_key not in repr(events)


async def test_structlog_renders_the_facts_of_a_log_record(
    fake_jogg: FakeJogg, capsys: pytest.CaptureFixture[str]
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        processor=structlog.processors.JSONRenderer(sort_keys=True),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logger = logging.getLogger("jogg_async")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        fake_jogg.fail(Fault.html(502))
        async with JoggSession(fake_jogg.api_key, base_url=fake_jogg.url, retry=AT_ONCE) as jogg:
            await jogg.page()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    line = capsys.readouterr().err
    assert '"jogg_event": "retry"' in line
    assert '"jogg_http_status": 502' in line
