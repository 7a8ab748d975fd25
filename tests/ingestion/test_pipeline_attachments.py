"""What is attached to a document comes, changes and goes with it, as documents of their own."""

from __future__ import annotations

import email.message
import email.policy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.records import Document, DocumentId, DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.pipeline import OutcomeStatus
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for, stored

NOTES = "# Failover notes\n\nPromote the replica with `archivist promote --wait`.\n"
TABLE = "host,role\narchive-7,primary\narchive-9,replica\n"


@pytest.fixture
def bench(tmp_path: Path, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        yield bench


def mail(files: dict[str, str | bytes], *, body: str = "See the files about the failover.\n") -> bytes:
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["From"], made["To"], made["Subject"] = "ops@a.example", "all@a.example", "Failover"
    made.set_content(body)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return bytes(made)


def source(data: bytes, **attributes: object) -> DocumentSource:
    return DocumentSource(DocumentId("mail"), "mails/failover.eml", "failover.eml", data, **attributes)  # type: ignore[arg-type]


def documents(bench: Bench, scope: Scope = SCOPE) -> dict[str, Document]:
    return {document.uri: document for document in bench.corpus.list_documents(scope, DocumentQuery()).items}


def test_attachments_are_documents_filed_as_the_mail_is(bench: Bench) -> None:
    outcomes = bench.ingest(
        source(
            mail({"notes.md": NOTES, "hosts.csv": TABLE}), labels=("ops",), collection="mails", metadata={"team": "a"}
        )
    )
    found = documents(bench)
    assert sorted(found) == ["mails/failover.eml", "mails/failover.eml#hosts.csv", "mails/failover.eml#notes.md"]
    assert [(outcome.status, outcome.attached_to) for outcome in outcomes] == [
        (OutcomeStatus.CREATED, "mail"),
        (OutcomeStatus.CREATED, "mail"),
        (OutcomeStatus.CREATED, None),
    ]
    notes = found["mails/failover.eml#notes.md"]
    assert (notes.title, notes.collection, notes.labels) == ("Failover notes", "mails", ("ops",))
    assert notes.metadata["team"] == "a"
    assert notes.metadata["attached_to"] == "mails/failover.eml"
    (hit,) = bench.corpus.find_exact(SCOPE, "archivist promote")
    assert hit.document.id == notes.id


def test_an_unchanged_mail_costs_nothing_and_a_changed_one_brings_its_files_up_to_date(bench: Bench) -> None:
    sent = mail({"notes.md": NOTES, "hosts.csv": TABLE})
    bench.ingest(source(sent))
    before = documents(bench)
    (again,) = bench.ingest(source(sent))
    assert again.status is OutcomeStatus.UNCHANGED
    bench.ingest(source(mail({"hosts.csv": TABLE.replace("archive-9", "archive-11")}, body="The notes are gone.\n")))
    after = documents(bench)
    assert sorted(after) == ["mails/failover.eml", "mails/failover.eml#hosts.csv"]
    assert after["mails/failover.eml#hosts.csv"].id == before["mails/failover.eml#hosts.csv"].id
    assert bench.corpus.find_exact(SCOPE, "archivist promote") == ()
    assert len(bench.corpus.find_exact(SCOPE, "archive-11")) == 1


def test_deleting_the_mail_deletes_what_came_with_it(bench: Bench) -> None:
    empty = stored(bench.corpus)
    inner = mail({"notes.md": NOTES})
    bench.ingest(source(mail({"inner.eml": inner, "hosts.csv": TABLE})))
    assert sorted(documents(bench)) == [
        "mails/failover.eml",
        "mails/failover.eml#hosts.csv",
        "mails/failover.eml#inner.eml",
        "mails/failover.eml#inner.eml#notes.md",
    ]
    bench.corpus.delete_document(SCOPE, DocumentId("mail"))
    assert bench.corpus.find_exact(SCOPE, "archivist promote") == ()
    assert stored(bench.corpus) == empty


def test_a_late_attachment_of_a_deleted_mail_stays_away(bench: Bench) -> None:
    submitted_at = datetime.now(UTC) - timedelta(hours=1)
    bench.ingest(source(mail({})))
    bench.corpus.delete_document(SCOPE, DocumentId("mail"))
    late = bench.pipeline.ingest(SCOPE, [source(mail({"notes.md": NOTES}))], submitted_at=submitted_at)
    assert len(list(late)) == 2
    assert documents(bench) == {}


def test_pictures_are_no_failures_and_broken_documents_are(bench: Bench) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(64)
    outcomes = bench.ingest(source(mail({"logo.png": picture, "report.pdf": b"%PDF-1.7 broken"})))
    told = {outcome.uri: outcome.status for outcome in outcomes}
    assert told == {
        "mails/failover.eml": OutcomeStatus.CREATED,
        "mails/failover.eml#report.pdf": OutcomeStatus.FAILED,
    }


def test_files_of_one_name_are_told_apart(bench: Bench) -> None:
    made = email.message_from_bytes(mail({"notes.md": NOTES}), policy=email.policy.SMTP)
    assert isinstance(made, email.message.EmailMessage)
    made.add_attachment(
        b"# Other notes\n\nQuite different.\n", maintype="text", subtype="markdown", filename="notes.md"
    )
    bench.ingest(source(bytes(made)))
    titles = {document.title for document in documents(bench).values()}
    assert {"Failover notes", "Other notes"} <= titles


def test_tenants_keep_their_attachments_apart(bench: Bench) -> None:
    other = Scope(TenantId("other"))
    bench.ingest(source(mail({"notes.md": NOTES})))
    bench.ingest(source(mail({"notes.md": NOTES})), scope=other)
    bench.corpus.delete_document(SCOPE, DocumentId("mail"))
    assert documents(bench) == {}
    assert len(documents(bench, other)) == 2
