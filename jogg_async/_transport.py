"""The one place that speaks to aiohttp: one attempt, its time-out, its size cap; nothing is judged here."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import Iterator
from typing import Final

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ._settings import Secret, is_loopback
from ._version import __version__
from ._wire import ACCEPT_ENCODING, MAX_BODY, Answer, too_large
from .errors import ConfigurationError, SessionClosedError, TransportError

_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_UNTRUSTED: Final = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    ssl.SSLCertVerificationError,
)


class Transport:
    """Sends GET requests with the key to one origin.

    The aiohttp session behind it is made at the first request, in the loop that runs then. Over a caller's session, it
    is one of our own that shares the caller's connector, headers and traces: so the caller's cookies, time-outs and
    proxy variables stay out of our requests, and ours out of the caller's.

    Args:
        api_key: goes along with each request.
        base_url: the origin; plain http only for loopback, see `_settings.base_url_from`.
        timeout: seconds for one attempt, from sending it to its last byte.
        http: the caller's own session, neither changed nor closed; `None` for one of our own.
    """

    def __init__(
        self, api_key: Secret, base_url: URL, timeout: float, http: aiohttp.ClientSession | None = None
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._timeout = timeout
        if http is not None and not isinstance(http, aiohttp.ClientSession):
            raise ConfigurationError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}.")
        self._callers = http
        self._proxy = proxy_for(base_url)
        self._http: aiohttp.ClientSession | None = None
        self._opening: set[asyncio.Task[None]] = set()

    async def get(self, url: URL) -> Answer:
        """Send one request, and read the whole answer.

        Raises:
            TransportError: no whole answer came within the time-out, or its body is over the cap.
            SessionClosedError: the caller closed the aiohttp session that was given as ``http``.
        """
        http = self._http or self._session()
        try:
            async with asyncio.timeout(self._timeout):
                response = await http.get(url, allow_redirects=False, proxy=self._proxy)
                try:
                    body = await _body(response)
                except BaseException:
                    response.close()
                    raise
        except TimeoutError as fault:
            raise TransportError(f"no whole answer within {self._timeout:g} s", passing=True) from bare(fault)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as fault:
            raise TransportError(_described(fault), passing=_is_passing(fault)) from bare(fault)
        return Answer(response.status, response.headers, body)

    def open_connections(self, count: int) -> None:
        """Open `count` connections in the background, so that the requests to come find them open.

        What fails here fails again, and is reported, where a request needs it. Nothing is opened over a caller's
        connector, whose limits are the caller's, nor through a proxy.
        """
        if self._callers is not None or self._proxy is not None:
            return
        for _ in range(count):
            task = asyncio.get_running_loop().create_task(self._open_connection())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def aclose(self) -> None:
        """Close what this transport opened. Closing twice is closing once."""
        opening = tuple(self._opening)
        for task in opening:
            task.cancel()
        if opening:
            await asyncio.wait(opening)
        if self._http is not None:
            await self._http.close()

    async def _open_connection(self) -> None:
        http = self._http or self._session()
        connector = http.connector
        if connector is None:
            return
        request = aiohttp.ClientRequest("GET", self._base_url, loop=asyncio.get_running_loop())
        try:
            async with asyncio.timeout(self._timeout):
                connection = await connector.connect(request, traces=[], timeout=_NO_TIMEOUT)
        except (aiohttp.ClientError, OSError):
            return
        connection.release()

    def _session(self) -> aiohttp.ClientSession:
        callers = self._callers
        if callers is None:
            connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=0)  # the gate counts, not the pool
        elif callers.closed or callers.connector is None:
            raise SessionClosedError("the aiohttp session given as http is closed")
        else:
            connector = callers.connector
        self._http = aiohttp.ClientSession(
            connector=connector,
            connector_owner=callers is None,
            headers=self._headers(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=callers.trace_configs if callers is not None else None,
            timeout=_NO_TIMEOUT,
            auto_decompress=False,  # _wire does it, with a bound
        )
        return self._http

    def _headers(self) -> dict[str, str]:
        headers = dict(self._callers.headers) if self._callers is not None else {}
        headers.setdefault("User-Agent", f"jogg-async/{__version__}")
        ours = {"Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING, "x-api-key": self._api_key}
        taken = {name.lower() for name in ours}
        return {name: value for name, value in headers.items() if name.lower() not in taken} | ours


def proxy_for(url: URL) -> URL | None:
    """The proxy that the environment names for an address; never one for a loopback host.

    Looked up once: aiohttp's own ``trust_env`` does it for every request, in a thread.
    """
    host = url.host or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return URL(proxy) if proxy else None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    content = response.content
    body = await content.readany()
    if not body:
        return body
    chunks, size = [body], len(body)
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise too_large()
    return b"".join(chunks)


def _described(fault: Exception) -> str:
    kind = type(fault).__name__
    text = str(fault)
    return f"{kind}: {text}" if text else kind


def _is_passing(fault: Exception) -> bool:
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return fault.status >= 500  # the proxy refuses: asking again changes nothing
    return not any(isinstance(each, _UNTRUSTED) for each in _chain(fault))


def bare(fault: BaseException) -> BaseException:
    """`fault` and what led to it, without their tracebacks: the frames hold the request's headers."""
    for each in _chain(fault):
        each.__traceback__ = None
    return fault


def _chain(fault: BaseException) -> Iterator[BaseException]:
    known: set[int] = set()
    pending: list[BaseException | None] = [fault]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            pending += (each.__cause__, each.__context__)
            yield each
