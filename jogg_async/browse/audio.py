"""Proxy for audio files, for media hosts whose files cannot be played by a page of another origin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp import web

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
_PASSED_ON: Final = ("Accept-Ranges", "Content-Length", "Content-Range", "Content-Type")
_TYPES: Final = ("audio/", "video/", "application/octet-stream", "binary/octet-stream", "application/ogg")
_CHUNK: Final = 2**16


class AudioProxy:
    """Fetches audio files in its own HTTP session, without the API key and without cookies."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def send(self, request: web.Request, url: str) -> web.StreamResponse:
        """Send the file at `url`, or the range of it that the request names.

        Raises:
            HTTPBadGateway: the media host cannot be reached, or sent no audio. The text is the reason.
        """
        wanted = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        try:
            found = await self._session().get(url, headers=wanted, max_redirects=5)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise web.HTTPBadGateway(text=f"The media host could not be reached ({type(error).__name__}).") from error
        async with found:
            _check(found.status, found.content_type)
            return await _pass_on(request, found)

    async def aclose(self) -> None:
        """Close the session and its connections."""
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=True
            )
        return self._http


def _check(status: int, content_type: str) -> None:
    if status not in (200, 206):
        raise web.HTTPBadGateway(text=f"The media host responded with HTTP {status}.")
    if not content_type.startswith(_TYPES):
        raise web.HTTPBadGateway(text=f"The media host sent {content_type} instead of audio.")


async def _pass_on(request: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
    headers: Mapping[str, str] = {name: found.headers[name] for name in _PASSED_ON if name in found.headers}
    response = web.StreamResponse(status=found.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in found.content.iter_chunked(_CHUNK):
            await response.write(chunk)
    except (
        aiohttp.ClientError,
        TimeoutError,
    ):  # the status is already sent: close the connection to signal the failure
        request.protocol.force_close()
    return response
