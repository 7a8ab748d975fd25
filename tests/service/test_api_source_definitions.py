"""Definitions of sources over HTTP: what is refused, and where it is said to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.http_parts import Keyed, pointers, problem
from tests.service.source_parts import folder_of

REFUSED_ORIGINS: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "ftp", "url": "ftp://example.org"}, "/origin/kind", "folder, git, web or sql"),
    ({"path": "/srv"}, "/origin/kind", "folder, git, web or sql"),
    ({"kind": "folder"}, "/origin/path", "required"),
    ({"kind": "folder", "path": "docs"}, "/origin/path", "whole path"),
    ({"kind": "folder", "path": "/srv/../etc"}, "/origin/path", "without `..`"),
    ({"kind": "folder", "path": "/srv", "depth": 3}, "/origin/depth", "not permitted"),
    ({"kind": "folder", "path": "/srv", "include": ["*.md", "../*"]}, "/origin/include/1", "no `..`"),
    ({"kind": "git", "url": "https://me:secret@example.org/r.git"}, "/origin/url", "leave name, password"),
    ({"kind": "git", "url": "/srv", "branch": "-x"}, "/origin/branch", "not the name of a branch"),
    ({"kind": "web", "url": "docs.example.org"}, "/origin/url", "begins with https://"),
    ({"kind": "web", "url": "http://[::1"}, "/origin/url", "not an address"),
    ({"kind": "web", "url": "http://127.0.0.1:9/"}, "/origin/url", "PLUMBLINE_SOURCES__ALLOWED_HOSTS"),
    ({"kind": "web", "url": "http://169.254.169.254/latest"}, "/origin/url", "PLUMBLINE_SOURCES__ALLOWED_HOSTS"),
    ({"kind": "git", "url": "http://127.0.0.1:9/r.git"}, "/origin/url", "PLUMBLINE_SOURCES__ALLOWED_HOSTS"),
    ({"kind": "git", "url": "/etc"}, "/origin/url", "PLUMBLINE_SOURCES__FOLDERS"),
    ({"kind": "folder", "path": "/etc"}, "/origin/path", "PLUMBLINE_SOURCES__FOLDERS"),
    ({"kind": "sql", "database": "shop", "key": "id", "text": ["text"]}, "/origin", "`table` or `query`"),
    (
        {"kind": "sql", "database": "elsewhere", "table": "t", "key": "id", "text": ["x"]},
        "/origin/database",
        "PLUMBLINE_SOURCES__DATABASES__ELSEWHERE",
    ),
    ({"kind": "sql", "database": "shop", "table": "t", "key": "a\0b", "text": ["x"]}, "/origin", "NUL"),
]


@pytest.mark.parametrize(("origin", "pointer", "words"), REFUSED_ORIGINS)
def test_what_cannot_work_is_refused_where_it_stands(
    admin: httpx.Client, origin: dict[str, Any], pointer: str, words: str
) -> None:
    told = problem(admin.post("/v1/sources", json={"id": "refused", "origin": origin}), 422, "invalid_request")

    assert pointers(told) == [pointer]
    assert words in told["errors"][0]["detail"].replace("Field required", "required")
    assert "Value error" not in told["detail"]
    assert admin.get("/v1/sources/refused").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("id", value) for value in ("", "Upper", "a b", "upload", "x" * 65, 5)),
        *(("interval_s", value) for value in (1, 10**15, "often")),
        *(("labels", value) for value in (["*"], [""], "ops")),
        *(("metadata", value) for value in ({"a": None}, {"a": "\0"}, {"": 1}, [])),
        *(("collection", value) for value in ("", "\n", "x" * 65)),
        ("every", "5m"),
    ],
)
def test_odd_fields_are_refused(admin: httpx.Client, docs: Path, field: str, value: object) -> None:
    told = problem(admin.post("/v1/sources", json=folder_of(docs, "odd") | {field: value}), 422, "invalid_request")

    assert all(pointer.startswith(f"/{field}") for pointer in pointers(told))


_TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "/",
        "/etc",
        "http://",
        "http://[",
        "https://" + "a" * 70 + ".org",
        "\0",
        "\ud800",
        "**",
        "{{",
        "git@h:p",
        "shop",
        "ssh://h:99999/",
    ]
)
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.floats(), _TEXTS, st.lists(_TEXTS, max_size=3)
)
_FIELDS = ["path", "url", "include", "exclude", "watch", "branch", "subpath", "max_pages", "delay_s", "database"]
_FIELDS += ["table", "query", "key", "text", "title", "updated_at"]
_ORIGINS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["folder", "git", "web", "sql"])}, optional=dict.fromkeys(_FIELDS, _VALUES)
)


@given(
    method=st.sampled_from(["POST", "PUT"]),
    origin=_ORIGINS | _VALUES,
    more=st.dictionaries(st.sampled_from(["collection", "labels", "metadata", "interval_s", "x"]), _VALUES, max_size=2),
)
@settings(max_examples=200)
def test_no_definition_breaks_the_service(served: Keyed, method: str, origin: object, more: dict[str, Any]) -> None:
    body = json.dumps({"id": "fuzz", "origin": origin, **more}).encode()

    with served.client("admin") as client:
        path = "/v1/sources" if method == "POST" else "/v1/sources/fuzz"
        response = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
        if response.is_success:
            client.delete("/v1/sources/fuzz")

    assert response.status_code < 500, response.text


@pytest.mark.parametrize("odd", ["%00", "%ff", "x" * 70, "..", "a%2Fb"])
def test_odd_names_are_refused(admin: httpx.Client, odd: str) -> None:
    assert admin.get(f"/v1/sources/{odd}").status_code in (404, 422)
    assert admin.post(f"/v1/sources/{odd}/sync").status_code in (404, 405, 422)
