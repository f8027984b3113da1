"""What an error means on the command line: an exit code, and one line that speaks of options."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jogg_async.errors import (
    APIError,
    AuthenticationError,
    CatalogueChangedError,
    ConfigurationError,
    DecodeError,
    InsufficientCreditError,
    JoggError,
    NotFoundError,
    ParameterError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)


class ExitCode(enum.IntEnum):
    """The exit codes, apart from 128 and the number of a signal."""

    OK = 0
    OTHER = 1
    USAGE = 2
    REFUSED = 3
    RATE_LIMIT = 4
    UNAVAILABLE = 5
    UNREADABLE = 6
    CHANGED = 7


EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        ExitCode.OK: "done",
        ExitCode.OTHER: "another error",
        ExitCode.USAGE: "a bad option, or a missing or malformed key or address",
        ExitCode.REFUSED: "key, permission or credit refused",
        ExitCode.RATE_LIMIT: "rate limit",
        ExitCode.UNAVAILABLE: "the service failed, or no whole answer came",
        ExitCode.UNREADABLE: "an answer that cannot be read",
        ExitCode.CHANGED: "the catalogue changed (--on-drift raise)",
        130: "Ctrl-C",
    }
)

_CODES: Final[tuple[tuple[type[JoggError], ExitCode], ...]] = (
    (ConfigurationError, ExitCode.USAGE),
    (ParameterError, ExitCode.USAGE),
    (AuthenticationError, ExitCode.REFUSED),
    (PermissionDeniedError, ExitCode.REFUSED),
    (InsufficientCreditError, ExitCode.REFUSED),
    (RateLimitError, ExitCode.RATE_LIMIT),
    (ServerError, ExitCode.UNAVAILABLE),
    (TransportError, ExitCode.UNAVAILABLE),
    (DecodeError, ExitCode.UNREADABLE),
    (CatalogueChangedError, ExitCode.CHANGED),
)

# Where the library's own advice speaks of Python.
_ADVICE: Final[tuple[tuple[type[JoggError], str], ...]] = (
    (AuthenticationError, "Check the key in JOGG_API_KEY."),
    (NotFoundError, "Check the address, and that the page exists."),
    (ParameterError, "Check --genre and --mood."),
    (RateLimitError, "Wait, then go on{from_page}; a lower --concurrency avoids it."),
    (ServerError, "Try again later{from_page}; give the rid to the service's support if it stays."),
    (TransportError, "Check the network and the address, then go on{from_page}."),
    (DecodeError, "Look for a newer jogg-async; --on-invalid skip passes over bad records."),
    (CatalogueChangedError, "Crawl again, or use --on-drift recrawl to have what slid past looked up."),
)

_ARGUMENT: Final = re.compile(
    r"\b(?:base_url|page_size|start_page|end_page|concurrency|limit|timeout|attempts"
    r"|tracks|latency|jitter|rate|burst|error_rate|slow_factor)\b(?= \(?(?:must|is|has|\d))"
)


class UsageError(Exception):
    """Options that do not go together, or a value out of its range."""


def exit_code_of(error: JoggError) -> int:
    """The exit code for an error of the library."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.OTHER)


def told(error: JoggError) -> str:
    """The error's text, with advice for somebody at a command line."""
    text = str(error)
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), None)
    if advice is None or not error.advice:
        return in_options(text)
    crawling = isinstance(error, APIError | TransportError) and (error.page or 1) > 1
    from_page = f" with --start-page {error.page}" if crawling else ""
    return f"{text.removesuffix(error.advice)}{advice.format(from_page=from_page)}"


def in_options(text: str) -> str:
    """`text` of the library about an argument, which names the option instead."""
    return _ARGUMENT.sub(lambda match: f"--{match[0].replace('_', '-')}", text)
