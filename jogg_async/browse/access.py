"""Access to the page's server: checks of requests (token, Host, Origin), and security headers. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "media-src http: https:",  # audio files may be on any host
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "; ".join(_POLICY),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",  # the token is in the page's address
        "Server": "jogg-async",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""Headers of every response."""


class Access:
    """Checks of requests, with the tokens of one run of the server.

    Args:
        port: port that the server listens on.
    """

    def __init__(self, port: int) -> None:
        self.token: str = secrets.token_urlsafe(32)
        """Secret of this run, a parameter of the page's address."""
        self._one_time_tokens: set[str] = set()
        names = ("127.0.0.1", "localhost")
        # A browser omits HTTP's default port.
        self._hosts: Collection[str] = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Return the reason to refuse a request that a page of another site sent; `None` for other requests.

        An unknown ``Host`` is a sign of DNS rebinding: another site's name that now resolves to this machine.
        """
        host, origin = headers.get("Host", "").lower(), headers.get("Origin")
        if host not in self._hosts:
            return "Unknown host name: open the page by 127.0.0.1 or localhost."
        if origin is not None and origin.lower() != f"http://{host}":
            return "Requests of other sites are refused."
        # The page may be opened by a link on any site, such as a web terminal: the token is checked then.
        followed = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not followed:
            return "Requests of other sites are refused."
        return None

    def allows(self, token: str) -> bool:
        """Return whether `token` is the token of this run."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def new_one_time_token(self) -> str:
        """Return a token that opens the page once.

        The browser is started with it instead of `token`, since other users can see the arguments of a process.
        """
        self._one_time_tokens.add(new := secrets.token_urlsafe(32))
        return new

    def use_one_time_token(self, given: str) -> bool:
        """Return whether a one-time token is valid, and make it invalid."""
        valid = given in self._one_time_tokens
        self._one_time_tokens.discard(given)
        return valid
