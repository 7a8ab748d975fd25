"""The HTTP application: routes, error edge and web page around one runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import TypedDict

from fastapi import FastAPI

from service.api import problems
from service.api.auditing import refused
from service.api.edge import Edge
from service.api.models.answers import RetrievalEventModel, SentenceEventModel
from service.api.models.documents import BatchRequest, JsonDocument, UploadForm
from service.api.models.verify import VerifyBatch, VerifyRequest
from service.api.openapi import complete
from service.api.routes import (
    answers,
    audit,
    candidates,
    context,
    documents,
    feedback,
    gaps,
    generations,
    health,
    jobs,
    quality,
    releases,
    search,
    sources,
    traces,
    verify,
)
from service.runtime import Runtime, open_runtime
from service.settings import ServiceSettings
from service.ui.routes import add_web_page

DESCRIPTION = "Semantic search and cited answers over your runbooks, docs and tables, with every sentence checked."


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager["State"]]


class State(TypedDict):
    """What every request finds in `request.state`."""

    runtime: Runtime


def create_app(settings: ServiceSettings) -> FastAPI:
    """An application that opens its runtime when it starts, and closes it when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with open_runtime(settings) as runtime:
            yield {"runtime": runtime}

    return _application(lifespan, settings)


def app_for(runtime: Runtime) -> FastAPI:
    """An application around a runtime that is open already and stays open."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        yield {"runtime": runtime}

    return _application(lifespan, runtime.settings)


def _application(lifespan: Lifespan, settings: ServiceSettings) -> FastAPI:
    app = FastAPI(
        title="Plumbline",
        version=version("plumbline"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # FastAPI's own pages load their scripts from other hosts: docs/api.md and /openapi.json serve closed networks.
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    for routes in (
        search,
        context,
        answers,
        verify,
        documents,
        sources,
        jobs,
        generations,
        feedback,
        traces,
        quality,
        gaps,
        audit,
        candidates,
        releases,
        health,
    ):
        app.include_router(routes.router)
    problems.install(app, refused)
    complete(
        app,
        requests=[JsonDocument, BatchRequest, UploadForm, VerifyRequest, VerifyBatch],
        events=[RetrievalEventModel, SentenceEventModel],
    )
    add_web_page(app)
    app.add_middleware(Edge, max_upload_bytes=settings.server.max_upload_bytes)
    return app
