"""The questions of a window that went wrong, as their traces and people's feedback say.

Which of them belong together is left to `clustering`, what a person is told to `gaps`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, func, or_, select

from ingestion.corpus.scope import TenantId
from service.generation.answers import GroundingLabel, RefusalReason
from service.ledger.tables import feedback, traces
from service.ledger.traces import Operation
from service.quality.windows import Window
from service.retrieval.results import RelevanceLabel

MAX_TRACES = 20_000
"""Failures that are read, newest first."""
MAX_CHARS = 2_000
"""Of a question's text; a ticket or log that was handed in is longer, and its start says enough."""

_REJECTED_KINDS = ("rating", "correction")
_DOWN = "down"


class Reason(StrEnum):
    """In which way an operation failed whoever asked; one may fail in several."""

    NOTHING_RELEVANT = "nothing_relevant"
    WEAK = "weak_relevance"
    REFUSED = "refused"
    UNGROUNDED = "weakly_grounded"
    REJECTED = "rated_down"
    """A person rated it down, or corrected it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One operation that failed. `documents` are keys, best first; `asker` is a key's id."""

    trace_id: str
    at: datetime
    asker: str | None
    reasons: frozenset[Reason]
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked in the same words, with every time that it failed, newest first."""

    text: str
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """All failures of a window.

    `asked` counts all operations of the window, `failed` those that failed, `without_words` those of them whose words
    were not kept, so that they are in no question. `complete`: none were left out for being too many.
    """

    asked: int
    failed: int
    without_words: int
    complete: bool
    questions: tuple[Question, ...]


def failed_questions(
    engine: Engine, tenant: TenantId, window: Window, collection: str | None = None, *, most: int = MAX_TRACES
) -> Failed:
    """The questions of the window that failed, most frequent first, of the `most` newest failures."""
    columns = traces.c
    within = and_(columns.tenant == tenant, columns.at >= window.start, columns.at < window.end)
    if collection is not None:
        within = and_(within, columns.collection == collection)
    rejected = _rejected(tenant)
    failing = or_(*_conditions(), columns.id.in_(rejected), columns.query_id.in_(rejected))
    wanted = (
        select(
            columns.id,
            columns.query_id,
            columns.at,
            columns.operation,
            columns.key_id,
            func.substr(columns.query, 1, MAX_CHARS).label("query"),
            columns.query_hash,
            columns.relevance,
            columns.refusal,
            columns.grounding,
            columns.unsupported,
            columns.documents,
        )
        .where(within, failing)
        .order_by(columns.at.desc(), columns.id)
        .limit(most)
    )
    with engine.connect() as connection:
        asked = connection.execute(select(func.count()).select_from(traces).where(within)).scalar_one()
        failed = connection.execute(select(func.count()).select_from(traces).where(within, failing)).scalar_one()
        rows: Sequence[Row[Any]] = list(connection.execute(wanted))
        down = frozenset(connection.execute(rejected).scalars())
    worded = [row for row in rows if row.query is not None and row.query.strip()]
    return Failed(asked, failed, len(rows) - len(worded), failed <= len(rows), _grouped(worded, down))


def _rejected(tenant: TenantId) -> Any:
    columns = feedback.c
    disliked = or_(columns.rating == _DOWN, columns.kind == "correction")
    return select(columns.trace_id).where(columns.tenant == tenant, columns.kind.in_(_REJECTED_KINDS), disliked)


def _conditions() -> list[ColumnElement[bool]]:
    """What columns of a trace say that it failed; `_reasons` reads the same from a row."""
    columns = traces.c
    return [
        columns.relevance.in_((RelevanceLabel.NONE, RelevanceLabel.WEAK)),
        columns.refusal.in_((RefusalReason.NOTHING_RELEVANT, RefusalReason.NOT_IN_SOURCES)),
        and_(
            columns.operation == Operation.ANSWER,
            or_(columns.grounding.in_((GroundingLabel.PARTIAL, GroundingLabel.UNGROUNDED)), columns.unsupported > 0),
        ),
    ]


def _reasons(row: Row[Any], down: frozenset[str]) -> frozenset[Reason]:
    weak = row.grounding in (GroundingLabel.PARTIAL, GroundingLabel.UNGROUNDED) or (row.unsupported or 0) > 0
    told: Mapping[Reason, bool] = {
        Reason.NOTHING_RELEVANT: row.relevance == RelevanceLabel.NONE,
        Reason.WEAK: row.relevance == RelevanceLabel.WEAK,
        # An unsafe question is refused whatever the documents say: it is no gap in them.
        Reason.REFUSED: row.refusal in (RefusalReason.NOTHING_RELEVANT, RefusalReason.NOT_IN_SOURCES),
        Reason.UNGROUNDED: row.operation == Operation.ANSWER and weak,
        Reason.REJECTED: row.id in down or row.query_id in down,
    }
    return frozenset(reason for reason, holds in told.items() if holds)


def _grouped(rows: Iterable[Row[Any]], down: frozenset[str]) -> tuple[Question, ...]:
    """One question per hash, the wording that was used last; most frequent first, of as frequent ones the newest."""
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.query_hash or " ".join(row.query.casefold().split())].append(row)
    questions = [Question(" ".join(same[0].query.split()), _failures(same, down)) for same in found.values()]
    questions.sort(key=lambda one: (len(one.failures), one.failures[0].at), reverse=True)
    return tuple(questions)


def _failures(rows: Sequence[Row[Any]], down: frozenset[str]) -> tuple[Failure, ...]:
    return tuple(Failure(row.id, row.at, row.key_id, _reasons(row, down), tuple(row.documents)) for row in rows)
