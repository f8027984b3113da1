"""IP addresses and URLs that a download may use. No I/O.

The URLs of audio files come from the catalogue, so a wrong or hostile one must not reach services of this machine or
its network. The address is checked when a connection is made, after the host name was resolved. So a name that resolves
to a public address first and to a private one later (DNS rebinding) is refused, too.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final

from yarl import URL

from jogg_async._http.transfer_error import TransferError

if TYPE_CHECKING:
    from collections.abc import Iterable

_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Prefix by which networks without IPv4 reach IPv4 hosts (RFC 6052)."""

_VISIBLE_ASCII: Final = re.compile("[!-~]+")

Origin = tuple[str, str, int]
"""Scheme, host and port."""

_session_origins: Final[set[Origin]] = set()


def register_origin(base_url: URL) -> None:
    """Let downloads of this process reach the origin of a session's base URL, whatever its IP address."""
    _session_origins.add(origin_of(base_url))


def own_origins(base_urls: Iterable[URL]) -> frozenset[Origin]:
    """Return the origins of these URLs and of all sessions that were made in this process."""
    return frozenset({*_session_origins, *map(origin_of, base_urls)})


def origin_of(url: URL) -> Origin:
    """Return the origin of an absolute URL."""
    return url.scheme, (url.host or "").lower(), url.port or 0


def is_public(address: str) -> bool:
    """Return whether an IP address is public: neither private, loopback, link-local, multicast nor reserved.

    An IPv6 address that stands for an IPv4 address (mapped, NAT64, 6to4) is as public as that address.
    """
    try:
        ip: Any = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6:
        ip = _embedded_ipv4(ip) or ip
    if ip.version == 6 and ip not in _GLOBAL_UNICAST:
        return False
    return bool(ip.is_global and not ip.is_multicast and not ip.is_reserved)


def _embedded_ipv4(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def parse_url(text: str, base: URL | None = None) -> URL:
    """Return the URL of a file.

    Args:
        text: the URL as it came, in `Track.music_url` or a ``Location`` header.
        base: URL that a relative one refers to; `None` to allow no relative one.

    Raises:
        TransferError: it is no http or https URL, or it has a user name or password.
    """
    shown = repr(text if len(text) <= 200 else f"{text[:200]}…")
    try:
        # Keep an ASCII URL byte for byte, since its signature may cover the exact escapes.
        url = URL(text, encoded=_VISIBLE_ASCII.fullmatch(text) is not None)
        url = (base.join(url) if base is not None else url).with_fragment(None)
        is_web_address = url.scheme in ("http", "https") and bool(url.host and url.port)
        has_user = url.raw_user is not None or url.raw_password is not None
    except ValueError as fault:
        raise TransferError(f"{shown} is no valid URL") from fault
    if not is_web_address:
        raise TransferError(f"{shown} is no http or https URL")
    if has_user:
        raise TransferError(f"{shown} has a user name or password in it")
    return url
