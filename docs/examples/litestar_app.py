"""Serve JoggAI's music with Litestar. Run it with ``uvicorn litestar_app:app``; the key is in ``JOGG_API_KEY``."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import Provide
from litestar.params import Parameter
from litestar.response import Stream
from music_service import FAILURES, MusicService, failure, open_music


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None]:
    async with open_music() as app.state.music:
        yield


def service(state: State) -> MusicService:
    music: MusicService = state.music
    return music


def failed(request: Request[Any, Any, State], error: Exception) -> Response[dict[str, Any]]:
    """Map every failure of the service to a status."""
    status, headers, body = failure(error, request.app.state.music.jogg.paused)
    return Response(body, status_code=status, headers=headers)


@get("/music")
async def page(
    music: MusicService, page: Annotated[int, Parameter(ge=1, le=10**9)] = 1, mood: str | None = None
) -> dict[str, Any]:
    return (await music.page(page, mood)).to_dict()


@get("/music.ndjson")
async def stream(music: MusicService) -> Stream:
    async with AsyncExitStack() as stack:
        lines = await stack.enter_async_context(music.lines())
        close = stack.pop_all().aclose  # after the response is sent, or its client has left
    return Stream(lines, media_type="application/x-ndjson", background=BackgroundTask(close))


@get("/catalogue")
async def catalogue(music: MusicService) -> Response[bytes]:
    return Response(await music.catalogue(), media_type=MediaType.JSON, headers={"Cache-Control": "max-age=300"})


@get("/health")
async def health(music: MusicService) -> dict[str, Any]:
    return music.health()


app = Litestar(
    [page, stream, catalogue, health],
    lifespan=[lifespan],
    dependencies={"music": Provide(service, sync_to_thread=False)},
    exception_handlers=dict.fromkeys(FAILURES, failed),
)
