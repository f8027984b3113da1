"""Log records of retries, pauses, changes of the catalogue and skipped records, with their facts as attributes.

This module and the table in docs/observability.md are the only places that name the attributes. They are passed as
``extra`` of the logging module, and begin with ``jogg_`` because formatters list them with those of the application.
Each event has a logger of its own, such as ``jogg_async.retry``. Skipped records are logged at WARNING, other events at
INFO: whatever matters to the caller is also an exception, a warning or a number in `TrackPager.progress`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from jogg_async.errors import APIError, JoggError
from jogg_async.models import InvalidRecord

REQUEST: Final = ("jogg_event", "jogg_request", "jogg_page")
"""Attributes of every event: its name, the request as ``GET <URL>``, the page from 1."""

FAILURE: Final = ("jogg_attempt", "jogg_wait", "jogg_error", "jogg_code", "jogg_http_status", "jogg_rid")
"""Attributes of a failed attempt: its number from 1, the seconds to wait, the error's class, and the code, HTTP status
and request id of the response."""

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "retry": (*REQUEST, *FAILURE),
    "pause": (*REQUEST, *FAILURE),
    "drift": (*REQUEST, "jogg_pass", "jogg_change"),
    "record_skipped": (*REQUEST, "jogg_place", "jogg_problem", "jogg_rid"),
}
"""Attributes of each event. A fact that is unknown is `None`."""

_LOGGERS: Final = {event: logging.getLogger(f"jogg_async.{event}") for event in FIELDS}


def log_retry(failure: JoggError, wait: float) -> None:
    """Log that a request will be sent again.

    Args:
        failure: error of the last attempt, with the facts about its request and without the API key.
        wait: seconds until the next attempt.
    """
    text = "%s: attempt %d failed with %s; retrying in %.2f s"
    facts = failure.request_line, failure.attempts, type(failure).__name__, wait
    _log("retry", logging.INFO, text, facts, _failure(failure, wait))


def log_pause(refusal: APIError, wait: float) -> None:
    """Log that a rate limit pauses every request of the session.

    Args:
        refusal: error of the request that met the limit, with the facts about it and without the API key.
        wait: seconds of the pause.
    """
    text = "%s: rate limit; all requests of the session pause for %.2f s"
    _log("pause", logging.INFO, text, (refusal.request_line, wait), _failure(refusal, wait))


def log_drift(request: str, page: int, number: int, change: str) -> None:
    """Log the first change of the catalogue that a pass over its pages notices.

    Args:
        request: the request whose response shows the change, without the API key.
        page: its page, from 1.
        number: number of the pass: 1 for the first, 2 for the first recrawl.
        change: the change, in words.
    """
    text = "%s: the catalogue changed during the crawl: %s"
    _log("drift", logging.INFO, text, (request, change), (request, page, number, change))


def log_skipped(request: str, rid: str | None, records: Iterable[InvalidRecord]) -> None:
    """Log each record of a page that is no valid track.

    Args:
        request: the request of the page, without the API key.
        rid: the service's request id, without the API key.
        records: the records. Only their messages are logged.
    """
    for record in records:
        facts = record.page, record.message
        values = request, record.page, record.place, record.message, rid
        _log("record_skipped", logging.WARNING, "page %d: invalid record skipped: %s", facts, values)


def _failure(error: JoggError, wait: float) -> tuple[object, ...]:
    """Return the values of the attributes of a failed attempt."""
    code, status = (error.code, error.http_status) if isinstance(error, APIError) else (None, None)
    return error.request_line, error.page, error.attempts, wait, type(error).__name__, code, status, error.rid


def _log(event: str, level: int, text: str, facts: tuple[object, ...], values: tuple[Any, ...]) -> None:
    logger = _LOGGERS[event]
    if logger.isEnabledFor(level):
        extra = dict(zip(FIELDS[event], (event, *values), strict=True))
        logger.log(level, text, *facts, extra=extra, stacklevel=2)
