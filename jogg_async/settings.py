"""Settings of a session: API key and base URL, from an argument or the environment; the names of policies."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final, Literal

from yarl import URL

from ._api.redaction import Secret, as_secret
from .errors import ConfigurationError, argument_error

OnInvalid = Literal["raise", "skip"]
OnDrift = Literal["ignore", "warn", "raise", "recrawl"]

API_KEY_VARIABLE: Final = "JOGG_API_KEY"
BASE_URL_VARIABLE: Final = "JOGG_BASE_URL"
DEFAULT_BASE_URL: Final = "https://api.jogg.ai"

_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


def api_key_from(given: Secret | None) -> Secret:
    """Return the given key, else the one in the environment.

    Raises:
        ConfigurationError: there is none, it is blank, or it has characters other than visible ASCII (0x21 to 0x7E).
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
    """Return the given URL, else the one in the environment, else the service's own; without a trailing slash.

    Raises:
        ConfigurationError: it is no absolute http(s) URL; it has userinfo, a query, a fragment or white space; or it is
            plain http to a host that is not loopback, which would send the key unencrypted.
    """
    text = str(given) if given is not None else os.environ.get(BASE_URL_VARIABLE, DEFAULT_BASE_URL)
    fault, url = _parse(text)
    if fault or url is None:
        # The error does not quote the URL, which may hold a password.
        problem = f"{fault}. Give it as https://host, with a path prefix if there is one."
        if given is None:
            raise ConfigurationError(f"{BASE_URL_VARIABLE} {problem}")
        raise argument_error("base_url", problem, ConfigurationError)
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def _parse(text: str) -> tuple[str, URL | None]:
    """Return the problem with a URL (empty for none), and the URL if it can be parsed."""
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        return "is blank or has white space or control characters in it", None
    if any(c in text for c in "?#\\"):
        return "has a query, a fragment or a backslash in it", None
    if "@" in text.partition("://")[2].partition("/")[0]:
        return "has a user name or password in it", None
    try:
        url = URL(text)
        return _problem(url), url
    except ValueError:
        return "is no valid address", None


def _problem(url: URL) -> str:
    if url.scheme not in ("https", "http") or not url.host or not url.port:
        return "is no absolute https address"
    if url.scheme == "http" and not is_loopback(url.host):
        return "is plain http to another machine, which would send the key in the clear"
    return ""


def is_loopback(host: str) -> bool:
    """Return whether `host` is ``localhost`` or a loopback address.

    False for a name such as ``x.localhost``, which may resolve to another machine.
    """
    name = host.rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
