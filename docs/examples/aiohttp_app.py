"""Serve JoggAI's music with aiohttp. Run it with ``python aiohttp_app.py``; the key is in ``JOGG_API_KEY``."""

import logging
import os
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler
from music_service import FAILURES, MusicService, failure, open_music

MUSIC = web.AppKey("music", MusicService)
logger = logging.getLogger(__name__)


async def open_session(app: web.Application) -> AsyncIterator[None]:
    async with open_music() as app[MUSIC]:
        yield


@web.middleware
async def map_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Map every failure of the service to a status."""
    try:
        return await handler(request)
    except FAILURES as error:
        status, headers, body = failure(error, request.app[MUSIC].jogg.paused)
        return web.json_response(body, status=status, headers=headers)


async def page(request: web.Request) -> web.Response:
    text = request.query.get("page", "1")
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    if number < 1:
        return web.json_response({"error": "page must be a whole number, 1 or more"}, status=400)
    found = await request.app[MUSIC].page(number, request.query.get("mood"))
    return web.json_response(found.to_dict())


async def stream(request: web.Request) -> web.StreamResponse:
    async with request.app[MUSIC].lines() as chunks:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            async for chunk in chunks:
                await response.write(chunk)  # raises once the client has left
        except FAILURES as error:
            logger.warning("stream cut off: %s", error)
            if request.transport is not None:
                request.transport.abort()  # a stream without its end must not look complete
    return response


async def catalogue(request: web.Request) -> web.Response:
    body = await request.app[MUSIC].catalogue()
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "max-age=300"})


async def health(request: web.Request) -> web.Response:
    return web.json_response(request.app[MUSIC].health())


def make_app() -> web.Application:
    """Return the app."""
    app = web.Application(middlewares=[map_failures])
    app.cleanup_ctx.append(open_session)
    routes = {"/music": page, "/music.ndjson": stream, "/catalogue": catalogue, "/health": health}
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    return app


if __name__ == "__main__":
    # A client that leaves cancels its handler, and so the request of a page that nobody waits for.
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), handler_cancellation=True)
