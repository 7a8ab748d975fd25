"""API keys: recognised only as they were made, for as long as they hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from ingestion.corpus.database import open_database
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import ConfigurationError, InvalidRequest, NotFound
from ingestion.settings import Settings
from service.access.door import Caller, Door, is_loopback
from service.access.keys import Keys, NewKey
from service.access.principals import KEYLESS, Permission, Principal
from service.errors import Forbidden, IdempotencyKeyReused, RequestInProgress, Unauthenticated
from service.ledger.database import migrate_ledger
from service.ledger.idempotency import FirstResult, IdempotencyLedger
from service.ledger.tables import api_keys, idempotency_keys

ACME, BETA = TenantId("acme"), TenantId("beta")
LOCAL = Caller(client="127.0.0.1", server="127.0.0.1", host="localhost:8000")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(Settings(data_dir=tmp_path))
    migrate_ledger(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def keys(database: Engine) -> Keys:
    return Keys(database)


def bearer(token: str) -> Caller:
    return Caller(client="192.0.2.7", server="192.0.2.1", host="search.example", authorization=f"Bearer {token}")


def test_a_key_is_recognised_with_its_rights(keys: Keys) -> None:
    key, token = keys.create(NewKey("gateway", ACME, frozenset({Permission.SEARCH}), frozenset({"ops"})))

    principal = keys.recognise(token)

    assert principal == Principal(ACME, frozenset({Permission.SEARCH}), frozenset({"ops"}), key.id)
    assert principal.scope == Scope(ACME, frozenset({"ops"}))


def test_the_secret_is_not_stored(keys: Keys, database: Engine) -> None:
    _, token = keys.create(NewKey("app"))

    with database.connect() as connection:
        stored = str(connection.execute(select(api_keys)).all())

    assert token.split("_", 2)[2] not in stored


def test_another_secret_is_refused(keys: Keys) -> None:
    key, token = keys.create(NewKey("app"))
    _, other = keys.create(NewKey("other"))

    for wrong in (
        token[:-1],
        token + "x",
        token.removeprefix("pl_"),
        f"pl_{key.id}_{other.split('_', 2)[2]}",
        f"pl_{key.id}_",
        "pl__",
        "",
    ):
        with pytest.raises(Unauthenticated):
            keys.recognise(wrong)


@given(st.text(max_size=80))
def test_no_text_opens_the_door(token: str) -> None:
    engine = open_database(Settings(database_url="sqlite://"))
    migrate_ledger(engine)
    with pytest.raises(Unauthenticated):
        Keys(engine).recognise(token)
    engine.dispose()


def test_expired_and_revoked_keys_are_refused(keys: Keys) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, expired = keys.create(NewKey("old", expires_at=past))
    key, revoked = keys.create(NewKey("lost"))
    keys.recognise(revoked)
    keys.revoke(key.id)
    keys.revoke(key.id)

    for token in (expired, revoked):
        with pytest.raises(Unauthenticated):
            keys.recognise(token)
    assert {key.name: key.state(datetime.now(UTC)) for key in keys.list()} == {"old": "expired", "lost": "revoked"}


def test_use_is_noted(keys: Keys) -> None:
    _, token = keys.create(NewKey("app"))
    assert keys.list()[0].last_used_at is None

    keys.recognise(token)
    first = keys.list()[0].last_used_at
    keys.recognise(token)

    assert first is not None
    assert keys.list()[0].last_used_at == first, "noted at most once a minute"


def test_an_unknown_key_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(NotFound):
        keys.revoke("nothing")


@pytest.mark.parametrize(
    ("new", "pointer"),
    [
        (NewKey(" "), "/name"),
        (NewKey("x", TenantId("Not A Tenant")), "/tenant"),
        (NewKey("x", TenantId("")), "/tenant"),
        (NewKey("x", permissions=frozenset()), "/scopes"),
        (NewKey("x", labels=frozenset({"*"})), "/labels"),
        (NewKey("x", labels=frozenset({"a\x1fb"})), "/labels"),
    ],
)
def test_a_key_must_make_sense(keys: Keys, new: NewKey, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keys.create(new)
    assert caught.value.pointer == pointer


def test_admin_may_everything_and_others_only_theirs() -> None:
    admin = Principal(ACME, frozenset({Permission.ADMIN}))
    searcher = Principal(ACME, frozenset({Permission.SEARCH}))

    for permission in Permission:
        admin.require(permission)
    searcher.require(Permission.SEARCH)
    with pytest.raises(Forbidden):
        searcher.require(Permission.INGEST)


def test_without_keys_loopback_gets_in(keys: Keys) -> None:
    assert Door(keys, "127.0.0.1").admit(LOCAL) is KEYLESS


@pytest.mark.parametrize(
    "caller",
    [
        Caller(client="192.0.2.7", server="127.0.0.1", host="localhost"),
        Caller(client="127.0.0.1", server="192.0.2.1", host="localhost"),
        Caller(client=None, server=None, host="localhost"),
        Caller(client="::ffff:192.0.2.7", server="::1", host="localhost"),
    ],
)
def test_without_keys_nobody_else_gets_in(keys: Keys, caller: Caller) -> None:
    with pytest.raises(Unauthenticated):
        Door(keys, "127.0.0.1").admit(caller)


def test_without_keys_an_open_address_admits_nobody(keys: Keys) -> None:
    door = Door(keys, "0.0.0.0")

    with pytest.raises(ConfigurationError):
        door.check_start()
    with pytest.raises(Unauthenticated):
        door.admit(LOCAL)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", None),
        ("localhost:8000", "https://evil.example"),
        ("localhost:8000", "null"),
        ("localhost:8000", "http://localhost:9999"),
        ("localhost:8000", "http://["),
        ("[", None),
        (None, None),
    ],
)
def test_without_keys_a_foreign_page_is_refused(keys: Keys, host: str | None, origin: str | None) -> None:
    """A browser on this machine calls us for any page it shows: by a rebound name or from another origin."""
    with pytest.raises(Forbidden):
        Door(keys, "127.0.0.1").admit(Caller("127.0.0.1", "127.0.0.1", host=host, origin=origin))


def test_without_keys_our_own_page_is_served(keys: Keys) -> None:
    caller = Caller("127.0.0.1", "127.0.0.1", host="localhost:8000", origin="http://localhost:8000")

    assert Door(keys, "127.0.0.1").admit(caller) is KEYLESS


def test_once_a_key_exists_it_is_needed_everywhere(keys: Keys) -> None:
    key, token = keys.create(NewKey("app", ACME))
    door = Door(keys, "0.0.0.0")

    door.check_start()
    assert door.admit(bearer(token)).tenant == ACME
    for caller in (LOCAL, bearer("pl_x_y"), Caller("127.0.0.1", "127.0.0.1", "localhost", authorization="Basic eDp5")):
        with pytest.raises(Unauthenticated):
            door.admit(caller)
    keys.revoke(key.id)
    assert Door(keys, "127.0.0.1").admit(LOCAL) is KEYLESS


def test_who_was_let_in_is_remembered_for_a_second(keys: Keys) -> None:
    now = [100.0]
    door = Door(keys, "127.0.0.1", lambda: now[0])
    key, token = keys.create(NewKey("app", ACME))
    assert door.remembered(bearer(token)) is None
    principal = door.admit(bearer(token))
    keys.revoke(key.id)

    now[0] += 0.9
    assert door.remembered(bearer(token)) is principal
    assert door.remembered(bearer(token + "x")) is None
    assert door.remembered(LOCAL) is None
    now[0] += 0.2
    assert door.remembered(bearer(token)) is None
    with pytest.raises(Unauthenticated):
        door.admit(bearer(token))


def test_an_expired_key_does_not_open_the_door(keys: Keys) -> None:
    keys.create(NewKey("old", expires_at=datetime.now(UTC) - timedelta(days=1)))

    with pytest.raises(Unauthenticated):
        Door(keys, "127.0.0.1").admit(LOCAL)


def test_a_wrong_key_is_refused_also_while_none_is_needed(keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        Door(keys, "127.0.0.1").admit(Caller("127.0.0.1", "127.0.0.1", "localhost", authorization="Bearer pl_a_b"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil"])
def test_other_addresses(host: str | None) -> None:
    assert not is_loopback(host)


def test_the_first_result_is_kept(database: Engine) -> None:
    ledger = IdempotencyLedger(database)

    assert ledger.begin(ACME, "k", "f1") is None
    with pytest.raises(RequestInProgress):
        ledger.begin(ACME, "k", "f1")
    ledger.finish(ACME, "k", FirstResult(202, b"{}"))

    assert ledger.begin(ACME, "k", "f1") == FirstResult(202, b"{}")
    with pytest.raises(IdempotencyKeyReused):
        ledger.begin(ACME, "k", "f2")
    assert ledger.begin(BETA, "k", "f2") is None, "another tenant's key is another key"


def test_a_failed_request_may_be_repeated(database: Engine) -> None:
    ledger = IdempotencyLedger(database)
    ledger.begin(ACME, "k", "f")
    ledger.abandon(ACME, "k")

    assert ledger.begin(ACME, "k", "f") is None


def test_a_result_is_not_abandoned(database: Engine) -> None:
    ledger = IdempotencyLedger(database)
    ledger.begin(ACME, "k", "f")
    ledger.finish(ACME, "k", FirstResult(200, b"x"))
    ledger.abandon(ACME, "k")

    assert ledger.begin(ACME, "k", "f") == FirstResult(200, b"x")


@pytest.mark.parametrize(("age", "finished"), [(timedelta(minutes=16), False), (timedelta(hours=25), True)])
def test_what_is_stale_is_forgotten(database: Engine, age: timedelta, finished: bool) -> None:
    ledger = IdempotencyLedger(database)
    ledger.begin(ACME, "k", "f")
    if finished:
        ledger.finish(ACME, "k", FirstResult(200, b"x"))
    with database.begin() as connection:
        connection.execute(idempotency_keys.update().values(started_at=datetime.now(UTC) - age))

    assert ledger.begin(ACME, "k", "another") is None


def test_migrating_twice_is_migrating_once(database: Engine, keys: Keys) -> None:
    keys.create(NewKey("app"))

    migrate_ledger(database)

    assert len(keys.list()) == 1


@pytest.mark.postgres
def test_keys_and_results_on_postgres(postgres_url: str) -> None:
    engine = open_database(Settings(database_url=postgres_url))
    try:
        migrate_ledger(engine)
        keys, ledger = Keys(engine), IdempotencyLedger(engine)
        key, token = keys.create(NewKey("app", ACME, labels=frozenset({"ops"})))

        assert keys.recognise(token).labels == {"ops"}
        assert ledger.begin(ACME, "k", "f") is None
        ledger.finish(ACME, "k", FirstResult(200, b"\x00\xff"))
        assert ledger.begin(ACME, "k", "f") == FirstResult(200, b"\x00\xff")
        keys.revoke(key.id)
        assert not keys.are_required()
    finally:
        engine.dispose()
