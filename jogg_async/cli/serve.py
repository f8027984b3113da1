"""`jogg-async serve`: runs a fake of the service for other programs."""

from __future__ import annotations

import asyncio
import math
import sys
from functools import partial
from typing import Annotated, Final

import attrs
from cyclopts import Parameter, validators

from jogg_async.testing import FakeJogg, RateLimit, RecordedRequest

from .failure import ExitCode
from .options import WHOLE
from .outlet import Outlet
from .running import Ending, run
from .terminal import Screen

_SECONDS: Final = Parameter(validator=validators.Number(gte=0, lt=math.inf))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Fake:
    """How the fake behaves.

    Attributes:
        tracks: Number of tracks.
        port: Port to listen on; 0 for any free port.
        latency: Seconds from each request to its response.
        jitter: Up to this many seconds more, at random.
        rate_limit: Requests allowed per second; the rest get code 429.
        burst: Requests allowed at once under --rate-limit.
        error_rate: Share of requests, 0 to 1, that fail with code 50000.
        seed: Seed of the generated tracks and of everything random.
    """

    tracks: Annotated[int, WHOLE, Parameter(validator=validators.Number(gte=0, lte=sys.maxsize))] = 2500
    port: Annotated[int, WHOLE, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0
    latency: Annotated[float, _SECONDS] = 0.0
    jitter: Annotated[float, _SECONDS] = 0.0
    rate_limit: Annotated[float | None, Parameter(validator=validators.Number(gt=0, lt=math.inf))] = None
    burst: Annotated[int, WHOLE, Parameter(validator=validators.Number(gte=1))] = 10
    error_rate: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.0
    seed: Annotated[int, WHOLE] = 0


def serve(
    *,
    fake: Fake = Fake(),
    demo: Annotated[bool, Parameter(show_default=False)] = False,  # noqa: ARG001 (see its help)
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"), show_default=False)] = False,
) -> int:
    """Run a fake of the service on this machine until Ctrl-C; print its address and the variables to set.

    Args:
        fake: how the fake behaves.
        demo: Has no effect: this command never needs a key.
        verbose: Log requests on standard error.
    """
    return run(partial(_serve, fake, verbose), after_signal=ExitCode.OK)


async def _serve(options: Fake, verbose: bool, ending: Ending) -> None:
    outlet, screen = Outlet(ending), Screen.of_process()
    fake = _fake(options)
    if verbose:
        fake.on_request = partial(_log_request, screen)
    async with fake:
        await outlet.run_in_thread(partial(outlet.write, _notice(fake).encode()))
        await asyncio.Event().wait()


def _fake(options: Fake) -> FakeJogg:
    limit = options.rate_limit
    return FakeJogg(
        options.tracks,
        seed=options.seed,
        port=options.port,
        latency=options.latency,
        jitter=options.jitter,
        rate_limit=None if limit is None else RateLimit(limit, options.burst),
        error_rate=options.error_rate,
        record=False,
    )


def _notice(fake: FakeJogg) -> str:
    lines = (
        f"Serving {len(fake.catalogue):,} tracks on {fake.url}; press Ctrl-C to stop.",
        f"export JOGG_BASE_URL={fake.url}",
        f"export JOGG_API_KEY={fake.api_key}",
    )
    return "\n".join((*lines, ""))


def _log_request(screen: Screen, seen: RecordedRequest) -> None:
    query = "&".join(f"{name}={value}" for name, value in seen.query.items())
    screen.note(f"{seen.method} {seen.path}{'?' if query else ''}{query}")
