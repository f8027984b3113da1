"""The asyncio client for JoggAI's background-music catalogue.

::

    async with JoggSession() as jogg:  # the key from JOGG_API_KEY
        async for track in jogg.tracks(mood="Calm"):
            print(track.id, track.name, track.duration)

The names load when they are first used: pytest imports this package for its plugin in every project beside which it is
installed, and must not pay for an HTTP client there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .errors import (
        APIError,
        AuthenticationError,
        CatalogueChangedError,
        CatalogueChangedWarning,
        ConfigurationError,
        DecodeError,
        InsufficientCreditError,
        JoggError,
        NotFoundError,
        ParameterError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
        SessionClosedError,
        TransportError,
    )
    from .models import InvalidRecord, Page, Pagination, Track
    from .pager import PageIterator, Progress, TrackPager
    from .retry import RetryPolicy
    from .session import JoggSession
    from .tracklist import TrackList

__all__ = [
    "APIError",
    "AuthenticationError",
    "CatalogueChangedError",
    "CatalogueChangedWarning",
    "ConfigurationError",
    "DecodeError",
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
    "ServerError",
    "SessionClosedError",
    "Track",
    "TrackList",
    "TrackPager",
    "TransportError",
    "__version__",
]

_HOMES = {
    "APIError": "errors",
    "AuthenticationError": "errors",
    "CatalogueChangedError": "errors",
    "CatalogueChangedWarning": "errors",
    "ConfigurationError": "errors",
    "DecodeError": "errors",
    "InsufficientCreditError": "errors",
    "JoggError": "errors",
    "NotFoundError": "errors",
    "ParameterError": "errors",
    "PermissionDeniedError": "errors",
    "RateLimitError": "errors",
    "ServerError": "errors",
    "SessionClosedError": "errors",
    "TransportError": "errors",
    "InvalidRecord": "models",
    "Page": "models",
    "Pagination": "models",
    "Track": "models",
    "PageIterator": "pager",
    "Progress": "pager",
    "TrackPager": "pager",
    "RetryPolicy": "retry",
    "JoggSession": "session",
    "TrackList": "tracklist",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
