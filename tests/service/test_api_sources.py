"""Sources over HTTP: added, synced, compared, changed and removed, and what their trouble shows as."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.service.http_parts import Keyed, pointers, problem
from tests.service.source_parts import folder_of, found, job_over, serving_sources, sync, until

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


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def served(base: Path, models_dir: Path) -> Iterator[Keyed]:
    """The service that every test here calls."""
    with serving_sources(base, models_dir) as keyed:
        yield keyed


@pytest.fixture
def admin(served: Keyed) -> Iterator[httpx.Client]:
    with served.client("admin") as client:
        yield client


@pytest.fixture
def docs(base: Path) -> Iterator[Path]:
    """A folder of the test's own below the one that sources may read."""
    folder = base / "origins" / uuid.uuid4().hex[:8]
    folder.mkdir()
    (folder / "crane.md").write_text("# Crane\n\nThe harbour crane lifts forty tons.\n")
    (folder / "barge.md").write_text("# Barge\n\nThe barge leaves the quay at noon.\n")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def name(admin: httpx.Client) -> Iterator[str]:
    """A source's id of the test's own; the source is gone afterwards."""
    id_ = f"s-{uuid.uuid4().hex[:8]}"
    yield id_
    admin.delete(f"/v1/sources/{id_}")


def add(client: httpx.Client, definition: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/sources", json=definition)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


def test_a_source_is_told_as_it_was_added(admin: httpx.Client, docs: Path, name: str) -> None:
    definition = folder_of(
        docs, name, collection="harbour", labels=["ops"], metadata={"team": "quay", "pages": 2}, interval_s=86_400
    )
    definition["origin"] |= {"include": ["**/*.md"], "exclude": ["drafts/**"]}

    made = add(admin, definition)

    assert made["origin"] == {**definition["origin"], "watch": False}
    for field in ("id", "collection", "labels", "metadata", "interval_s"):
        assert made[field] == definition[field]
    assert (made["paused"], made["failures"], made["error"], made["counts"]) == (False, 0, None, {})
    assert made["health"] == "never_synced"
    assert made["due_at"] is not None
    assert admin.get(f"/v1/sources/{name}").json()["id"] == name


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


def test_an_id_is_taken_once(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name))

    problem(admin.post("/v1/sources", json=folder_of(docs, name)), 409, "conflict")


def test_a_repeated_request_adds_once(admin: httpx.Client, docs: Path, name: str) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = admin.post("/v1/sources", json=folder_of(docs, name), headers=key)
    again = admin.post("/v1/sources", json=folder_of(docs, name), headers=key)
    other = admin.post("/v1/sources", json=folder_of(docs, name, collection="other"), headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    problem(other, 409, "idempotency_key_reused")


def test_a_list_is_read_page_by_page(admin: httpx.Client, docs: Path) -> None:
    names = [f"page-{uuid.uuid4().hex[:8]}" for _ in range(5)]
    for id_ in names:
        add(admin, folder_of(docs, id_))
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 2}
    while True:
        page = admin.get("/v1/sources", params=parameters).json()
        assert len(page["sources"]) <= 2
        seen += [source["id"] for source in page["sources"]]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    for id_ in names:
        assert admin.delete(f"/v1/sources/{id_}").status_code == 204

    assert [id_ for id_ in seen if id_ in names] == names[::-1]
    assert len(seen) == len(set(seen))
    problem(admin.get("/v1/sources", params={"cursor": "nonsense"}), 422, "invalid_request")
    assert pointers(problem(admin.get("/v1/sources", params={"limit": 0}), 422, "invalid_request")) == ["/limit"]


def test_a_folder_is_kept_in_step(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name))

    job = sync(admin, name)
    assert (job["state"], job["counts"]["created"], job["done"]) == ("succeeded", 2, 2)
    assert {document["status"] for document in job["documents"]} == {"created"}
    [passage] = found(admin, "harbour crane")
    assert "forty tons" in passage
    equal = admin.get(f"/v1/sources/{name}/reconcile").json()
    assert (equal["equal"], equal["documents"], equal["complete"]) == (True, 2, True)

    (docs / "crane.md").write_text("# Crane\n\nThe harbour crane lifts fifty tons.\n")
    (docs / "barge.md").unlink()
    (docs / "tug.md").write_text("# Tug\n\nThe tugboat waits at pier nine.\n")
    differs = admin.get(f"/v1/sources/{name}/reconcile").json()
    assert not differs["equal"]
    assert [differs[kind]["count"] for kind in ("missing", "stale", "orphaned", "failed")] == [1, 1, 1, 0]
    assert found(admin, "leaves the quay"), "comparing changes nothing"

    job = sync(admin, name)
    assert {kind: job["counts"][kind] for kind in ("created", "updated", "deleted")} == {
        "created": 1,
        "updated": 1,
        "deleted": 1,
    }
    assert found(admin, "leaves the quay") == []
    assert found(admin, "forty tons") == []
    assert len(found(admin, "fifty tons")) == len(found(admin, "pier nine")) == 1
    assert admin.get(f"/v1/sources/{name}/reconcile").json()["equal"]
    source = admin.get(f"/v1/sources/{name}").json()
    assert (source["health"], source["counts"]["seen"]) == ("ok", 2)


def test_what_is_removed_is_not_found_when_the_call_returns(admin: httpx.Client, docs: Path, name: str) -> None:
    (docs / "capstan.md").write_text("# Capstan\n\nThe rusty capstan squeaks.\n")
    add(admin, folder_of(docs, name))
    sync(admin, name)
    [document] = admin.get("/v1/documents", params={"title": "Capstan"}).json()["documents"]
    assert found(admin, "rusty capstan")

    removed = admin.delete(f"/v1/sources/{name}")

    assert (removed.status_code, removed.content) == (204, b"")
    assert found(admin, "rusty capstan") == []
    assert admin.get(f"/v1/documents/{document['id']}").status_code == 404
    assert (docs / "capstan.md").exists()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/sync"), ("GET", "/reconcile"), ("POST", "/pause")):
        problem(admin.request(method, f"/v1/sources/{name}{path}"), 404, "not_found")


def test_a_new_definition_is_followed_by_the_next_sync(admin: httpx.Client, docs: Path, name: str) -> None:
    (docs / "winch.md").write_text("# Winch\n\nThe winch cable is inspected weekly.\n")
    add(admin, folder_of(docs, name))
    sync(admin, name)

    changed = folder_of(docs, name, labels=["divers"], collection="deck", interval_s=86_400)
    changed["origin"]["include"] = ["winch*"]
    told = admin.put(f"/v1/sources/{name}", json=changed).json()
    assert (told["collection"], told["labels"], told["interval_s"]) == ("deck", ["divers"], 86_400)
    sync(admin, name)

    [document] = admin.get("/v1/documents", params={"title": "Winch"}).json()["documents"]
    assert (document["collection"], document["labels"]) == ("deck", ["divers"])
    assert found(admin, "forty tons") == []
    assert admin.get(f"/v1/sources/{name}/reconcile").json()["equal"]


def test_kind_and_id_stay(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name))
    shop = {"kind": "sql", "database": "shop", "table": "products", "key": "id", "text": ["text"]}

    problem(admin.put(f"/v1/sources/{name}", json={"id": name, "origin": shop}), 409, "conflict")
    told = problem(admin.put(f"/v1/sources/{name}", json=folder_of(docs, "other")), 422, "invalid_request")
    outside = problem(admin.put(f"/v1/sources/{name}", json=folder_of(Path("/etc"), name)), 422, "invalid_request")
    problem(admin.put("/v1/sources/nothing", json=folder_of(docs, "nothing")), 404, "not_found")

    assert pointers(told) == ["/id"]
    assert pointers(outside) == ["/origin/path"]


def test_rows_of_a_database_are_documents(admin: httpx.Client, name: str) -> None:
    origin = {"kind": "sql", "database": "Shop", "table": "products", "key": "id", "text": ["text"]}
    add(admin, {"id": name, "origin": origin})

    assert sync(admin, name)["state"] == "succeeded"
    assert len(found(admin, "eighty kilos")) == 1


def test_asking_twice_is_one_job(admin: httpx.Client, docs: Path, name: str) -> None:
    for number in range(30):
        (docs / f"{number}.md").write_text(f"# Buoy {number}\n\nBuoy {number} blinks every {number} seconds.\n")
    add(admin, folder_of(docs, name))

    first, second = (admin.post(f"/v1/sources/{name}/sync").json() for _ in range(2))

    assert first["id"] == second["id"]
    assert job_over(admin, first["id"])["counts"]["created"] == 32
    listed = admin.get("/v1/jobs", params={"kind": "sync", "source": name}).json()["jobs"]
    assert [job["id"] for job in listed] == [first["id"]]


def test_a_paused_source_is_synced_on_demand_only(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name))

    paused = admin.post(f"/v1/sources/{name}/pause").json()
    assert (paused["paused"], paused["health"]) == (True, "paused")
    assert sync(admin, name)["state"] == "succeeded"
    assert admin.post(f"/v1/sources/{name}/resume").json()["health"] == "ok"


def test_what_failed_too_often_is_set_aside_until_it_is_let_out(admin: httpx.Client, docs: Path, name: str) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing that a reader could use")
    add(admin, folder_of(docs, name))

    states = [sync(admin, name) for _ in range(3)]

    assert {job["state"] for job in states} == {"partial"}
    [failure] = states[-1]["failures"]
    assert failure["code"] == "quarantined"
    assert failure["uri"].endswith("broken.pdf")
    compared = admin.get(f"/v1/sources/{name}/reconcile").json()
    assert (compared["equal"], compared["quarantined"]["count"]) == (False, 1)
    assert admin.post(f"/v1/sources/{name}/retry").json() == {"documents": 1}
    assert admin.post(f"/v1/sources/{name}/retry").json() == {"documents": 0}
    (docs / "broken.pdf").unlink()
    assert sync(admin, name)["state"] == "succeeded"


def samples(client: httpx.Client) -> dict[tuple[str, str], float]:
    text = client.get("/metrics").raise_for_status().text
    return {
        (sample.name, sample.labels.get("health", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_failing_source_shows_and_keeps_its_documents(admin: httpx.Client, docs: Path, name: str) -> None:
    (docs / "sextant.md").write_text("# Sextant\n\nThe brass sextant is in the chart room.\n")
    add(admin, folder_of(docs, name, interval_s=86_400))
    until(lambda: admin.get(f"/v1/sources/{name}").json(), lambda source: source["health"] == "ok")
    healthy = samples(admin)
    shutil.rmtree(docs)

    job = sync(admin, name)

    assert job["state"] == "failed"
    source = admin.get(f"/v1/sources/{name}").json()
    assert (source["health"], source["failures"]) == ("failing", 1)
    assert source["error"]["code"] == "source_unavailable"
    assert str(docs) in source["error"]["detail"]
    assert len(found(admin, "brass sextant")) == 1, "what could not be looked at is not deleted"
    problem(admin.get(f"/v1/sources/{name}/reconcile"), 503, "source_unavailable")
    ready = admin.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["sources"]["failing"] >= 1
    told = samples(admin)
    assert told["plumbline_sources", "failing"] == healthy["plumbline_sources", "failing"] + 1
    assert told["plumbline_source_failures", ""] >= 1
    assert told["plumbline_source_age_seconds", ""] > 0


def test_a_watched_folder_syncs_by_itself(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name, origin={"watch": True}))
    until(lambda: admin.get(f"/v1/sources/{name}").json(), lambda source: source["health"] == "ok")

    (docs / "lantern.md").write_text("# Lantern\n\nThe lantern keeper sleeps at dawn.\n")
    until(lambda: found(admin, "lantern keeper"), lambda texts: len(texts) == 1)
    (docs / "lantern.md").unlink()
    until(lambda: found(admin, "lantern keeper"), lambda texts: texts == [])


def test_a_schedule_syncs_by_itself(admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name, interval_s=10))
    until(lambda: admin.get(f"/v1/sources/{name}").json(), lambda source: source["health"] == "ok")

    (docs / "gull.md").write_text("# Gull\n\nThe herring gull stole a sandwich.\n")

    until(lambda: found(admin, "herring gull"), lambda texts: len(texts) == 1)


def test_who_may_do_what(served: Keyed, admin: httpx.Client, docs: Path, name: str) -> None:
    add(admin, folder_of(docs, name))
    paths = [("GET", ""), ("POST", "/sync"), ("GET", "/reconcile"), ("POST", "/pause"), ("POST", "/resume")]
    paths.append(("POST", "/retry"))
    definition = folder_of(docs, name)

    with served.client("ingester") as client:
        until(lambda: job_over(client, sync(client, name)["id"]), lambda job: job["state"] == "succeeded")
        for method, path in paths:
            assert client.request(method, f"/v1/sources/{name}{path}").is_success, path
        assert client.get("/v1/sources").is_success
        problem(client.post("/v1/sources", json=definition), 403, "forbidden")
        problem(client.put(f"/v1/sources/{name}", json=definition), 403, "forbidden")
        problem(client.delete(f"/v1/sources/{name}"), 403, "forbidden")
    with served.client("reader") as client:
        for method, path in [*paths, ("DELETE", "")]:
            problem(client.request(method, f"/v1/sources/{name}{path}"), 403, "forbidden")
        problem(client.get("/v1/sources"), 403, "forbidden")
    with served.client(None) as client:
        for method, path in [*paths, ("DELETE", "")]:
            problem(client.request(method, f"/v1/sources/{name}{path}"), 401, "unauthenticated")


def test_tenants_have_sources_of_their_own(served: Keyed, admin: httpx.Client, docs: Path, name: str) -> None:
    (docs / "cargo.md").write_text("# Cargo\n\nAcme ships pomegranates.\n")
    add(admin, folder_of(docs, name))
    job = sync(admin, name)

    with served.client("beta") as beta:
        for method, path in (("GET", ""), ("POST", "/sync"), ("GET", "/reconcile"), ("POST", "/pause"), ("DELETE", "")):
            problem(beta.request(method, f"/v1/sources/{name}{path}"), 404, "not_found")
        problem(beta.put(f"/v1/sources/{name}", json=folder_of(docs, name)), 404, "not_found")
        problem(beta.get(f"/v1/jobs/{job['id']}"), 404, "not_found")
        assert name not in [source["id"] for source in beta.get("/v1/sources").json()["sources"]]
        assert found(beta, "ships pomegranates") == []
        add(beta, folder_of(docs, name))
        sync(beta, name)
        assert beta.delete(f"/v1/sources/{name}").status_code == 204
    assert len(found(admin, "ships pomegranates")) == 1
    assert admin.get(f"/v1/sources/{name}").json()["paused"] is False


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
