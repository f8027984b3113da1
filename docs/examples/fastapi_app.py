"""Serve JoggAI's music with FastAPI. Run it with ``uvicorn fastapi_app:app``; the key is in ``JOGG_API_KEY``."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from music_service import FAILURES, MusicService, failure, open_music


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, MusicService]]:
    async with open_music() as music:
        yield {"music": music}


app = FastAPI(lifespan=lifespan)


def service(request: Request) -> MusicService:
    music: MusicService = request.state.music
    return music


Music = Annotated[MusicService, Depends(service)]


async def chunks(music: Music) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Keep the crawl until the response is sent, or its client has left."""
    async with music.lines() as lines:
        yield lines


async def failed(request: Request, error: Exception) -> JSONResponse:
    """Map every failure of the service to a status."""
    status, headers, body = failure(error, request.state.music.jogg.paused)
    return JSONResponse(body, status, headers)


for kind in FAILURES:
    app.add_exception_handler(kind, failed)


@app.get("/music")
async def page(music: Music, page: Annotated[int, Query(ge=1, le=10**9)] = 1, mood: str | None = None) -> Any:
    return (await music.page(page, mood)).to_dict()


@app.get("/music.ndjson")
async def stream(lines: Annotated[AsyncIterator[bytes], Depends(chunks)]) -> StreamingResponse:
    return StreamingResponse(lines, media_type="application/x-ndjson")


@app.get("/catalogue")
async def catalogue(music: Music) -> Response:
    return Response(await music.catalogue(), media_type="application/json", headers={"Cache-Control": "max-age=300"})


@app.get("/health")
async def health(music: Music) -> dict[str, Any]:
    return music.health()
