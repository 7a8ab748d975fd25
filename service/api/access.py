"""Access as types: an endpoint's signature is its access rule."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from service.access.door import Caller
from service.access.principals import Permission, Principal
from service.runtime import Runtime

# For the OpenAPI document only; the door reads the header itself, and without a key it may stay shut or open.
_BEARER = HTTPBearer(auto_error=False, description="An API key: `plumbline keys create NAME`")


# `async` although it awaits nothing: FastAPI runs a plain function in a thread, which costs more than the function.
async def runtime_of(request: Request) -> Runtime:
    """What the process runs on."""
    runtime = request.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


def _caller(request: Request) -> Caller:
    server = request.scope.get("server")
    return Caller(
        client=request.client.host if request.client else None,
        server=server[0] if server else None,
        host=request.headers.get("host"),
        origin=request.headers.get("origin"),
        authorization=request.headers.get("authorization"),
    )


Running = Annotated[Runtime, Depends(runtime_of)]


async def principal_of(request: Request, runtime: Running, _: Annotated[object, Security(_BEARER)] = None) -> Principal:
    """Whoever calls. Raises: Unauthenticated, Forbidden."""
    caller = _caller(request)
    principal = runtime.door.remembered(caller)
    if principal is None:
        principal = await run_in_threadpool(runtime.door.admit, caller)
    structlog.contextvars.bind_contextvars(tenant=principal.tenant)
    request.state.principal = principal
    return principal


def requires(permission: Permission) -> Dependency:
    """The principal, if it has that permission."""

    async def permitted(principal: Annotated[Principal, Depends(principal_of)]) -> Principal:
        principal.require(permission)
        return principal

    found: Dependency = Depends(permitted)
    return found


Anyone = Annotated[Principal, Depends(principal_of)]
Searching = Annotated[Principal, requires(Permission.SEARCH)]
Answering = Annotated[Principal, requires(Permission.ANSWER)]
GivingFeedback = Annotated[Principal, requires(Permission.FEEDBACK)]
Ingesting = Annotated[Principal, requires(Permission.INGEST)]
Administering = Annotated[Principal, requires(Permission.ADMIN)]
