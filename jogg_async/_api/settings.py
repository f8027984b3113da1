"""What a session is made from, checked before any request: the key, the address, the numbers."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from typing import Final

from yarl import URL

from jogg_async._api.redaction import Secret, as_secret, short_repr
from jogg_async.errors import ArgumentError, ConfigurationError, argument_error
from jogg_async.retry import RetryPolicy

API_KEY_VARIABLE: Final = "JOGG_API_KEY"
BASE_URL_VARIABLE: Final = "JOGG_BASE_URL"
DEFAULT_BASE_URL: Final = "https://api.jogg.ai"

MAX_INT: Final = 2**63 - 1
"""The largest page number, count or id: the service's integers have 64 bits."""

_LONGEST: Final = sys.float_info.max
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def api_key_from(given: Secret | None) -> Secret:
    """The key given, else the environment's.

    Raises:
        ConfigurationError: there is none, or it is blank, or has anything but visible ASCII (0x21 to 0x7E).
    """
    key = given if given is not None else as_secret(os.environ.get(API_KEY_VARIABLE))
    if key is None:
        raise ConfigurationError(
            f"No API key: set the environment variable {API_KEY_VARIABLE}, or pass api_key to JoggSession."
        )
    if not _VISIBLE_ASCII.fullmatch(key):
        raise ConfigurationError(
            f"The API key (api_key, else {API_KEY_VARIABLE}) is blank or has characters other than visible ASCII."
            " Look for a line break or a space copied along with it."
        )
    return key


def base_url_from(given: str | URL | None) -> URL:
    """The address given, else the environment's, else the service's own; without a trailing slash.

    Raises:
        ConfigurationError: it is no absolute http(s) address; it has userinfo, a query, a fragment or white space; or
            it is plain http to anything but a loopback host, where the key would travel in the clear.
    """
    text = str(given) if given is not None else os.environ.get(BASE_URL_VARIABLE, DEFAULT_BASE_URL)
    fault, url = _examined(text)
    if fault or url is None:
        # The address itself stays out of the text: it may hold a password.
        problem = f"{fault}. Give it as https://host, with a path prefix if there is one."
        if given is None:
            raise ConfigurationError(f"{BASE_URL_VARIABLE} {problem}")
        raise argument_error("base_url", problem, ConfigurationError)
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def _examined(text: str) -> tuple[str, URL | None]:
    """What is wrong with an address, and the address where nothing is."""
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        return "is blank or has white space or control characters in it", None
    if any(c in text for c in "?#\\"):
        return "has a query, a fragment or a backslash in it", None
    if "@" in text.partition("://")[2].partition("/")[0]:
        return "has a user name or password in it", None
    try:
        url = URL(text)
        return _unfit(url), url
    except ValueError:
        return "is no valid address", None


def _unfit(url: URL) -> str:
    if url.scheme not in ("https", "http") or not url.host or not url.port:
        return "is no absolute https address"
    if url.scheme == "http" and not is_loopback(url.host):
        return "is plain http to another machine, which would send the key in the clear"
    return ""


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: ``localhost``, or a loopback address. A name below it may lead elsewhere."""
    name = host.rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def checked_timeout(value: object) -> float:
    """`value`, where it is a finite number of seconds above 0; else `ConfigurationError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
        problem = f"must be a finite number of seconds above 0, not {value!r:.80}."
        raise argument_error("timeout", problem, ConfigurationError)
    return float(value)


def checked_retry(value: object) -> RetryPolicy:
    """Return `value`, a `RetryPolicy`; else raise `ConfigurationError`."""
    if not isinstance(value, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, not {type(value).__name__}.")
    return value


def checked_int(
    name: str,
    value: object,
    low: int,
    high: int = MAX_INT,
    error: type[ArgumentError | ConfigurationError] = ArgumentError,
) -> int:
    """Return `value`, a whole number from `low` to `high`; else raise `error`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise argument_error(name, f"must be a whole number from {low} to {high}, not {short_repr(value)}.", error)
    return value
