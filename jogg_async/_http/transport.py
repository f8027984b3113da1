"""One attempt of a request over aiohttp, with its timeout and the cap on the size of its body."""

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

_WARM_UP_BYTES: Final = 2**19
"""Bytes to allocate and free once, so that later reads are faster: twice what asyncio, and TLS in uvloop, allocate for
each read."""

_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_NO_HEADERS: Final = CIMultiDictProxy(CIMultiDict[str]())
_CERTIFICATE_ERRORS: Final = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    ssl.SSLCertVerificationError,
)


class Transport:
    """Sender of GET requests with the API key to one origin.

    The aiohttp session is made at the first request, in the event loop that runs then. It is always one of our own. If
    the caller passed a session, ours shares its connector, headers and traces, but neither its cookies nor its timeouts
    nor its proxy settings.

    Args:
        api_key: sent with each request.
        base_url: the origin.
        timeout: seconds for one attempt, from sending it to its last byte.
        http: the caller's own session, neither changed nor closed; `None` for none.

    Raises:
        ConfigurationError: `http` is not an aiohttp session, or the environment names a malformed proxy.
    """

    def __init__(self, api_key: Secret, base_url: URL, timeout: float, http: aiohttp.ClientSession | None) -> None:
        if http is not None and not isinstance(http, aiohttp.ClientSession):
            raise ConfigurationError(f"http must be an aiohttp.ClientSession, not {type(http).__name__}.")
        self._api_key = api_key
        self._timeout = timeout
        self._caller_http = http
        self._proxy = proxy_for(base_url)
        self._http: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None
        self._timeouts: SharedTimeout | None = None
        self._headers = self._merge_headers()

    @property
    def blocked(self) -> float:
        """Seconds for which other code blocked the event loop during an attempt or `watch_blocking`."""
        return 0.0 if self._timeouts is None else self._timeouts.blocked

    def watch_blocking(self) -> AbstractContextManager[None]:
        """Measure `blocked` in this context even if no attempt is under way, such as during a backoff."""
        return self._shared_timeout().watch()

    async def get(self, url: URL, on_sent: Callable[[], None] = lambda: None) -> RawResponse:
        """Send one request, and read the whole response.

        Args:
            url: the address.
            on_sent: called once, when the request is sent. Over a caller's session, this may be later than the call:
                the request first waits for a connection of the caller's pool. It is never called if that wait fails.

        Raises:
            TransportError: no complete response came within the timeout, or its body exceeds the cap.
            SessionClosedError: the caller closed the aiohttp session given as ``http``.
        """
        http = self._http or self._make_session()
        self._check_open(http)
        if self._caller_http is None:
            on_sent()
        try:
            with self._shared_timeout().attempt() as timeout:
                if self._caller_http is None:
                    return await self._exchange(http, url)
                with PoolWait(timeout, on_sent):
                    return await self._exchange(http, url)
        except TimeoutError as fault:
            cause = self._without_secrets(fault)
            raise TransportError(f"timed out after {self._timeout:g} s", transient=True) from cause
        except (aiohttp.ClientError, HttpProcessingError, OSError) as fault:
            self._check_open(http)
            cause = self._without_secrets(fault)
            raise TransportError(describe(fault), transient=is_transient(fault)) from cause
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._check_open(http)  # a connector that closes cancels the requests that wait for a connection
            raise

    async def _exchange(self, http: aiohttp.ClientSession, url: URL) -> RawResponse:
        # aiohttp sends a session's default headers to the proxy too, so the key must be a header of the request there.
        headers = None if self._proxy is None else self._headers
        response = await http.get(url, headers=headers, allow_redirects=False, proxy=self._proxy)
        try:
            body = await _read_body(response)
        except BaseException as fault:  # noqa: BLE001 - raised again below
            response.close()
            del response  # error trackers show local variables: keep the partial response out of them
            raise fault.with_traceback(None)  # noqa: B904 - the same exception
        if not response.closed:
            response.close()  # status 101: the connection no longer speaks HTTP
        return RawResponse(response.status, response.headers, body)

    def _check_open(self, http: aiohttp.ClientSession) -> None:
        if self._caller_http is not None and http.closed:
            raise SessionClosedError("the aiohttp session given as http is closed")

    def _shared_timeout(self) -> SharedTimeout:
        if self._timeouts is None:
            self._timeouts = SharedTimeout(self._timeout)
        return self._timeouts

    def preconnect(self, count: int) -> None:
        """Open `count` connections beside that of the next request, so that later requests find them open.

        None are opened over a caller's connector, whose limits are up to the caller, nor through a proxy.
        """
        if self._proxy is None and count > 0:
            if self._http is None:
                self._make_session()
            if self._connector is not None:
                self._connector.preconnect = count

    def stop_preconnects(self) -> tuple[asyncio.Task[None], ...]:
        """Cancel the connections being opened in advance; return their tasks, to be awaited."""
        return self._connector.stop_preconnects() if self._connector is not None else ()

    async def aclose(self) -> None:
        """Close everything that this transport opened. Closing it again has no effect."""
        try:
            if tasks := self.stop_preconnects():
                await asyncio.wait(tasks)
        finally:
            if self._timeouts is not None:
                self._timeouts.close()
            if self._http is not None:
                await self._http.close()
            if self._connector is not None:
                await self._connector.abort_tls()

    def _make_session(self) -> aiohttp.ClientSession:
        # Until the process has freed a larger block once, glibc maps and unmaps memory for the buffer of each read: 18
        # of the 23 microseconds that a read takes.
        bytes(_WARM_UP_BYTES)
        given = self._caller_http
        connector: aiohttp.BaseConnector
        if given is None:
            connector = self._connector = Connector(limit=0)  # the throttle limits the requests in flight
        elif given.connector is None:
            raise SessionClosedError("the aiohttp session given as http is closed")
        else:
            connector = cast("aiohttp.BaseConnector", SharedConnector(given.connector))
        self._http = aiohttp.ClientSession(
            connector=connector,
            connector_owner=given is None,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_TIMEOUT,
            headers=self._headers if self._proxy is None else None,
            auto_decompress=False,  # `decompress` does it, with a bound on the size
        )
        if given is not None:
            # Set here, not above: instrumentations wrap the constructor, and would trace each request a second time.
            self._http.trace_configs[:] = given.trace_configs
        return self._http

    def _merge_headers(self) -> CIMultiDict[str]:
        headers = CIMultiDict(self._caller_http.headers) if self._caller_http is not None else CIMultiDict[str]()
        headers.setdefault("User-Agent", f"jogg-async/{__version__}")
        headers["Accept"] = "application/json"
        headers["Accept-Encoding"] = ACCEPT_ENCODING
        headers["x-api-key"] = self._api_key
        return headers

    def _without_secrets(self, fault: BaseException) -> BaseException:
        """Remove the key and the request's headers from an aiohttp error and its causes; return the error.

        Tracebacks and `aiohttp.ClientResponseError` hold those headers, a proxy's password among them.
        """
        for each in _error_chain(fault):
            each.__traceback__ = None
            if isinstance(each, aiohttp.ClientResponseError):
                known = each.request_info
                each.request_info = aiohttp.RequestInfo(known.url, known.method, _NO_HEADERS, known.url)
                each.headers = None
                each.args = (each.request_info, ())
            redact_error(each, self._api_key)
        return fault


def proxy_for(url: URL) -> URL | None:
    """Return the proxy that the environment names for an address; `None` for none, and for a loopback host.

    aiohttp's own ``trust_env`` looks it up for every request, in a thread.

    Raises:
        ConfigurationError: the environment names a malformed one.
    """
    host = url.host or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    for name in (url.scheme, "all"):
        if proxy := proxies.get(name):
            return _proxy_url(proxy, f"{name.upper()}_PROXY")
    return None


def _proxy_url(text: str, variable: str) -> URL:
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        url = URL()
    if not url.host:
        # The error does not quote the address, which may hold a password.
        raise ConfigurationError(f"{variable} is no valid address of a proxy. Give it as http://host:port.")
    return url


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    content = response.content
    if content.is_eof():  # the whole body came with the headers
        return content.read_nowait()
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise too_large()
    return b"".join(chunks)


def describe(fault: Exception) -> str:
    """Return the text of an error of aiohttp or the system, with its class."""
    kind = type(fault).__name__
    if isinstance(fault, aiohttp.ClientConnectorError):
        return f"{kind}: no connection to {fault.host}:{fault.port}: {fault.os_error.strerror or fault.os_error}"
    text = str(fault)
    return f"{kind}: {text}" if text else kind


def is_transient(fault: Exception) -> bool:
    """Return whether a retry may help after an error of aiohttp or the system."""
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return fault.status >= 500  # else the proxy refuses, and a retry changes nothing
    return not any(isinstance(each, _CERTIFICATE_ERRORS) for each in _error_chain(fault))


def _error_chain(fault: BaseException) -> Iterator[BaseException]:
    known: set[int] = set()
    pending: list[BaseException | None] = [fault]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            pending += (each.__cause__, each.__context__)
            yield each
