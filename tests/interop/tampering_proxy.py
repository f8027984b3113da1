"""Addon of mitmproxy: send each request to the fake, and change the response as the query parameter `tamper` says."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

PORT: Final = int(os.environ["FAKE_PORT"])
RECORD_FILE: Final = Path(os.environ["RECORD_FILE"])
DELAY: Final = 0.3


def http_connect(flow: Any) -> None:
    """Record what a client sends before TLS begins."""
    with RECORD_FILE.open("ab") as file:
        file.write(
            b"%b %b\n%b\n" % (flow.request.data.method, flow.request.data.authority, bytes(flow.request.headers))
        )


def server_connect(data: Any) -> None:
    data.server.address = "127.0.0.1", PORT


def request(flow: Any) -> None:
    flow.request.scheme, flow.request.host, flow.request.port = "http", "127.0.0.1", PORT


def responseheaders(flow: Any) -> None:
    flow.response.stream = flow.request.query.get("tamper") == "stream"


async def response(flow: Any) -> None:
    tamper = flow.request.query.get("tamper", "")
    if tamper == "late":
        await asyncio.sleep(DELAY)
    elif tamper in CHANGES:
        CHANGES[tamper](flow)


def _encoded(coding: str) -> Callable[[Any], None]:
    return lambda flow: flow.response.encode(coding)


def _headed(**headers: str) -> Callable[[Any], None]:
    return lambda flow: flow.response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})


def _chunked(flow: Any) -> None:
    del flow.response.headers["content-length"]
    flow.response.headers["transfer-encoding"] = "chunked"


def _old(flow: Any) -> None:
    flow.response.http_version = "HTTP/1.0"


def _without_length(flow: Any) -> None:
    """Remove the length, so that the body ends with the connection."""
    _old(flow)
    del flow.response.headers["content-length"]


def _cut(flow: Any) -> None:
    flow.response.content = flow.response.content[:500]


def _noise(flow: Any) -> None:
    flow.response.content = random.Random(1).randbytes(4000)


def _page(flow: Any) -> None:
    flow.response.status_code = 503
    flow.response.headers["content-type"] = "text/html"
    flow.response.text = "<h1>Down for maintenance</h1>"


def _kill(flow: Any) -> None:
    flow.kill()


CHANGES: Final[Mapping[str, Callable[[Any], None]]] = {
    **{coding: _encoded(coding) for coding in ("gzip", "deflate", "br", "zstd")},
    "close": _headed(connection="close"),
    "longer": _headed(content_length="99999"),
    "mislabelled": _headed(content_encoding="gzip"),
    "chunked": _chunked,
    "old": _old,
    "without-length": _without_length,
    "cut": _cut,
    "noise": _noise,
    "page": _page,
    "killed": _kill,
}
