"""Errors and warnings of this package.

::

    JoggError
    ├── ConfigurationError (also a ValueError)
    ├── SessionClosedError
    ├── APIError                      the service refused the request, or failed
    │   ├── AuthenticationError       code 10105, HTTP 401
    │   ├── PermissionDeniedError     code 18025, HTTP 403
    │   ├── InsufficientCreditError   code 18020, HTTP 402
    │   ├── NotFoundError             code 10104, HTTP 404
    │   ├── ParameterError            code 40000, HTTP 400 and 422
    │   ├── RateLimitError            code 429,   HTTP 429
    │   └── ServerError               code 50000, HTTP 5xx
    ├── TransportError                the response did not arrive completely
    ├── DecodeError                   the response could not be decoded
    └── CatalogueChangedError         the catalogue changed during the crawl

    CatalogueChangedWarning (a UserWarning)

The service's reference defines the codes. Every error can be pickled and copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
"""Number of characters of a text from the service that an error's text quotes at most."""


class JoggError(Exception):
    """Base of all errors that this package raises, except `ValueError` for bad arguments.

    Attributes:
        page: the requested page, from 1: the page to start again from. `None` if the error concerns no page.
        attempts: number of times that this package sent the request; `None` if no request was sent.
        rid: the service's request id (32 hex digits), which its support asks for; `None` if it sent none.
        request_line: the request, as ``GET <URL>``; `None` if no request was sent.
        tracks: tracks that `TrackPager.collect` had collected before the error; `None` elsewhere.
    """

    advice: str = ""
    """Advice on what to do: the last sentence of the error's text."""

    page: int | None = None
    attempts: int | None = None
    rid: str | None = None
    request_line: str | None = None
    tracks: TrackList | None = None

    @property
    def summary(self) -> str:
        """Text of the error without the advice."""
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
    """Return `text`, or its first `kept` characters if it has more than `most`."""
    return text if len(text) <= most else f"{text[:kept]}… ({len(text)} characters)"


class ArgumentError(ValueError):
    """Raised for an argument that is out of its range, or contradicts another one.

    Attributes:
        argument: the argument's name, which the error's text begins with.
    """

    argument: str | None = None


class ConfigurationError(JoggError, ValueError):
    """Raised for a bad setting of a session, such as a missing API key or a malformed base URL.

    Attributes:
        argument: name of the argument of `JoggSession`, if the error's text begins with it; else `None`.
    """

    argument: str | None = None


def argument_error(
    argument: str, problem: str, kind: type[ArgumentError | ConfigurationError] = ArgumentError
) -> ArgumentError | ConfigurationError:
    """Return the error for a bad argument, which holds the argument's name.

    Args:
        argument: the name.
        problem: the rest of the sentence that begins with the name.
        kind: the error's class.
    """
    error = kind(f"{argument} {problem}")
    error.argument = argument
    return error


class SessionClosedError(JoggError):
    """Raised if the session is closed, or was closed during a request or a crawl, which is then incomplete."""

    advice: str = "Make a new JoggSession."


class APIError(JoggError):
    """Raised for a response with an error code or an error status, and for a redirect.

    Attributes:
        code: the ``code`` in the response's JSON; `None` if there is none.
        msg: the ``msg`` in the response's JSON, else a few words on the HTTP status.
        http_status: the HTTP status; `None` if unknown.
    """

    advice: str = "See the service's reference for this code, or ask its support."

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
        if http_status is not None and 300 <= http_status < 400:
            self.advice = "Check the address of the service."

    def _details(self) -> Iterator[str]:
        if self.code is not None:
            yield f"code {self.code}"
        if self.http_status is not None:
            yield f"HTTP {self.http_status}"
        yield from super()._details()


class AuthenticationError(APIError):
    """Raised if the API key is not valid (code 10105, HTTP 401). Not retried."""

    advice: str = "Check the key given to JoggSession, or the one in JOGG_API_KEY."


class PermissionDeniedError(APIError):
    """Raised if the account may not call the API (code 18025, HTTP 403). Not retried."""

    advice: str = "Check that the account's plan includes the API."


class InsufficientCreditError(APIError):
    """Raised if the account has no credit left (code 18020, HTTP 402). Not retried."""

    advice: str = "Top up the account's credit."


class NotFoundError(APIError):
    """Raised if the record or the URL does not exist (code 10104, HTTP 404). Not retried."""

    advice: str = "Check the base_url and the page number."


class ParameterError(APIError):
    """Raised if the service refuses a parameter (code 40000, HTTP 400 and 422). Not retried."""

    advice: str = "Check the filters and params of the request."


class RateLimitError(APIError):
    """Raised for a rate limit (code 429, HTTP 429) once the `RetryPolicy` allows no further retry.

    Attributes:
        retry_after: the wait in seconds that the service named; `None` if it named none.
    """

    advice: str = (
        "Wait, then continue from error.page. A lower concurrency or JoggSession(limiter=...) avoids rate limits."
    )

    retry_after: float | None = None

    def _details(self) -> Iterator[str]:
        yield from super()._details()
        if self.retry_after is not None:
            yield f"retry after {self.retry_after:g} s"


class ServerError(APIError):
    """Raised for a failure of the service (code 50000, HTTP 5xx) once the `RetryPolicy` allows no further retry.

    Attributes:
        retry_after: the wait in seconds that the service named; `None` if it named none.
    """

    advice: str = "Try again later, from error.page. If it persists, ask the service's support."

    retry_after: float | None = None


class TransportError(JoggError):
    """Raised if no complete response arrived: connection or TLS failure, timeout, or a body over the size limit.

    ``__cause__`` is the error of aiohttp or the system. Its traceback is removed, because its frames hold request
    headers.
    """

    advice: str = "Check the network and the base_url, then continue from error.page."

    transient: bool = False
    """True if a retry may help; false for a TLS certificate error, for instance."""

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class DecodeError(JoggError):
    """Raised for a response that is not JSON, lacks fields, has wrong types, or is nested too deep. Not retried.

    Attributes:
        path: path to the wrong value, such as ``$.data.music[3].id``; `None` if the body as a whole is wrong.
        value: a short `repr` of the wrong value; `None` if there is none.
    """

    advice: str = "Check the base_url and look for a newer version of jogg-async."

    path: str | None = None
    value: str | None = None

    def __init__(
        self, message: str = "", *, path: str | None = None, value: str | None = None, rid: str | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.value = value
        self.rid = rid
        if self.in_record:
            self.advice = "Look for a newer version of jogg-async. on_invalid='skip' leaves invalid records out."

    @property
    def in_record(self) -> bool:
        """True if a single record is invalid: ``on_invalid="skip"`` leaves it out."""
        return (self.path or "").startswith("$.data.music[")


class CatalogueChangedError(JoggError):
    """Raised at the end of a crawl under ``on_drift="raise"``: the catalogue changed. All found tracks were yielded."""

    advice: str = "Crawl again, or use on_drift='recrawl' to find missing tracks."


class CatalogueChangedWarning(UserWarning):
    """Issued at the end of a crawl during which the catalogue changed: some tracks may be missing.

    Attributes:
        tracks: tracks that `TrackPager.collect` had collected, if warnings are errors; `None` elsewhere.
    """

    tracks: TrackList | None = None
