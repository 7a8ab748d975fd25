"""The stored chains: many writers and one chain, what is refused, what is cut, and what a start tells."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, delete, text, update

from ingestion.corpus.database import open_database, write_transaction
from ingestion.corpus.scope import TenantId
from ingestion.errors import NotFound
from ingestion.settings import SourcesSettings
from service.access.keys import Keys, NewKey
from service.access.refusals import TOLD_EVERY_S, Refusals
from service.errors import AuditUnavailable
from service.ledger.audit import (
    SERVICE_CHAIN,
    Action,
    Audit,
    Later,
    Note,
    Question,
    Wanted,
    actor_of,
    write_later,
    write_notes,
)
from service.ledger.chain import Head, verify
from service.ledger.database import migrate_ledger
from service.ledger.starts import note_start
from service.ledger.tables import audit_heads, audit_log
from service.settings import AuditSettings, LLMSettings, ServiceSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITERS, EACH = 4, 15


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceSettings:
    """Settings of either database."""
    if request.param == "sqlite":
        return ServiceSettings(data_dir=tmp_path)
    return ServiceSettings(data_dir=tmp_path, database_url=SecretStr(request.getfixturevalue("postgres_url")))


@pytest.fixture
def engine(settings: ServiceSettings) -> Iterator[Engine]:
    engine = open_database(settings)
    migrate_ledger(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def audit(engine: Engine) -> Audit:
    return Audit(engine, AuditSettings())


def note(subject: str = "a", at: datetime = NOW, tenant: str = "acme") -> Note:
    return Note(tenant, "keyless", Action.DOCUMENT_DELETE, subject, {"collection": "default"}, at)


def write_many(settings: ServiceSettings, name: str) -> None:
    """What one process does: append to one chain, now by itself and now in batches."""
    engine = open_database(settings)
    try:
        audit = Audit(engine, settings.audit)
        for number in range(EACH):
            audit.write(note(f"{name}-{number}"))
            with write_transaction(engine) as connection:
                write_notes(connection, [note(f"{name}-{number}-x"), note(tenant="beta")])
    finally:
        engine.dispose()


def test_threads_and_processes_append_to_one_chain_without_gaps(settings: ServiceSettings, audit: Audit) -> None:
    spawning = multiprocessing.get_context("spawn")
    processes = [spawning.Process(target=write_many, args=(settings, f"p{number}")) for number in range(2)]
    threads = [threading.Thread(target=write_many, args=(settings, f"t{number}")) for number in range(2)]
    for worker in (*processes, *threads):
        worker.start()
    for worker in (*processes, *threads):
        worker.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    entries = list(audit.chain("acme"))
    assert verify(entries).holds
    assert [entry.n for entry in entries] == list(range(1, 2 * WRITERS * EACH + 1))
    assert audit.heads() == {
        "acme": Head(entries[-1].hash, len(entries)),
        "beta": Head(next(iter(audit.last("beta", 1))).hash, WRITERS * EACH),
    }
    assert {entry.subject.rsplit("-")[0] for entry in entries if entry.subject} == {"p0", "p1", "t0", "t1"}


def test_what_is_stored_comes_back_as_it_was_hashed(audit: Audit) -> None:
    odd = {"text": "ü\x00\ud800'\"\\", "list": [1, True, None, "x" * 2000], "deep": {"é": 0.5}, "number": -(2**53)}
    audit.write(Note("acme", "cli:root", Action.KEY_CREATE, "\ud800" * 500, odd, NOW))
    audit.write(note(at=datetime.now(UTC)))
    assert verify(audit.chain("acme")).holds
    first = audit.entries("acme", limit=1)[0]
    assert first.at == "2026-03-01T12:00:00.000000Z"
    assert first.detail["deep"] == {"é": "0.5"}
    assert len(first.subject or "") == 400


@pytest.mark.parametrize("column", ["actor", "subject", "detail", "at", "hash", "previous"])
def test_a_row_that_was_changed_is_named(engine: Engine, audit: Audit, column: str) -> None:
    for number in range(4):
        audit.write(note(str(number)))
    other = {
        "detail": {"collection": "other"},
        "at": NOW + timedelta(seconds=1),
        "hash": "f" * 64,
        "previous": "f" * 64,
    }
    with write_transaction(engine) as connection:
        row = (audit_log.c.tenant == "acme", audit_log.c.n == 3)
        connection.execute(update(audit_log).where(*row).values({column: other.get(column, "other")}))
    assert verify(audit.chain("acme")).at == 3


def test_a_tail_that_was_deleted_shows_by_a_head_that_the_log_had(engine: Engine, audit: Audit) -> None:
    heads = [audit.write(note(str(number))) for number in range(4)]
    with write_transaction(engine) as connection:
        connection.execute(delete(audit_log).where(audit_log.c.n > 2))
        connection.execute(update(audit_heads).values(n=2, hash=heads[1].hash))
    assert verify(audit.chain("acme")).holds, "by itself nothing can show it"
    assert not verify(audit.chain("acme"), head=heads[3]).holds


def test_questions_share_an_entry_per_tenant_and_actor(engine: Engine, audit: Audit) -> None:
    asked = [Question("acme", "key:a", "search", f"s{number}", NOW) for number in range(3)]
    asked += [Question("acme", "key:a", "answer", "a1", NOW), Question("acme", "key:b", "search", "s9", NOW)]
    asked += [Question("beta", "keyless", "verify", "v1", NOW)]
    with write_transaction(engine) as connection:
        write_later(connection, [Later(one) for one in asked])
    entries = audit.entries("acme")
    assert [(one.actor, one.detail) for one in entries] == [
        ("key:a", {"number": 4, "search": ["s0", "s1", "s2"], "answer": ["a1"]}),
        ("key:b", {"number": 1, "search": ["s9"]}),
    ]
    assert [one.detail for one in audit.entries("beta")] == [{"number": 1, "verify": ["v1"]}]
    assert audit.entries("acme", Wanted(actor="key:b", action="asked")) == entries[1:]


def test_a_change_that_fails_is_followed_by_an_entry_that_says_so(audit: Audit) -> None:
    def fail() -> None:
        with audit.change(note("gone")):
            raise NotFound("no such document")

    with pytest.raises(NotFound):
        fail()
    with audit.change(note("done")):
        pass
    announced, failed, done = audit.entries("acme")
    assert failed.action == "failed"
    assert failed.detail == {"entry": announced.n, "action": "document.delete", "code": "not_found"}
    assert (done.action, done.subject) == ("document.delete", "done")


def test_nothing_is_changed_while_the_log_cannot_be_written(engine: Engine, audit: Audit) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_log"))
    done = []
    with pytest.raises(AuditUnavailable, match="nothing was changed"), audit.change(note()):
        done.append(1)
    assert not done


def test_keys_are_noted_in_the_same_transaction(engine: Engine, audit: Audit) -> None:
    keys = Keys(engine)
    key, token = keys.create(NewKey("ci", TenantId("acme")), by="cli:root")
    keys.revoke(key.id, by="cli:root")
    keys.revoke(key.id, by="cli:root")
    made, revoked = audit.entries("acme")
    assert (made.actor, made.action, made.subject) == ("cli:root", "key.create", key.id)
    assert (made.detail["name"], revoked.action) == ("ci", "key.revoke")
    assert token.rsplit("_", 1)[1] not in str(made.facts())
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_log"))
    with pytest.raises(Exception, match="audit_log"):
        keys.create(NewKey("second", TenantId("acme")))
    assert len(keys.list()) == 1


def test_the_old_end_is_cut_and_the_rest_still_verifies(engine: Engine, audit: Audit) -> None:
    for day in range(10):
        audit.write(note(str(day), NOW + timedelta(days=day)))
    noted = audit.heads()["acme"]
    assert audit.cut("acme", NOW + timedelta(days=4)) == 4
    entries = list(audit.chain("acme"))
    assert [entry.n for entry in entries] == [5, 6, 7, 8, 9, 10, 11]
    assert verify(entries, head=noted).holds
    assert entries[-1].action == "audit.cut"
    assert audit.cut("acme", NOW + timedelta(days=4)) == 0, "there is less than a day's worth"
    assert audit.cut("acme", NOW + timedelta(days=6)) == 2
    assert verify(audit.chain("acme"), head=noted).holds
    with write_transaction(engine) as connection:
        connection.execute(delete(audit_log).where(audit_log.c.n == 7))
    assert not verify(audit.chain("acme")).holds, "somebody else cut it further"


def test_a_chain_may_be_cut_whole(engine: Engine) -> None:
    audit = Audit(engine, AuditSettings(days=30))
    audit.write(note())
    audit.keep_house(NOW + timedelta(days=40))
    assert [entry.action for entry in audit.chain("acme")] == ["audit.cut"]
    assert verify(audit.chain("acme")).holds
    audit.write(note())
    assert verify(audit.chain("acme")).holds


def test_reading_begins_where_it_is_asked_to(audit: Audit) -> None:
    for day in range(3):
        audit.write(note(str(day), NOW + timedelta(days=day)))
    part = list(audit.chain("acme", NOW + timedelta(days=1)))
    assert [entry.subject for entry in part] == ["1", "2"]
    assert verify(part, whole=False).holds
    assert list(audit.chain("acme", NOW + timedelta(days=9))) == []
    assert [entry.subject for entry in audit.last("acme", 2)] == ["2", "1"]


def test_a_start_tells_which_settings_changed_and_no_secret(engine: Engine, audit: Audit, tmp_path: Path) -> None:
    first = ServiceSettings(
        data_dir=tmp_path,
        llm=LLMSettings(base_url="http://127.0.0.1:9/v1", api_key=SecretStr("sk-very-secret")),
        sources=SourcesSettings(databases={"shop": SecretStr("postgresql://bob:hunter2@db/shop")}),
    )
    second = first.model_copy(
        update={
            "llm": LLMSettings(
                base_url="http://u:pw@127.0.0.1:9/v1", api_key=SecretStr("sk-other"), temperature=0.5, max_retries=7
            )
        }
    )
    for settings in (first, first, second, first):
        note_start(engine, settings)
    entries = list(audit.chain(SERVICE_CHAIN))
    assert [entry.action for entry in entries] == [
        "service.start",
        "service.start",
        "settings.change",
        "service.start",
        "settings.change",
        "service.start",
    ]
    assert entries[2].detail["settings"] == {
        "PLUMBLINE_LLM__API_KEY": {"old": "set", "new": "changed"},
        "PLUMBLINE_LLM__BASE_URL": {"old": '"http://127.0.0.1:9/v1"', "new": "changed"},
        "PLUMBLINE_LLM__MAX_RETRIES": {"old": "default", "new": "7"},
        "PLUMBLINE_LLM__TEMPERATURE": {"old": "default", "new": "0.5"},
    }
    told = str([entry.facts() for entry in entries])
    assert not any(secret in told for secret in ("sk-", "hunter2", "bob", "pw@"))
    assert verify(entries).holds


def test_refusals_are_told_in_number() -> None:
    clock = [0.0]
    refusals = Refusals(lambda: clock[0])
    told = [refusals.note("acme", "key:a", "forbidden", {}) for _ in range(5)]
    assert [one is not None for one in told] == [True, False, False, False, False]
    assert refusals.note("acme", "key:a", "unauthenticated", {}) is not None
    clock[0] = TOLD_EVERY_S
    later = refusals.note("acme", "key:a", "forbidden", {"route": "/v1/audit"})
    assert later is not None
    assert later.detail == {"route": "/v1/audit", "untold": 4}


def test_actors_have_names_that_tell_them_apart() -> None:
    assert [actor_of("ab12"), actor_of(None)] == ["key:ab12", "keyless"]
