"""Checks of the arguments of a session and of its methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from jogg_async._api.limits import MAX_INT, MAX_PAGE_SIZE
from jogg_async._api.redaction import short_repr
from jogg_async.errors import ArgumentError, ConfigurationError, argument_error
from jogg_async.retry import RetryPolicy, is_seconds

_RESERVED_PARAMETERS: Final = ("page", "page_size", "genre", "mood")


def checked_int(
    name: str,
    value: object,
    low: int,
    high: int = MAX_INT,
    error: type[ArgumentError | ConfigurationError] = ArgumentError,
) -> int:
    """Return `value`, a whole number from `low` to `high`; else raise `error`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        needs_both = high < MAX_INT or (isinstance(value, int) and value > high)
        bounds = f"from {low} to {high}" if needs_both else f"of at least {low}"
        raise argument_error(name, f"must be a whole number {bounds}, not {short_repr(value)}.", error)
    return value


def checked_page_size(value: object, name: str = "page_size") -> int:
    """Return `value`, a whole number from 1 to 100; else raise `ArgumentError`."""
    return checked_int(name, value, 1, MAX_PAGE_SIZE)


def checked_timeout(value: object) -> float:
    """Return `value`, a finite number of seconds above 0; else raise `ConfigurationError`."""
    if not is_seconds(value) or value == 0:
        problem = f"must be a finite number of seconds above 0, not {value!r:.80}."
        raise argument_error("timeout", problem, ConfigurationError)
    return float(value)


def checked_retry(value: object) -> RetryPolicy:
    """Return `value`, a `RetryPolicy`; else raise `ConfigurationError`."""
    if not isinstance(value, RetryPolicy):
        raise argument_error("retry", f"must be a RetryPolicy, not {type(value).__name__}.", ConfigurationError)
    return value


def check_policy(name: str, value: str, allowed: object) -> None:
    """Raise `ArgumentError` if `value` is none of the strings of the `Literal` `allowed`."""
    words = get_args(allowed)
    if value not in words:
        raise argument_error(name, f"must be one of {', '.join(map(repr, words))}, not {value!r}.")


def query_filters(genre: object, mood: object, params: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return the query parameters besides page and page size.

    Raises:
        ArgumentError: `params` is no mapping or names a parameter that has an argument of its own, or a value is of a
            wrong type.
    """
    filters: dict[str, str] = {}
    for name, value in (("genre", genre), ("mood", mood)):
        if value is not None:
            if not isinstance(value, str):
                raise argument_error(name, f"must be a string, not {value!r}.")
            filters[name] = value
    if not isinstance(params, Mapping | None):
        raise argument_error("params", f"must be a mapping of names to values, not {type(params).__name__}.")
    for name, value in (params or {}).items():
        if not isinstance(name, str) or not name:
            raise argument_error("params", f"must have non-empty strings as names, not {name!r}.")
        if name in _RESERVED_PARAMETERS:
            raise argument_error("params", f"must not name {name!r}, which has an argument of its own.")
        filters[name] = _parameter(name, value)
    return filters


def _parameter(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)  # the value of an enumeration's member
    if isinstance(value, int | float):
        return str(value)
    raise argument_error("params", f"must have strings, numbers or bools as values: {name!r} is {value!r}.")
