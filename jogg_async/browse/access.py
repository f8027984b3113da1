"""Access to the page's server: who may ask (token, Host, Origin), and the headers that bind the page. No I/O."""

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
    "media-src http: https:",  # the audio files: on whichever host the service keeps them
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
    """Decides on requests, for one run of the server.

    Args:
        port: port that the server listens on.
    """

    def __init__(self, port: int) -> None:
        self.token: str = secrets.token_urlsafe(32)
        """Secret of this run, in the address of the page."""
        self._passes: set[str] = set()
        names = ("127.0.0.1", "localhost")
        # A browser leaves the default port of http out.
        self._hosts: Collection[str] = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request from a page of another site is refused; `None` if it is not from another site.

        A Host other than ours means that another site's name was made to lead here (DNS rebinding).
        """
        host, origin = headers.get("Host", "").lower(), headers.get("Origin")
        if host not in self._hosts:
            return "This server has another name."
        if origin is not None and origin.lower() != f"http://{host}":
            return "Requests of other sites are refused."
        # A link may be followed from anywhere, such as a terminal in the browser: the token decides then.
        followed = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not followed:
            return "Requests of other sites are refused."
        return None

    def allows(self, token: str) -> bool:
        """Return whether `token` is the token of this run."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def new_pass(self) -> str:
        """Return a secret that leads to the page once.

        The browser is started with it instead of the token: other users see the arguments of a process.
        """
        self._passes.add(new := secrets.token_urlsafe(32))
        return new

    def take_pass(self, given: str) -> bool:
        """Use a pass up, and return whether it was valid."""
        valid = given in self._passes
        self._passes.discard(given)
        return valid
