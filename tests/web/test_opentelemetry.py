"""Spans of the aiohttp instrumentation, kept by the in-memory exporter: one for each request, none with the key."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import aiohttp
import pytest

from jogg_async import JoggSession, ServerError
from jogg_async.testing import FakeJogg, Fault
from tests.conftest import AT_ONCE

from .conftest import EXAMPLES

instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
sdk: Any = pytest.importorskip("opentelemetry.sdk.trace")
trace: Any = pytest.importorskip("opentelemetry.trace")
export: Any = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory: Any = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

KEY: Final = "canary-7f3a9c51e8d24b60-key"
HEADERS: Final = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS"


@pytest.fixture(scope="module")
def exporter() -> Any:
    """Return the exporter of all spans, shared by the module: a process can set one tracer provider only."""
    exporter, provider = in_memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: Any) -> Iterator[Any]:
    """Instrument aiohttp during the test, and return the exporter without earlier spans."""
    exporter.clear()
    instrumentation.AioHttpClientInstrumentor().instrument()
    yield exporter
    instrumentation.AioHttpClientInstrumentor().uninstrument()


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the example."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "opentelemetry_example", raising=False)
    return __import__("opentelemetry_example")


def requests(exporter: Any) -> list[Any]:
    """Return the spans of HTTP requests."""
    return [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.CLIENT]


def status(span: Any) -> Any:
    """Return the HTTP status that a span holds."""
    return span.attributes.get("http.status_code")


async def test_example_has_a_child_span_of_the_crawl_for_each_request(
    spans: Any, example: ModuleType, fake_jogg_env: FakeJogg
) -> None:
    assert await example.crawl() == 2500
    (crawl,) = (span for span in spans.get_finished_spans() if span.name == "crawl")
    assert dict(crawl.attributes) == {"tracks": 2500}
    assert len(requests(spans)) == len(fake_jogg_env.requests) == 25
    assert {span.parent.span_id for span in requests(spans) if span.parent} == {crawl.context.span_id}
    assert {status(span) for span in requests(spans)} == {200}


async def test_each_attempt_of_a_request_has_a_span(spans: Any, fake_jogg: FakeJogg) -> None:
    fake_jogg.fail(500, times=2)
    async with JoggSession(fake_jogg.api_key, base_url=fake_jogg.url, retry=AT_ONCE) as jogg:
        await jogg.page()
    assert [status(span) for span in requests(spans)] == [500, 500, 200]


async def test_each_request_over_an_instrumented_session_of_the_caller_has_one_span(
    spans: Any, fake_jogg: FakeJogg
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        JoggSession(fake_jogg.api_key, base_url=fake_jogg.url, http=http) as jogg,
    ):
        await jogg.page()
    assert len(requests(spans)) == len(fake_jogg.requests) == 1


async def test_traces_of_the_caller_session_alone_give_each_request_one_span(
    exporter: Any, fake_jogg: FakeJogg
) -> None:
    exporter.clear()
    async with (
        aiohttp.ClientSession(trace_configs=[instrumentation.create_trace_config()]) as http,
        JoggSession(fake_jogg.api_key, base_url=fake_jogg.url, http=http) as jogg,
    ):
        await jogg.page()
    assert len(requests(exporter)) == 1


async def test_no_span_has_the_key(spans: Any) -> None:
    with FakeJogg(250, api_key=KEY) as fake:
        fake.fail(Fault.truncate())
        fake.fail(Fault.business(50000, KEY, rid=KEY), page=2, times=None)
        async with JoggSession(KEY, base_url=fake.url, retry=AT_ONCE) as jogg:
            with pytest.raises(ServerError):
                await jogg.tracks().collect()
    assert len(requests(spans)) == len(fake.requests)
    assert KEY not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_captured_headers_have_no_key_if_its_header_is_configured_as_sensitive(
    monkeypatch: pytest.MonkeyPatch, exporter: Any
) -> None:
    monkeypatch.setenv(f"{HEADERS}_CLIENT_REQUEST", ".*")
    monkeypatch.setenv(f"{HEADERS}_SANITIZE_FIELDS", "x-api-key")
    exporter.clear()
    instrumentation.AioHttpClientInstrumentor().instrument()
    try:
        with FakeJogg(10, api_key=KEY) as fake:
            async with JoggSession(KEY, base_url=fake.url) as jogg:
                await jogg.page()
    finally:
        instrumentation.AioHttpClientInstrumentor().uninstrument()
    (span,) = requests(exporter)
    captured = {name: value for name, value in span.attributes.items() if "header" in name}
    assert captured["http.request.header.x_api_key"] == ("[REDACTED]",)
    assert captured["http.request.header.accept"] == ("application/json",)
    assert KEY not in span.to_json()
