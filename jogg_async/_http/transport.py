"""Requests over aiohttp: one attempt, its time-out, its size cap; nothing is judged here.

Nothing of aiohttp gets beyond this room and `_connector`.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, cast

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from jogg_async._api.compression import ACCEPT_ENCODING, MAX_BODY, too_large
from jogg_async._api.envelope import RawResponse
from jogg_async._api.redaction import Secret, redact_error
from jogg_async._http.connector import Connector, PoolWait, SharedConnector
from jogg_async._http.timeouts import SharedTimeout
from jogg_async._version import __version__
from jogg_async.errors import ConfigurationError, SessionClosedError, TransportError
from jogg_async.settings import is_loopback

_TWICE_A_READ: Final = 2**19
"""Bytes; asyncio, and TLS in uvloop, take half as many from malloc for each read."""

_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())
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

    Raises:
        ConfigurationError: `http` is no aiohttp session.
    """

    def __init__(self, api_key: Secret, base_url: URL, timeout: float, http: aiohttp.ClientSession | None) -> None:
        if http is not None and not isinstance(http, aiohttp.ClientSession):
            raise ConfigurationError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}.")
        self._api_key = api_key
        self._timeout = timeout
        self._callers = http
        self._proxy = proxy_for(base_url)
        self._http: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None
        self._timeouts: SharedTimeout | None = None
        self._headers = self._merge_headers()

    @property
    def blocked(self) -> float:
        """Seconds for which other code blocked the event loop, while an attempt or `watch_blocking` was under way."""
        return 0.0 if self._timeouts is None else self._timeouts.blocked

    def watch_blocking(self) -> AbstractContextManager[None]:
        """Measure `blocked` in this context even where no attempt is under way, such as during a backoff."""
        return self._clock().watch()

    async def get(self, url: URL, on_sent: Callable[[], None] = lambda: None) -> RawResponse:
        """Send one request, and read the whole response.

        Args:
            url: its address.
            on_sent: called once, when it is sent: later than this call where it waits for a connection of a caller's
                pool, and never where that wait is cut short.

        Raises:
            TransportError: no whole response came within the time-out, or its body is over the cap.
            SessionClosedError: the caller closed the aiohttp session that was given as ``http``.
        """
        http = self._http or self._session()
        self._check_open(http)
        if self._callers is None:
            on_sent()
        try:
            with self._clock().attempt() as attempt:
                if self._callers is None:
                    return await self._exchange(http, url)
                with PoolWait(attempt, on_sent):
                    return await self._exchange(http, url)
        except TimeoutError as fault:
            raise TransportError(
                f"no whole response within {self._timeout:g} s", transient=True
            ) from self._without_secrets(fault)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as fault:
            self._check_open(http)
            cause = self._without_secrets(fault)
            raise TransportError(_describe(fault), transient=_is_transient(fault)) from cause
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._check_open(http)  # a connector that is closed cancels what waits for its connections
            raise

    async def _exchange(self, http: aiohttp.ClientSession, url: URL) -> RawResponse:
        # A session's own headers go to a proxy too: where there is one, ours go with each request instead.
        headers = None if self._proxy is None else self._headers
        response = await http.get(url, headers=headers, allow_redirects=False, proxy=self._proxy)
        try:
            body = await _body(response)
        except BaseException as fault:  # noqa: BLE001 - it is raised again
            response.close()
            del response  # a traceback that shows local variables need not show what came so far
            raise fault.with_traceback(None)  # noqa: B904 - it is the same
        if not response.closed:
            response.close()  # 101: the connection would no longer speak HTTP
        return RawResponse(response.status, response.headers, body)

    def _check_open(self, http: aiohttp.ClientSession) -> None:
        if self._callers is not None and http.closed:
            raise SessionClosedError("the aiohttp session given as http is closed")

    def _clock(self) -> SharedTimeout:
        if self._timeouts is None:
            self._timeouts = SharedTimeout(self._timeout)
        return self._timeouts

    def open_connections(self, count: int) -> None:
        """Open `count` connections beside that of the next request, so that those to come find them open.

        Nothing is opened over a caller's connector, whose limits are the caller's, nor through a proxy.
        """
        if self._proxy is None and count > 0:
            if self._http is None:
                self._session()
            if self._connector is not None:
                self._connector.ahead = count

    def stop_opening(self) -> tuple[asyncio.Task[None], ...]:
        """Give up the connections that are being opened ahead; returns the tasks that end with it."""
        return self._connector.stop_opening() if self._connector is not None else ()

    async def aclose(self) -> None:
        """Close what this transport opened. Closing twice is closing once."""
        try:
            if opening := self.stop_opening():
                await asyncio.wait(opening)
        finally:
            if self._timeouts is not None:
                self._timeouts.close()
            if self._http is not None:
                await self._http.close()
            if self._connector is not None:
                await self._connector.abort_tls()

    def _session(self) -> aiohttp.ClientSession:
        # glibc maps memory for a block as large as a read, and unmaps it again, until a larger one was freed: 18 of 23
        # microseconds a read.
        bytes(_TWICE_A_READ)
        callers = self._callers
        connector: aiohttp.BaseConnector
        if callers is None:
            connector = self._connector = Connector(limit=0)  # the gate counts, not the pool
        elif callers.connector is None:
            raise SessionClosedError("the aiohttp session given as http is closed")
        else:
            connector = cast("aiohttp.BaseConnector", SharedConnector(callers.connector))
        self._http = aiohttp.ClientSession(
            connector=connector,
            connector_owner=callers is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=callers.trace_configs if callers is not None else None,
            timeout=_NO_TIMEOUT,
            headers=self._headers if self._proxy is None else None,
            auto_decompress=False,  # _wire does it, with a bound
        )
        return self._http

    def _merge_headers(self) -> CIMultiDict[str]:
        headers = CIMultiDict(self._callers.headers) if self._callers is not None else CIMultiDict[str]()
        headers.setdefault("User-Agent", f"jogg-async/{__version__}")
        headers["Accept"] = "application/json"
        headers["Accept-Encoding"] = ACCEPT_ENCODING
        headers["x-api-key"] = self._api_key
        return headers

    def _without_secrets(self, fault: BaseException) -> BaseException:
        """`fault` and what led to it, without what holds the request's headers, and without the key.

        That is the frames of their tracebacks, and what a response error says of its request, a proxy's password
        among it.
        """
        for each in _chain(fault):
            each.__traceback__ = None
            if isinstance(each, aiohttp.ClientResponseError):
                known = each.request_info
                each.request_info = aiohttp.RequestInfo(known.url, known.method, _NO_HEADERS, known.url)
                each.headers = None
                each.args = (each.request_info, ())
            redact_error(each, self._api_key)
        return fault


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
    if content.is_eof():  # it came whole with the headers
        return content.read_nowait()
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise too_large()
    return b"".join(chunks)


def _describe(fault: Exception) -> str:
    kind = type(fault).__name__
    if isinstance(fault, aiohttp.ClientConnectorError):
        return f"{kind}: no connection to {fault.host}:{fault.port}: {fault.os_error.strerror or fault.os_error}"
    text = str(fault)
    return f"{kind}: {text}" if text else kind


def _is_transient(fault: Exception) -> bool:
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return fault.status >= 500  # the proxy refuses: asking again changes nothing
    return not any(isinstance(each, _UNTRUSTED) for each in _chain(fault))


def _chain(fault: BaseException) -> Iterator[BaseException]:
    known: set[int] = set()
    pending: list[BaseException | None] = [fault]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            pending += (each.__cause__, each.__context__)
            yield each
