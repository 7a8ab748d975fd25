"""The page and its files as they are sent: one policy, one fingerprint, and nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from service.ui.routes import add_web_page


@pytest.fixture(scope="module")
def web() -> Iterator[TestClient]:
    app = Starlette()
    add_web_page(app)
    with TestClient(app) as client:
        yield client


def _linked(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


def test_the_page_allows_nothing_but_its_own_files(web: TestClient) -> None:
    response = web.get("/")

    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_the_page_holds_no_script_no_style_and_no_address_of_another_host(web: TestClient) -> None:
    page = web.get("/").text

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"(?:src|href|action)=\"(?!/|#)", page)
    for path in _linked(page):
        assert not re.search(r"https?://(?!www\.w3\.org/)", web.get(path).text), path


def test_every_file_the_page_names_is_there_and_may_be_kept(web: TestClient) -> None:
    links = _linked(web.get("/").text)

    assert len(links) >= 3
    for path in links:
        response = web.get(path)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]


def test_every_module_that_a_module_imports_is_there(web: TestClient) -> None:
    start = next(path for path in _linked(web.get("/").text) if path.endswith(".js"))
    folder = start.rpartition("/")[0]
    seen, waiting = set(), [start]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        response = web.get(path)
        assert response.status_code == 200, path
        assert response.headers["content-type"].startswith("text/javascript")
        named = {f"{folder}/{name}" for name in re.findall(r'from "\./([^"]+)"', response.text)}
        waiting += named - seen
    assert len(seen) >= 8


def test_a_page_that_did_not_change_is_not_sent_again(web: TestClient) -> None:
    tag = web.get("/").headers["etag"]

    response = web.get("/", headers={"If-None-Match": tag})

    assert response.status_code == 304
    assert response.content == b""


def test_a_file_of_another_release_is_not_kept(web: TestClient) -> None:
    response = web.get("/static/0000000000000000/app.js")

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/static/x/routes.py", "/static/x/..%2froutes.py", "/static/x/", "/static/x/none.js"])
def test_only_its_own_files_are_served(web: TestClient, path: str) -> None:
    assert web.get(path).status_code == 404


def test_the_icon_is_a_drawing(web: TestClient) -> None:
    response = web.get("/favicon.svg")

    assert response.headers["content-type"] == "image/svg+xml"
    assert response.text.startswith("<svg")
