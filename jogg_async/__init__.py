"""The asyncio client for JoggAI's background-music catalogue.

::

    async with JoggSession() as jogg:  # the key from JOGG_API_KEY
        async for track in jogg.tracks(mood="Calm"):
            print(track.id, track.name, track.duration)

Each public name loads its module at first use. pytest imports this package for its plugin in every project of the
environment, and should not load an HTTP client there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .downloads import *
    from .errors import *
    from .models import *
    from .pager import *
    from .report import *
    from .retry import *
    from .session import *
    from .tracklist import *

__all__ = [
    "APIError",
    "AuthenticationError",
    "CatalogueChangedError",
    "CatalogueChangedWarning",
    "ConfigurationError",
    "DecodeError",
    "DownloadProgress",
    "DownloadReport",
    "InsufficientCreditError",
    "InvalidRecord",
    "JoggError",
    "JoggSession",
    "NotFoundError",
    "Page",
    "PageIterator",
    "Pagination",
    "ParameterError",
    "PermissionDeniedError",
    "Progress",
    "RateLimitError",
    "RetryPolicy",
    "SaveReport",
    "ServerError",
    "SessionClosedError",
    "Track",
    "TrackList",
    "TrackPager",
    "TransportError",
    "__version__",
    "download",
]

_MODULES = ("errors", "models", "report", "retry", "tracklist", "pager", "session", "downloads")
"""Modules that define the public names. Each imports only modules that stand before it."""

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error

    def __getattr__(name: str) -> Any:
        for module in _MODULES if name in __all__ else ():
            home = import_module(f".{module}", __name__)
            if name in home.__all__:
                globals()[name] = value = getattr(home, name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
