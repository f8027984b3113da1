"""Count retries with Prometheus and log them with structlog, through stamina's hooks."""

import asyncio

import prometheus_client
from stamina import instrumentation  # jogg-async calls the hooks in applications that import stamina

from jogg_async import JoggSession


def set_up_hooks() -> None:
    """Replace stamina's default, which is one hook for the log."""
    instrumentation.set_on_retry_hooks([instrumentation.PrometheusOnRetryHook, instrumentation.StructlogOnRetryHook])


async def main() -> None:
    """Print the number of tracks, and the metrics."""
    async with JoggSession() as jogg:
        print(await jogg.count(), "tracks")
    print(prometheus_client.generate_latest().decode())


if __name__ == "__main__":
    set_up_hooks()
    asyncio.run(main())
