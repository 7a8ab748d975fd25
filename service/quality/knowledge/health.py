"""Knowledge health: documents that contradict each other, are old, were replaced, or that nobody was ever shown.

What contradicts is left to `contradictions`, which documents there are to `inventory`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine, func, select

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import Document
from ingestion.corpus.scope import Scope, TenantId
from service.ledger.tables import traces
from service.quality.knowledge.contradictions import Contradictions, Progress, find_contradictions
from service.quality.knowledge.inventory import Inventory, take_inventory
from service.quality.windows import Window

MAX_OPERATIONS = 200_000
"""Operations of the window that are looked at for what they showed, newest first."""
_FETCHED = 5_000


@dataclass(frozen=True, slots=True)
class Shown:
    """How often documents were shown, by key, in `operations` operations of a window that has `asked`."""

    times: Counter[str]
    operations: int
    asked: int


@dataclass(frozen=True, slots=True)
class Old:
    """A document and in how many operations it was shown; `note` says what is wrong with it, `by` what replaced it."""

    document: Document
    shown: int
    note: str = ""
    by: Document | None = None


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What is wrong with the documents of a scope.

    `stale`, `superseded` and `never_shown` are whole lists. `eligible` counts the documents that were there before the
    window began, which could have been shown in all of it; `operations` those that were looked at.
    """

    window: Window
    documents: int
    asked: int
    operations: int
    contradictions: Contradictions
    stale: tuple[Old, ...]
    superseded: tuple[Old, ...]
    never_shown: tuple[Document, ...]
    eligible: int
    complete: bool


def examine_knowledge(
    engine: Engine,
    inventory: Inventory,
    contradictions: Contradictions,
    tenant: TenantId,
    window: Window,
    stale_days: int,
) -> HealthReport:
    """The report on these documents, with what contradicts among them found before.

    Stale is what was not changed at its origin for `stale_days` before the window's end.
    """
    shown = shown_in(engine, tenant, window)
    before = window.end - timedelta(days=stale_days)
    stale = [
        Old(document, shown.times[document.key])
        for document in inventory.current
        if document.updated_at < before and shown.times[document.key]
    ]
    known = {document.key: document for document in inventory.documents}
    superseded = [
        Old(known[key], shown.times[key], entry.note, None if entry.by is None else known.get(entry.by))
        for key, entry in inventory.replaced.items()
        if shown.times[key]
    ]
    eligible = [document for document in inventory.documents if document.created_at < window.start]
    return HealthReport(
        window,
        documents=len(inventory.documents),
        asked=shown.asked,
        operations=shown.operations,
        contradictions=contradictions,
        stale=_most_shown(stale),
        superseded=_most_shown(superseded),
        never_shown=tuple(document for document in eligible if not shown.times[document.key]),
        eligible=len(eligible),
        complete=inventory.complete and shown.operations == shown.asked,
    )


def contradictions_among(
    corpus: Corpus, scope: Scope, inventory: Inventory, tell: Progress | None = None
) -> Contradictions:
    """What contradicts among the documents that nothing has replaced. Raises: BackendUnavailable."""
    with corpus.pinned() as view:
        return find_contradictions(view, scope, inventory.current, tell)


def current_documents(corpus: Corpus, scope: Scope, collection: str | None = None) -> list[Document]:
    """The live documents that nothing has replaced."""
    return take_inventory(corpus, scope, collection).current


def shown_in(engine: Engine, tenant: TenantId, window: Window, *, most: int = MAX_OPERATIONS) -> Shown:
    """How often each document was shown in the `most` newest operations of the window."""
    columns = traces.c
    within = (columns.tenant == tenant, columns.at >= window.start, columns.at < window.end)
    wanted = select(columns.documents).where(*within).order_by(columns.at.desc()).limit(most)
    times: Counter[str] = Counter()
    operations = 0
    with engine.connect() as connection:
        asked = connection.execute(select(func.count()).select_from(traces).where(*within)).scalar_one()
        for part in connection.execution_options(yield_per=_FETCHED).execute(wanted).partitions():
            for (keys,) in part:
                times.update(set(keys))
                operations += 1
    return Shown(times, operations, asked)


def _most_shown(documents: Sequence[Old]) -> tuple[Old, ...]:
    return tuple(sorted(documents, key=lambda one: (-one.shown, one.document.updated_at, one.document.key)))
