"""Download of files over aiohttp, from addresses that the catalogue names."""

from __future__ import annotations

import socket
from collections.abc import Collection, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final, Self

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from jogg_async._http.addresses import Origin, is_public, origin_of, parse_url
from jogg_async._http.connector import Connector
from jogg_async._http.transfer_error import TransferError
from jogg_async._http.transport import describe, is_transient
from jogg_async._version import __version__

MAX_REDIRECTS: Final = 5

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_HEADERS: Final = {
    "User-Agent": f"jogg-async/{__version__}",
    "Accept": "*/*",
    # Of a compressed body neither Content-Length nor a range would say anything about the file.
    "Accept-Encoding": "identity",
}


class FileClient:
    """Sender of GET requests for files: without API key, cookies, proxy or ``.netrc``, and to public addresses only.

    Args:
        own_origins: origins that may be reached whatever their address.
        timeout: seconds to wait for a connection, for the response, and for each further piece of its body.
    """

    def __init__(self, own_origins: Collection[Origin], timeout: float) -> None:
        self._own_origins = own_origins
        self._timeout = timeout
        # Two pools, so that a connection to an own origin never serves another one.
        self._public = self._make_session(Connector(limit=0, socket_factory=_public_socket))
        self._own = self._make_session(Connector(limit=0))

    def _make_session(self, connector: Connector) -> aiohttp.ClientSession:
        seconds = self._timeout
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=seconds, sock_read=seconds),
            headers=_HEADERS,
            auto_decompress=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        async with AsyncExitStack() as stack:  # closes both, even if cancelled at the first
            for session in (self._public, self._own):
                stack.push_async_callback(self._close, session)

    async def _close(self, session: aiohttp.ClientSession) -> None:
        connector = session.connector
        await session.close()
        if isinstance(connector, Connector):
            await connector.abort_tls()

    async def get(self, url: URL, headers: Mapping[str, str]) -> FileResponse:
        """Send a request, follow up to five redirects, and return the response with its body unread.

        Args:
            url: the address.
            headers: headers of each request, such as ``Range``.

        Raises:
            TransferError: no response came, or a redirect or an address is refused.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(url, headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            response.close()
            url = parse_url(location, url)
        raise TransferError(f"more than {MAX_REDIRECTS} redirects")

    async def _send(self, url: URL, headers: Mapping[str, str]) -> FileResponse:
        session = self._own if origin_of(url) in self._own_origins else self._public
        with _transfer_errors(self._timeout):
            response = await session.get(url, headers=headers, allow_redirects=False)
        return FileResponse(response, self._timeout)


class FileResponse:
    """Response whose body is read in pieces.

    Attributes:
        url: address of the response, after redirects.
        status: HTTP status.
        headers: headers, by case-insensitive name.
    """

    def __init__(self, response: aiohttp.ClientResponse, timeout: float) -> None:
        self.url = response.url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._timeout = timeout

    async def read(self) -> bytes:
        """Return the next piece of the body, empty at its end.

        Raises:
            TransferError: the body ended early, or nothing came within the timeout.
        """
        with _transfer_errors(self._timeout):
            return await self._response.content.readany()

    def close(self) -> None:
        """Give up the rest of the body. If the body was read to its end, the connection is kept for other requests."""
        self._response.release()


class RefusedAddressError(OSError):
    """Raised instead of a connection to an address that is not public.

    Its text does not name the address. If a host has several addresses, aiohappyeyeballs keeps the class of their
    errors only if all texts are equal.
    """

    def __init__(self) -> None:
        super().__init__("private, loopback and reserved addresses are refused")


def _public_socket(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """Return a socket for one resolved address: aiohttp calls this just before it connects."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise RefusedAddressError
    return socket.socket(family, kind, protocol)


@contextmanager
def _transfer_errors(timeout: float) -> Generator[None]:
    """Raise errors of aiohttp and the system as `TransferError`."""
    try:
        yield
    except TimeoutError as fault:
        raise TransferError(f"timed out: nothing came for {timeout:g} s", transient=True) from fault
    except aiohttp.ClientConnectorError as fault:
        if isinstance(fault.os_error, RefusedAddressError):
            raise TransferError(f"no connection to {fault.host}:{fault.port}: {fault.os_error}") from fault
        raise TransferError(describe(fault), transient=is_transient(fault)) from fault
    except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as fault:
        transient = not isinstance(fault, ValueError) and is_transient(fault)
        raise TransferError(describe(fault), transient=transient) from fault
