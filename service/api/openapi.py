"""Makes the served OpenAPI document the contract in full, with the bodies and events that are handled by hand."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_TEMPLATE = "#/components/schemas/{model}"


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Where the document describes the model; `complete` puts it there."""
    return {"$ref": _TEMPLATE.format(model=model.__name__)}


def complete(app: FastAPI, requests: list[type[BaseModel]], events: list[type[BaseModel]]) -> None:
    """Add the models that only `reference` names."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            modes: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in requests]
            modes += [(model, "serialization") for model in events]
            _, schemas = models_json_schema(modes, ref_template=_TEMPLATE)
            known = document.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in schemas["$defs"].items():
                known.setdefault(name, schema)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
