"""What a comparison with `LIKE` found: per query, per row that is missing, and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why a row that LIKE found is not found by exact search. All but the last are explanations."""

    NOT_INGESTED = "not_ingested"
    OTHER_COLLECTION = "other_collection"
    CHANGED = "changed"
    NORMALISED = "normalised"
    COLLATION = "collation"
    NOT_TEXT = "not_text"
    CUT = "cut_by_limit"
    UNEXPLAINED = "unexplained"


MEANINGS: Mapping[Reason, str] = {
    Reason.NOT_INGESTED: "the row is not a document of the corpus",
    Reason.OTHER_COLLECTION: "the row's document is in another collection",
    Reason.CHANGED: "the document holds another text than the row holds now: sync it again, or ingest that column",
    Reason.NORMALISED: "only line ends, blanks or invisible characters differ: documents keep their text normalised",
    Reason.COLLATION: "only the database's collation takes the two for equal (accents, width): no text holds it",
    Reason.NOT_TEXT: "LIKE matched how the database writes a number, a date or JSON: documents write it otherwise",
    Reason.CUT: "beyond the last hit that can be paged to",
    Reason.UNEXPLAINED: "the document holds the string, and exact search did not find it",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A row that LIKE found and exact search did not; `detail` is what is known beyond the reason."""

    row: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """A document that LIKE missed: its rank on our page, its score and its best passage."""

    document: str
    title: str
    passage: str
    score: float
    rank: int


class Way(StrEnum):
    """What is timed: one page each."""

    LIKE = "like"
    EXACT = "exact"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class QueryParity:
    """One query both ways.

    `rows`: what LIKE found, `rows_cut` whether only so many were read. `exact`: how many of these rows exact search
    found, `exact_more` what it found beyond them. `on_page`: rows of LIKE on hybrid's first page, `best_rank` the
    first of them there. `relevance` and its label are hybrid's. `took_ms`: each timed run.
    """

    query: str
    rows: int
    rows_cut: bool
    exact: int
    exact_more: int
    on_page: int
    best_rank: int | None
    label: str
    missing: tuple[Missing, ...] = ()
    gains: tuple[Gain, ...] = ()
    took_ms: Mapping[Way, tuple[float, ...]] = field(default_factory=dict)

    @property
    def unexplained(self) -> int:
        return sum(one.reason is Reason.UNEXPLAINED for one in self.missing)


@dataclass(frozen=True, slots=True)
class Table:
    """The table that was asked: `address` is without its password."""

    address: str
    name: str
    key: str
    columns: tuple[str, ...]
    operator: str
    rows: int


@dataclass(frozen=True, slots=True)
class Parity:
    """A whole comparison. `skipped`: queries that search can't take, with why."""

    created_at: datetime
    version: str
    table: Table
    documents: int
    collection: str
    page: int
    queries: tuple[QueryParity, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def missing(self) -> dict[Reason, int]:
        """Missing rows by reason, only reasons that occur."""
        reasons = [one.reason for query in self.queries for one in query.missing]
        return {reason: reasons.count(reason) for reason in Reason if reason in reasons}

    def percentile_ms(self, way: Way, share: float) -> float | None:
        """The time within which that share of the runs ended (nearest rank); None if there was none."""
        return percentile([ms for query in self.queries for ms in query.took_ms.get(way, ())], share)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least that share of the values do not exceed (nearest rank)."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]
