"""Writes the parts of the documentation that repeat the code: `make docs`.

A page in `docs/` says where with a pair of comments, `<!-- generated: settings -->` and `<!-- end -->`; the prose
around them is written by hand. `tests/architecture/test_docs.py` fails while a page is not what this would write.
"""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.app import create_app
from service.ledger.metrics import METRICS
from service.settings import ServiceSettings

DOCS = Path(__file__).resolve().parent
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def variables(model: type[BaseModel] = ServiceSettings, prefix: str = "PLUMBLINE_") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as (environment variable, field), groups in the order in which they are declared."""
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from variables(group, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field


def settings() -> str:
    """One table of the settings without a group, then one per group under its docstring."""
    groups: dict[str, list[str]] = {}
    purposes = {"": "What every process needs."}
    for name, field in ServiceSettings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            purposes[name.upper()] = (field.annotation.__doc__ or "").strip().splitlines()[0]
    for variable, field in variables():
        group, found, _ = variable.removeprefix("PLUMBLINE_").rpartition("__")
        row = f"| `{variable}` | {_kind(field.annotation)} | {_default(field)} | {field.description or ''} |"
        groups.setdefault(group if found else "", []).append(row)
    parts = []
    for group, rows in groups.items():
        title = f"## {group.lower()}" if group else "## General"
        table = ["| variable | value | default | meaning |", "| --- | --- | --- | --- |", *rows]
        parts.append("\n".join([title, "", purposes.get(group, ""), "", *table]))
    return "\n\n".join(parts)


def metrics() -> str:
    """One row per metric."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help}. |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |", *rows])


def routes() -> str:
    """One table of calls for each part of the API, from its OpenAPI document."""
    parts: dict[str, list[str]] = {}
    for path, methods in create_app(ServiceSettings()).openapi()["paths"].items():
        for method, call in methods.items():
            what = f"{_sentence(call['summary'])} {call.get('description', '')}".strip().replace("\n", " ")
            row = f"| `{method.upper()} {path}` | {what} | {_parameters(call)} |"
            parts.setdefault(call["tags"][0], []).append(row)
    tables = []
    for part, rows in parts.items():
        head = ["| call | what it does | takes |", "| --- | --- | --- |"]
        tables.append("\n".join([f"## {part.capitalize()}", "", *head, *rows]))
    return "\n\n".join(tables)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


def _parameters(call: dict[str, Any]) -> str:
    """Names of the query parameters and headers, and the models of the body."""
    names = [f"`{parameter['name']}`" for parameter in call.get("parameters", ()) if parameter["in"] != "path"]
    body = call.get("requestBody", {}).get("content", {})
    models = [f"{kind}: {_model(content['schema'])}" for kind, content in body.items()]
    return "; ".join(filter(None, [", ".join(names), *models]))


def _model(schema: dict[str, Any]) -> str:
    return f"`{schema['$ref'].rpartition('/')[2]}`" if "$ref" in schema else "see `/docs`"


def _kind(annotation: Any) -> str:
    """What may be written after the `=`, in a word."""
    if get_origin(annotation) in (Union, types.UnionType):
        return ", ".join(_kind(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    words = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true`, `false`",
        Path: "path",
        SecretStr: "secret",
    }
    return words.get(annotation, "JSON")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        if field.default_factory is None:
            return "required"
        return f"`{field.get_default(call_default_factory=True, validated_data={})}`"
    if field.default is None or field.default == "":
        return "unset"
    default = field.default.value if isinstance(field.default, enum.Enum) else field.default
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


GENERATED: dict[str, Callable[[], str]] = {"settings": settings, "metrics": metrics, "routes": routes}


def rendered(page: str) -> str:
    """The page with every generated block filled anew. Raises KeyError for a block that nothing generates."""
    return _BLOCK.sub(lambda block: f"{block[1]}{GENERATED[block[2]]()}\n{block[3]}", page)


def pages() -> list[Path]:
    """The pages that hold a generated block."""
    return [path for path in sorted(DOCS.glob("*.md")) if _BLOCK.search(path.read_text("utf-8"))]


def relative_links(page: str) -> list[str]:
    """Targets of the page's links and pictures that are files of this repository, without their anchors."""
    return [target for target in _LINK.findall(_FENCE.sub("", page)) if not re.match(r"[a-z]+:", target)]


def main() -> None:
    """Rewrite the pages that are not current."""
    for path in pages():
        page = path.read_text("utf-8")
        if (new := rendered(page)) != page:
            path.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
