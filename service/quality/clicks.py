"""Clicks on searches: read from the ledger as sessions, and measured as the quality of what was shown.

How clicks are corrected for position is left to `clickmodels`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Engine, and_, or_, select

from ingestion.corpus.scope import TenantId
from service.ledger.feedback import Kind
from service.ledger.tables import feedback, traces
from service.ledger.traces import Operation
from service.quality.golden import GoldenCase

if TYPE_CHECKING:
    from service.quality.clickmodels import Choice, Session

MOST_SEARCHES = 5_000
"""Searches that are read, the newest ones."""
_PAGE = 10
_GRADES = 10


@dataclass(frozen=True, slots=True)
class ClickMeasures:
    """Over searches of which at least one hit was opened; None: there are none.

    `mrr`: mean of one over the rank of the first hit that was opened. `ndcg`: nDCG@10 where a hit's gain is how likely
    it is opened by whoever looks at it (0 for one that nobody opened for that query), against the best order of all
    hits that were opened for it. `clicks` counts each hit of a search once, `queries` the searches.
    """

    mrr: float | None
    ndcg: float | None
    clicks: int
    queries: int


@dataclass(frozen=True, slots=True)
class Place:
    """A hit as it was shown. `document` names it by its uri."""

    chunk_id: str
    uri: str
    score: float


@dataclass(frozen=True, slots=True)
class Searched:
    """A search by someone who reports clicks. `clicks`: ranks of the hits that were opened, by chunk.

    `question` is None where the words are not kept; `query` tells equal questions, as far as that is kept.
    """

    id: str
    query: str
    question: str | None
    places: tuple[Place, ...]
    offset: int = 0
    clicks: dict[str, int] = field(default_factory=dict)

    def session(self) -> Session:
        """What a click model looks at."""
        from service.quality.clickmodels import Session

        return Session(
            id=self.id,
            query=self.query,
            results=tuple(place.chunk_id for place in self.places),
            clicked=frozenset(self.clicks),
            scores=tuple(place.score for place in self.places),
        )


def click_measures(
    engine: Engine, tenant: TenantId, since: datetime, until: datetime, collection: str | None = None
) -> ClickMeasures:
    """Of the searches of `since <= at < until`; of one collection, or of all. Later pages count for `mrr` only."""
    found = searches(engine, tenant, since, until, collection)
    clicked = [one for one in found if one.clicks]
    if not clicked:
        return ClickMeasures(None, None, 0, 0)
    return ClickMeasures(
        mrr=sum(1 / min(one.clicks.values()) for one in clicked) / len(clicked),
        ndcg=_ndcg(found),
        clicks=sum(len(one.clicks) for one in clicked),
        queries=len(clicked),
    )


def searches(
    engine: Engine, tenant: TenantId, since: datetime, until: datetime, collection: str | None = None
) -> list[Searched]:
    """The newest MOST_SEARCHES searches with hits, of those who reported at least one click in that time.

    A search of someone who never reports one says nothing: a program opens no hits.
    """
    within = [
        traces.c.tenant == tenant,
        traces.c.at >= since,
        traces.c.at < until,
        traces.c.operation == Operation.SEARCH,
        traces.c.hits > 0,
    ]
    if collection is not None:
        within.append(traces.c.collection == collection)
    joined = and_(feedback.c.trace_id == traces.c.id, feedback.c.tenant == traces.c.tenant)
    wanted = select(feedback.c.trace_id, feedback.c.rank, traces.c.key_id)
    wanted = wanted.join(traces, joined).where(feedback.c.kind == Kind.CLICK, *within)
    body = traces.c.body
    with engine.connect() as connection:
        clicks = connection.execute(wanted).all()
        if not clicks:
            return []
        rows = connection.execute(
            select(traces.c.id, traces.c.query_hash, traces.c.query, body["passages"], body["offset"])
            .where(*within, _by({row.key_id for row in clicks}))
            .order_by(traces.c.at.desc(), traces.c.id)
            .limit(MOST_SEARCHES)
        ).all()
    opened: dict[str, set[int]] = defaultdict(set)
    for click in clicks:
        opened[click.trace_id].add(click.rank)
    return [_searched(*row, opened.get(row.id, set())) for row in rows]


def _searched(
    id_: str,
    hashed: str | None,
    question: str | None,
    passages: Sequence[Mapping[str, Any]] | None,
    offset: int | None,
    ranks: set[int],
) -> Searched:
    places = tuple(Place(one["chunk_id"], one["uri"], one["score"]) for one in passages or ())
    shown = {rank: place.chunk_id for rank, place in enumerate(places, start=(offset or 0) + 1)}
    # Whatever was opened at a rank, the hit or a passage folded into it, the hit stood there.
    clicks = {shown[rank]: rank for rank in ranks if rank in shown}
    return Searched(id_, hashed or id_, question, places, offset or 0, clicks)


def click_cases(found: Sequence[Searched]) -> tuple[GoldenCase, ...]:
    """A case for each question of which a hit was opened: relevant are the documents that were.

    Grades run from 1 to 10: how likely a document is opened by whoever looks at it, in tenths. The newest wording of a
    question stands for all. Searches whose words were not kept, and later pages, are left out.
    """
    from service.quality.clickmodels import choose

    first_pages = [one for one in found if not one.offset]
    if not any(one.clicks for one in first_pages):
        return ()
    choice = choose([one.session() for one in first_pages])
    questions: dict[str, str] = {}
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for one in first_pages:
        if one.question is None or not one.clicks:
            continue
        questions.setdefault(one.query, one.question)
        graded = grades[one.query]
        for place in one.places:
            if place.chunk_id in one.clicks:
                grade = max(1, round(_GRADES * choice.relevance(one.query, place.chunk_id)))
                graded[place.uri] = max(grade, graded.get(place.uri, 1))
    return tuple(
        GoldenCase(id=query, question=question, relevant_documents=tuple(grades[query]), grades=grades[query])
        for query, question in questions.items()
        if grades[query]
    )


def _by(callers: set[str | None]) -> ColumnElement[bool]:
    keys = sorted(key for key in callers if key is not None)
    named = traces.c.key_id.in_(keys)
    return or_(named, traces.c.key_id.is_(None)) if None in callers else named


def _ndcg(found: Sequence[Searched]) -> float | None:
    from service.quality.clickmodels import choose, dcg

    first_pages = [one.session() for one in found if not one.offset]
    clicked = [one for one in first_pages if one.clicked]
    if not clicked:
        return None
    choice = choose(first_pages)
    opened = _opened(clicked)
    best = {
        query: sorted((choice.relevance(query, one) for one in results), reverse=True)
        for query, results in opened.items()
    }
    shares = []
    for one in clicked:
        gains = [_gain(choice, one.query, result, opened[one.query]) for result in one.results[:_PAGE]]
        ideal = dcg(best[one.query][:_PAGE])
        shares.append(dcg(gains) / ideal if ideal else 0.0)  # only far below what a model looks at
    return sum(shares) / len(shares)


def _gain(choice: Choice, query: str, result: str, opened: set[str]) -> float:
    return choice.relevance(query, result) if result in opened else 0.0


def _opened(sessions: Sequence[Session]) -> dict[str, set[str]]:
    """The results that anyone opened, by query."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in sessions:
        found[one.query] |= one.clicked
    return found
