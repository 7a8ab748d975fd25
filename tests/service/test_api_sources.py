"""Sources over HTTP: added, synced, compared, changed and removed, and what their trouble shows as."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.service.http_parts import Keyed, pointers, problem
from tests.service.source_parts import folder_of, found, job_over, sync, until


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
    names = [differs[kind]["uris"][0].rpartition("/")[2] for kind in ("missing", "stale", "orphaned")]
    assert names == ["tug.md", "crane.md", "barge.md"]
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
