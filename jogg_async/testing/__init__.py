"""A fake of the service, for tests and demonstrations.

`FakeJogg` is a real HTTP server on loopback: give its `url` and `api_key` to a `JoggSession`. `Fault` lists what can go
wrong with it, `RateLimit` how it refuses, `Catalogue` what it serves. The fixtures `fake_jogg` and `jogg_session` come
with the pytest plugin in `jogg_async.testing.plugin`.

Names are imported at their first use: pytest imports this package in every project where it is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .catalogue import Catalogue, CatalogueView
    from .faults import Fault
    from .limits import RateLimit
    from .record import SeenRequest
    from .server import FakeJogg
    from .songs import GENRES, MOODS

__all__ = ["GENRES", "MOODS", "Catalogue", "CatalogueView", "FakeJogg", "Fault", "RateLimit", "SeenRequest"]

_ROOMS: Final = {
    "GENRES": "songs",
    "MOODS": "songs",
    "Catalogue": "catalogue",
    "CatalogueView": "catalogue",
    "FakeJogg": "server",
    "Fault": "faults",
    "RateLimit": "limits",
    "SeenRequest": "record",
}


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{room}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
