"""Test kit: a fake of the service, for tests and demonstrations.

`FakeJogg` is a real HTTP server on loopback: pass its `url` and `api_key` to a `JoggSession`. `Fault` lists the faults
it can inject, `RateLimit` sets how it limits requests, `Catalogue` holds the tracks it serves. The pytest plugin
`jogg_async.testing.plugin` has the fixtures `fake_jogg`, `fake_jogg_env`, `jogg_session` and `fast_jogg_retries`.

Names are imported at first use: pytest imports this package in every project where it is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ._behaviour import RateLimit
    from ._catalogue import Catalogue, CatalogueView
    from ._fake import FakeJogg
    from ._faults import Fault
    from ._records import RecordedRequest
    from ._tracks import GENRES, MOODS

__all__ = ["GENRES", "MOODS", "Catalogue", "CatalogueView", "FakeJogg", "Fault", "RateLimit", "RecordedRequest"]

_MODULES: Final = {
    "GENRES": "_tracks",
    "MOODS": "_tracks",
    "Catalogue": "_catalogue",
    "CatalogueView": "_catalogue",
    "FakeJogg": "_fake",
    "Fault": "_faults",
    "RateLimit": "_behaviour",
    "RecordedRequest": "_records",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
