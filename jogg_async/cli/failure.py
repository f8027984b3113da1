"""Errors on the command line: exit codes, and one-line messages that name options instead of arguments."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jogg_async.errors import (
    ArgumentError,
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
    """Exit codes, except 128 plus the number of a signal."""

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
        ExitCode.OK: "success",
        ExitCode.OTHER: "other error",
        ExitCode.USAGE: "invalid option, or missing or malformed key or address",
        ExitCode.REFUSED: "key, permission or credit refused",
        ExitCode.RATE_LIMIT: "rate limit",
        ExitCode.UNAVAILABLE: "service or network failure",
        ExitCode.UNREADABLE: "invalid response",
        ExitCode.CHANGED: "catalogue changed (--on-drift raise)",
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

_INVALID_RECORD: Final = "Look for a newer version of jogg-async; --on-invalid skip leaves invalid records out."

# Used where the library's own advice names Python arguments.
_ADVICE: Final[tuple[tuple[type[JoggError], str], ...]] = (
    (AuthenticationError, "Check the key in JOGG_API_KEY."),
    (NotFoundError, "Check --base-url or JOGG_BASE_URL, and that the page exists."),
    (ParameterError, "Check --genre and --mood."),
    (RateLimitError, "Wait, then continue{from_page}; a lower --concurrency avoids it."),
    (ServerError, "Try again later{from_page}; if it persists, give the rid to the service's support."),
    (TransportError, "Check the network and --base-url or JOGG_BASE_URL, then continue{from_page}."),
    (DecodeError, "Check --base-url or JOGG_BASE_URL, and look for a newer version of jogg-async."),
    (CatalogueChangedError, "Run the command again, or use --on-drift recrawl to find missing tracks."),
)


class UsageError(Exception):
    """Options that contradict each other, or a value out of its range."""


def exit_code_of(error: JoggError) -> int:
    """Return the exit code for an error of the library."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.OTHER)


def message_of(error: JoggError) -> str:
    """Return the error's text, with advice for the command line."""
    if isinstance(error, ConfigurationError):
        return with_options(error)
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), error.advice)
    if isinstance(error, DecodeError) and error.in_record:
        advice = _INVALID_RECORD
    from_page = f" with --start-page {error.page}" if (error.page or 1) > 1 else ""
    notes = _notes(error)
    if notes:  # on how to resume an interrupted save
        from_page = " with --resume"
    return " ".join(filter(None, (error.summary, advice.format(from_page=from_page), *notes)))


def os_message_of(error: OSError) -> str:
    """Return the text of an `OSError` with the file's name. It names options instead of the library's arguments."""
    name = f"{error.filename}: " if error.filename is not None else ""
    text, notes = _with_resume(f"{name}{error.strerror or error}"), _notes(error)
    return " ".join((f"{text.removesuffix('.')}.", *notes)) if notes else text


def _notes(error: BaseException) -> list[str]:
    return [_with_resume(note) for note in getattr(error, "__notes__", ())]


def _with_resume(text: str) -> str:
    return text.replace("resume=True", "--resume").replace("on_drift", "--on-drift")


def with_options(error: ArgumentError | ConfigurationError) -> str:
    """Return the text of an error about an argument, with the name of the option instead of the argument."""
    if error.argument is None:
        return str(error)
    return f"--{error.argument.replace('_', '-')}{str(error).removeprefix(error.argument)}"
