"""Every error of this package, and the one warning.

::

    JoggError
    ├── ConfigurationError (also a ValueError)
    ├── SessionClosedError
    ├── APIError                      the service answered, and said no
    │   ├── AuthenticationError       code 10105, HTTP 401
    │   ├── PermissionDeniedError     code 18025, HTTP 403
    │   ├── InsufficientCreditError   code 18020, HTTP 402
    │   ├── NotFoundError             code 10104, HTTP 404
    │   ├── ParameterError            code 40000, HTTP 400 and 422
    │   ├── RateLimitError            code 429,   HTTP 429
    │   └── ServerError               code 50000, HTTP 5xx
    ├── TransportError                no whole response came
    ├── DecodeError                   a response came that makes no sense
    └── CatalogueChangedError         the catalogue moved under the crawl

    CatalogueChangedWarning (a UserWarning)

The codes and what they mean are those of the service's reference. Each error pickles and copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tracklist import TrackList

__all__ = [
    "APIError",
    "AuthenticationError",
    "CatalogueChangedError",
    "CatalogueChangedWarning",
    "ConfigurationError",
    "DecodeError",
    "InsufficientCreditError",
    "JoggError",
    "NotFoundError",
    "ParameterError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "SessionClosedError",
    "TransportError",
]

_LONGEST: Final = 1000
"""Characters of a text that the service may have chosen, in the text of an error."""


class JoggError(Exception):
    """The root: ``except JoggError`` catches all that this package raises, bad arguments (`ValueError`) apart.

    Attributes:
        page: the page (from 1) that was asked for, and from which to start again; `None` where no page is concerned.
        attempts: how many times this package sent the request; `None` where no request was sent.
        rid: the service's request id (32 hex digits), which its support asks for; `None` where none came.
        request_line: the request, as ``GET <address>``; `None` where no request was sent.
        tracks: what `TrackPager.collect` had collected before the error; `None` elsewhere.
    """

    advice: ClassVar[str] = ""
    """What to do about it: the last sentence of the error's text."""

    page: int | None = None
    attempts: int | None = None
    rid: str | None = None
    request_line: str | None = None
    tracks: TrackList | None = None

    @property
    def summary(self) -> str:
        """The error's text without the advice."""
        text = shorten(super().__str__())
        if self.request_line:
            tries = f" failed after {self.attempts} attempts" if (self.attempts or 0) > 1 else " failed"
            text = f"{self.request_line}{tries}: {text}"
        details = ", ".join(self._details())
        if details:
            text = f"{text} ({details})"
        return text if text.endswith(".") or not (text and self.advice) else f"{text}."

    def __str__(self) -> str:
        return " ".join(filter(None, (self.summary, self.advice)))

    def _details(self) -> Iterator[str]:
        if self.rid:
            yield f"rid {shorten(self.rid)}"


def shorten(text: str, most: int = _LONGEST, kept: int = _LONGEST) -> str:
    """Return `text`, or its first `kept` characters where it has more than `most`."""
    return text if len(text) <= most else f"{text[:kept]}… ({len(text)} characters)"


class ArgumentError(ValueError):
    """An argument is out of its range, or contradicts another one.

    Attributes:
        argument: its name, which its text begins with.
    """

    argument: str | None = None


class ConfigurationError(JoggError, ValueError):
    """The session cannot be made from these settings: the key or the address is missing or malformed.

    Attributes:
        argument: the argument of `JoggSession` at fault, where the error's text begins with its name; else `None`.
    """

    argument: str | None = None


def argument_error(
    argument: str, problem: str, kind: type[ArgumentError | ConfigurationError] = ArgumentError
) -> ArgumentError | ConfigurationError:
    """Return the error for a bad argument, which holds the argument's name.

    Args:
        argument: the name.
        problem: the rest of the sentence that begins with it.
        kind: the error's class.
    """
    error = kind(f"{argument} {problem}")
    error.argument = argument
    return error


class SessionClosedError(JoggError):
    """The session is closed, or was closed while a step waited: what came so far is not the whole catalogue."""

    advice = "Make a new JoggSession."


class APIError(JoggError):
    """The service answered with an error, or with something that only an error explains (a redirect, say).

    Attributes:
        code: the business code of the envelope; `None` where no envelope came.
        msg: the envelope's message, else a few words on the HTTP status.
        http_status: the HTTP status.
    """

    advice = "See the service's reference for this code, and give the rid to its support."

    code: int | None = None
    msg: str = ""
    http_status: int | None = None

    def __init__(
        self,
        msg: str = "",
        *,
        code: int | None = None,
        http_status: int | None = None,
        rid: str | None = None,
    ) -> None:
        super().__init__(msg)
        self.msg = msg
        self.code = code
        self.http_status = http_status
        self.rid = rid

    def _details(self) -> Iterator[str]:
        if self.code is not None:
            yield f"code {self.code}"
        if self.http_status is not None:
            yield f"HTTP {self.http_status}"
        yield from super()._details()


class AuthenticationError(APIError):
    """The key is not valid (code 10105, HTTP 401). Not retried."""

    advice = "Check the key in JOGG_API_KEY, or the one given to JoggSession."


class PermissionDeniedError(APIError):
    """The account may not call the API (code 18025, HTTP 403). Not retried."""

    advice = "Check that the account's plan includes the API."


class InsufficientCreditError(APIError):
    """The account has no credit left (code 18020, HTTP 402). Not retried."""

    advice = "Top up the account's credit."


class NotFoundError(APIError):
    """No such record or address (code 10104, HTTP 404). Not retried."""

    advice = "Check the base_url, and that the page exists."


class ParameterError(APIError):
    """The service refused a parameter (code 40000, HTTP 400 and 422). Not retried."""

    advice = "Check the filters and params of the request."


class RateLimitError(APIError):
    """Too many requests (code 429, HTTP 429), and no attempt or no time was left to wait.

    Attributes:
        retry_after: the wait in seconds that the service named; `None` where it named none.
    """

    advice = "Wait, then go on from error.page; a lower concurrency or a limiter avoids it."

    retry_after: float | None = None

    def _details(self) -> Iterator[str]:
        yield from super()._details()
        if self.retry_after is not None:
            yield f"retry after {self.retry_after:g} s"


class ServerError(APIError):
    """The service failed (code 50000, HTTP 5xx), and no attempt or no time was left.

    Attributes:
        retry_after: the wait in seconds that the service named; `None` where it named none.
    """

    advice = "Try again later, from error.page; give the rid to the service's support if it stays."

    retry_after: float | None = None


class TransportError(JoggError):
    """No whole response came: the connection, TLS, the time-out, or a body over the size cap.

    ``__cause__`` is aiohttp's (or the system's) error, without its traceback, whose frames hold request headers.
    """

    advice = "Check the network and the base_url, then go on from error.page."

    transient: bool = False
    """Whether the fault may pass, so that the request was sent again: not for a refused certificate, say."""

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class DecodeError(JoggError):
    """A response that cannot be read: not JSON, no envelope, no data, a wrong type, or nested too deep. Not retried.

    Attributes:
        path: where, such as ``$.data.music[3].id``; `None` where the body as a whole is wrong.
        value: a short rendering of the offending value; `None` where there is none.
    """

    advice = "The service may have changed: look for a newer jogg-async; on_invalid='skip' passes over bad records."

    path: str | None = None
    value: str | None = None

    def __init__(
        self, message: str = "", *, path: str | None = None, value: str | None = None, rid: str | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.value = value
        self.rid = rid


class CatalogueChangedError(JoggError):
    """The catalogue changed during the crawl, and ``on_drift="raise"`` was asked for; every track found was yielded."""

    advice = "Crawl again, or use on_drift='recrawl' to have what slid past looked up."


class CatalogueChangedWarning(UserWarning):
    """The catalogue changed during the crawl: some tracks may be missing.

    Attributes:
        tracks: where warnings are errors, what `TrackPager.collect` had collected; `None` elsewhere.
    """

    tracks: TrackList | None = None
