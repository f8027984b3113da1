"""Trace the requests of a crawl with OpenTelemetry: a span for each, below the span of the crawl."""

import asyncio

from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from jogg_async import JoggSession

tracer = trace.get_tracer(__name__)


def set_up_tracing() -> None:
    """Print the spans. In production, export them: ``OTLPSpanExporter`` in place of ``ConsoleSpanExporter``."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    AioHttpClientInstrumentor().instrument()  # before the first session: it adds its traces to those made later


async def crawl(mood: str | None = None) -> int:
    """Return the number of tracks."""
    with tracer.start_as_current_span("crawl") as span:
        async with JoggSession() as jogg:
            tracks = await jogg.tracks(mood=mood).collect()
        span.set_attribute("tracks", len(tracks))
    return len(tracks)


if __name__ == "__main__":
    set_up_tracing()
    print(asyncio.run(crawl()), "tracks")
