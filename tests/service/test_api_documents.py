"""Documents and jobs over HTTP: handed in, listed, read, replaced and deleted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.service.http_parts import add, pointers, problem


@pytest.fixture
def collection() -> str:
    """A collection of the test's own: tests share the service."""
    return f"c-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def row(client: httpx.Client, collection: str) -> Iterator[dict[str, Any]]:
    """One document of the test's own, gone afterwards."""
    document = {
        "id": f"row-{uuid.uuid4().hex}",
        "title": "Warehouse opening hours",
        "text": "The warehouse in Bergen opens at six.",
        "collection": collection,
        "labels": ["ops"],
        "metadata": {"team": "depot", "floors": 3, "open": True, "tags": ["a", "b"]},
        "updated_at": "2026-01-02T03:04:05Z",
    }
    assert add(client, document) == [
        {
            "id": document["id"],
            "uri": f"{collection}/{document['id']}",
            "status": "created",
            "code": None,
            "detail": None,
        }
    ]
    yield document
    client.delete(f"/v1/documents/{document['id']}")


def wait(client: httpx.Client, job: str) -> dict[str, Any]:
    """The job when it is over: handing in nothing new waits for what is under way."""
    while True:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job}").json()
        if found["state"] not in ("queued", "running"):
            return found


def test_a_document_is_told_as_it_was_handed_in(client: httpx.Client, row: dict[str, Any]) -> None:
    document = client.get(f"/v1/documents/{row['id']}").json()

    for name in ("id", "title", "collection", "labels", "metadata", "updated_at"):
        assert document[name] == row[name]
    assert document["status"] == "indexed"
    assert document["version"]
    assert document["chunk_count"] == 1
    assert client.get(f"/v1/documents/{row['id']}/content").json()["text"].strip() == row["text"]


def test_the_same_again_is_no_work(client: httpx.Client, row: dict[str, Any]) -> None:
    assert [told["status"] for told in add(client, row)] == ["unchanged"]


def test_the_same_id_replaces(client: httpx.Client, row: dict[str, Any]) -> None:
    assert [told["status"] for told in add(client, {**row, "text": "It opens at nine now."})] == ["updated"]

    found = client.post("/v1/search", json={"query": "opens", "collections": [row["collection"]]}).json()
    assert [hit["text"] for hit in found["hits"]] == ["It opens at nine now."]


def test_what_is_deleted_is_gone(client: httpx.Client, row: dict[str, Any]) -> None:
    assert client.delete(f"/v1/documents/{row['id']}").status_code == 204

    problem(client.get(f"/v1/documents/{row['id']}"), 404, "not_found")
    problem(client.get(f"/v1/documents/{row['id']}/content"), 404, "not_found")
    problem(client.delete(f"/v1/documents/{row['id']}"), 404, "not_found")
    asked = {"question": row["title"], "collections": [row["collection"]]}
    assert (
        client.post("/v1/search", json={"query": row["title"], "collections": [row["collection"]]}).json()["hits"] == []
    )
    assert client.post("/v1/answers", json=asked).json()["citations"] == []


def test_one_bad_row_never_fails_the_others(client: httpx.Client, collection: str) -> None:
    good = {"id": f"ok-{uuid.uuid4().hex}", "title": "Good", "text": "A good row.", "collection": collection}
    bad: list[Any] = [
        {"id": "no-title", "text": "x"},
        "no object",
        {**good, "id": "unknown", "colour": "red"},
        {**good, "id": "metadata", "metadata": {"deep": {"a": 1}}},
        {**good, "id": "empty", "text": "<p> </p>", "media_type": "text/html"},
    ]

    response = client.post("/v1/documents/batch", params={"wait_s": 60}, json={"documents": [bad[0], good, *bad[1:]]})

    assert response.status_code == 200
    told = response.json()["documents"]
    assert [document["status"] for document in told] == ["failed", "created", "failed", "failed", "failed", "failed"]
    assert [document["code"] for document in told] == [
        *("invalid_document", None, "invalid_document", "invalid_document", "invalid_document", "no_text")
    ]
    assert "/title" in told[0]["detail"]
    assert told[2]["id"] is None


def test_a_batch_of_nothing_but_bad_rows_has_no_job(client: httpx.Client) -> None:
    response = client.post("/v1/documents/batch", json={"documents": [1, None]})

    assert response.status_code == 200
    assert response.json()["job_id"] is None


def test_a_row_with_nothing_but_a_title_is_found_by_it(client: httpx.Client, collection: str) -> None:
    rows = [{"id": f"{collection}-1", "title": "Walking On Sunshine", "text": " ", "collection": collection}]

    added = client.post("/v1/documents/batch", json={"documents": rows}, params={"wait_s": 60}).json()

    assert [document["status"] for document in added["documents"]] == ["created"]
    asked = {"query": "king on sun", "mode": "exact", "collections": [collection]}
    (hit,) = client.post("/v1/search", json=asked).json()["hits"]
    assert hit["document"]["id"] == f"{collection}-1"


@pytest.mark.parametrize("documents", [[], [{}] * 1001, "x", None])
def test_a_batch_has_its_limits(client: httpx.Client, documents: Any) -> None:
    told = problem(client.post("/v1/documents/batch", json={"documents": documents}), 422, "invalid_request")

    assert pointers(told) == ["/documents"]


def test_files_are_a_job(client: httpx.Client, collection: str) -> None:
    files = [
        ("files", ("note.md", b"# Note\n\nThe printer is on floor two.", "text/markdown")),
        ("files", ("virus.md", b"\x00\x01\x02\xff" * 50, "text/markdown")),
        ("files", ("../../etc/plan.txt", b"The plan is simple.", "text/plain")),
    ]
    fields = {"collection": collection, "labels": ["ops", "it"], "metadata": json.dumps({"team": "it"})}

    response = client.post("/v1/documents", files=files, data=fields)

    assert response.status_code == 202
    accepted = response.json()
    assert [document["uri"] for document in accepted["documents"]] == ["note.md", "virus.md", "plan.txt"]
    job = wait(client, accepted["job_id"])
    assert job["state"] == "partial"
    assert (job["done"], job["total"]) == (3, 3)
    assert [(failure["uri"], failure["code"]) for failure in job["failures"]] == [("virus.md", "binary")]
    document = client.get(f"/v1/documents/{accepted['documents'][0]['id']}").json()
    assert (document["labels"], document["metadata"]) == (["it", "ops"], {"team": "it"})
    assert job["id"] in [listed["id"] for listed in client.get("/v1/jobs").json()["jobs"]]


def test_one_json_document(client: httpx.Client, collection: str) -> None:
    body = {"title": "No id", "text": "A row without an id.", "collection": collection}

    first, second = (client.post("/v1/documents", params={"wait_s": 60}, json=body) for _ in range(2))

    assert [response.json()["documents"][0]["status"] for response in (first, second)] == ["created", "unchanged"]
    assert first.json()["documents"][0]["id"] == second.json()["documents"][0]["id"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": "x"}, "/text"),
        ({"title": "x", "text": "x", "id": ""}, "/id"),
        ({"title": "x", "text": "x", "id": "x" * 513}, "/id"),
        ({"title": "x", "text": "x", "labels": ["*"]}, "/labels/0"),
        ({"title": "x", "text": "x", "metadata": {"a": None}}, "/metadata/a"),
        ({"title": "x", "text": "x", "updated_at": "2026-01-01T00:00:00"}, "/updated_at"),
        ({"title": "x", "text": "x", "media_type": "application/pdf"}, "/media_type"),
    ],
)
def test_what_is_wrong_with_a_document_is_named(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    assert pointers(problem(client.post("/v1/documents", json=body), 422, "invalid_request")) == [pointer]


@pytest.mark.parametrize("wait_s", ["-1", "61", "nan", "soon"])
def test_waiting_has_its_limits(client: httpx.Client, wait_s: str) -> None:
    response = client.post("/v1/documents", params={"wait_s": wait_s}, json={"title": "x", "text": "x"})

    assert pointers(problem(response, 422, "invalid_request")) == ["/wait_s"]


def test_a_form_must_hold_files_and_known_fields(client: httpx.Client) -> None:
    file = [("files", ("a.txt", b"x", "text/plain"))]

    told = [
        client.post("/v1/documents", files=[("file", ("a.txt", b"x"))]),
        client.post("/v1/documents", files=file, data={"colour": "red"}),
        client.post("/v1/documents", files=file, data={"metadata": "{"}),
        client.post("/v1/documents", files=file, data={"metadata": "[]"}),
    ]

    assert [pointers(problem(response, 422, "invalid_request")) for response in told] == [
        *(["/file"], ["/colour"], ["/metadata"], ["/metadata"])
    ]


def test_other_media_types_are_refused(client: httpx.Client) -> None:
    for path in ("/v1/documents", "/v1/documents/batch"):
        response = client.post(path, content=b"<a/>", headers={"Content-Type": "text/xml"})
        problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"title": "\\ud800"}', b"[" * 20_000, b"", b"NaN"])
def test_a_body_that_is_no_json_is_refused(client: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    for path in ("/v1/documents", "/v1/documents/batch", "/v1/search", "/v1/answers"):
        response = client.post(path, content=body, headers=headers)
        assert response.status_code in (400, 422), (path, response.text)
        problem(response, response.status_code, "invalid_request")


def test_the_list_pages(client: httpx.Client, collection: str) -> None:
    add(
        client,
        *(
            {"id": f"p{n}-{collection}", "title": f"Page {n}", "text": f"Row {n}.", "collection": collection}
            for n in range(5)
        ),
    )

    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"collection": collection, "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/documents", params=parameters).json()
        assert len(page["documents"]) <= 2
        seen += [document["id"] for document in page["documents"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == [f"p{n}-{collection}" for n in range(5)]
    titled = client.get("/v1/documents", params={"collection": collection, "title": "pAGE 3"}).json()["documents"]
    assert [document["id"] for document in titled] == [f"p3-{collection}"]
    assert client.get("/v1/documents", params={"collection": collection, "status": "failed"}).json()["documents"] == []


@pytest.mark.parametrize(
    ("path", "parameters", "pointer"),
    [
        ("/v1/documents", {"limit": "201"}, "/limit"),
        ("/v1/documents", {"limit": "0"}, "/limit"),
        ("/v1/documents", {"cursor": "made up"}, "/cursor"),
        ("/v1/documents", {"cursor": "é"}, "/cursor"),
        ("/v1/documents", {"status": "lost"}, "/status"),
        ("/v1/documents", {"colour": "red"}, "/colour"),
        ("/v1/jobs", {"limit": "101"}, "/limit"),
        ("/v1/jobs", {"cursor": "made up"}, "/cursor"),
    ],
)
def test_lists_refuse_what_they_do_not_know(
    client: httpx.Client, path: str, parameters: dict[str, str], pointer: str
) -> None:
    assert pointers(problem(client.get(path, params=parameters), 422, "invalid_request")) == [pointer]


def test_one_id_in_two_collections_must_be_told_apart(client: httpx.Client, row: dict[str, Any]) -> None:
    other = f"{row['collection']}-2"
    add(client, {**row, "collection": other})

    problem(client.get(f"/v1/documents/{row['id']}"), 409, "conflict")
    found = client.get(f"/v1/documents/{row['id']}", params={"collection": other})
    assert found.json()["collection"] == other
    assert client.delete(f"/v1/documents/{row['id']}", params={"collection": other}).status_code == 204


def test_jobs_that_do_not_exist(client: httpx.Client) -> None:
    problem(client.get("/v1/jobs/nothing"), 404, "not_found")
    problem(client.post("/v1/jobs/nothing/cancel"), 404, "not_found")


def test_a_job_that_is_over_stays_as_it_ended(client: httpx.Client, collection: str) -> None:
    response = client.post(
        "/v1/documents", params={"wait_s": 60}, json={"title": "x", "text": "Over soon.", "collection": collection}
    )

    cancelled = client.post(f"/v1/jobs/{response.json()['job_id']}/cancel").json()

    assert cancelled["state"] == "succeeded"


def test_the_same_request_is_taken_once(client: httpx.Client, collection: str) -> None:
    headers = {"Idempotency-Key": f"k-{collection}"}
    file = ("files", ("once.txt", b"Only once.", "text/plain"))
    fields = {"collection": collection}

    # A client that repeats a form makes a new boundary: the same files are the same request.
    first, second = (client.post("/v1/documents", files=[file], data=fields, headers=headers) for _ in range(2))

    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = client.post("/v1/documents", files=[("files", ("once.txt", b"Other."))], data=fields, headers=headers)
    problem(other, 409, "idempotency_key_reused")
    wait(client, first.json()["job_id"])
