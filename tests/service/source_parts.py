"""What tests of sources at the edge share: places to read from, and waiting for what a worker does by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, create_engine, insert

from service.access.keys import NewKey
from service.access.principals import Permission
from tests.service.http_parts import ACME, BETA, Keyed, make_keys, running, settings_for

DEADLINE_S = 120
_STEP_S = 0.1

T = TypeVar("T")

_READING = frozenset({Permission.SEARCH, Permission.ANSWER})
_PRODUCTS = Table("products", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text))


@contextmanager
def serving_sources(base: Path, models_dir: Path) -> Iterator[Keyed]:
    """A service with keys whose sources may read below `base/origins`, and a database named `shop`."""
    origins = base / "origins"
    origins.mkdir()
    shop = f"sqlite:///{base / 'shop.sqlite'}"
    fill_shop(shop)
    settings = settings_for(base / "data", models_dir, sources={"folders": [origins], "watch_debounce_s": 0.1})
    tokens = make_keys(
        settings,
        admin=NewKey("admin", ACME, frozenset({Permission.ADMIN})),
        ingester=NewKey("ingester", ACME, frozenset({Permission.INGEST, Permission.SEARCH})),
        reader=NewKey("reader", ACME, _READING),
        beta=NewKey("beta", BETA, frozenset({Permission.ADMIN})),
    )
    with running(settings, {"PLUMBLINE_SOURCES__DATABASES__SHOP": shop}) as url:
        yield Keyed(url, tokens)


def fill_shop(address: str) -> None:
    """A table `products` with one row."""
    engine: Engine = create_engine(address)
    try:
        with engine.begin() as connection:
            _PRODUCTS.create(connection)
            connection.execute(insert(_PRODUCTS).values(id=1, text="The wheelbarrow carries eighty kilos of gravel."))
    finally:
        engine.dispose()


def folder_of(path: Path, id_: str = "handbook", **more: Any) -> dict[str, Any]:
    """The definition of a folder source."""
    origin = {"kind": "folder", "path": str(path)} | more.pop("origin", {})
    return {"id": id_, "origin": origin, **more}


def until(look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What `look` says once it is good. Fails when that does not come about."""
    deadline = time.monotonic() + DEADLINE_S
    while not good(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(_STEP_S)
    return found


def job_over(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, once it is over."""
    return until(
        lambda: client.get(f"/v1/jobs/{job_id}").raise_for_status().json(),
        lambda job: job["state"] not in ("queued", "running"),
    )


def sync(client: httpx.Client, id_: str) -> dict[str, Any]:
    """The job of a sync that was asked for, once it is over."""
    asked = client.post(f"/v1/sources/{id_}/sync")
    assert asked.status_code == 202, asked.text
    assert (asked.json()["kind"], asked.json()["source"]) == ("sync", id_)
    return job_over(client, asked.json()["id"])


def found(client: httpx.Client, words: str, **more: Any) -> list[str]:
    """The texts of all passages that hold these words exactly."""
    answer = client.post("/v1/search", json={"query": words, "mode": "exact", "limit": 50, **more})
    assert answer.status_code == 200, answer.text
    return [hit["text"] for hit in answer.json()["hits"]]
