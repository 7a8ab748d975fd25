"""Counts over the ledger: how many queries and answers were what, in a window of time, on both databases.

Rates and percentiles are left to whoever reads them; windows are half-open, `since` <= `at` < `until`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    extract,
    func,
    literal,
    or_,
    select,
)

from ingestion.corpus.database import unindexed
from ingestion.corpus.scope import TenantId
from service.ledger.tables import feedback, model_calls, traces
from service.ledger.traces import Operation, Outcome

MOST_ROWS = 10_000
"""Rows looked at one by one, for percentiles and distributions; of more, a random sample."""
_PREFIX_BITS = 32


@dataclass(frozen=True, slots=True)
class Slice:
    """What is counted: a window of time, of one tenant or of all (None), of one collection or of all."""

    since: datetime
    until: datetime
    tenant: TenantId | None = None
    collection: str | None = None

    @property
    def seconds(self) -> int:
        return round((self.until - self.since).total_seconds())

    def before(self) -> Slice:
        """As long a window that ends where this one begins."""
        return Slice(self.since - (self.until - self.since), self.since, self.tenant, self.collection)

    def days_before(self, days: int) -> Slice:
        """The days that end where this one begins."""
        return Slice(self.since - timedelta(days=days), self.since, self.tenant, self.collection)


@dataclass(frozen=True, slots=True)
class Tally:
    """Traces of one operation. All but `queries` and `failed` count those only that came to their end.

    `legs`: both found something. `complete` are answers and refusals, `graded` answers with a verdict on them,
    `precise` answers whose citations were looked at, over which `precision` is the sum.
    """

    queries: int = 0
    failed: int = 0
    judged: int = 0
    zero: int = 0
    weak: int = 0
    none: int = 0
    legs: int = 0
    disagree: int = 0
    complete: int = 0
    refused: int = 0
    degraded: int = 0
    graded: int = 0
    grounded: int = 0
    sentences: int = 0
    unsupported: int = 0
    precise: int = 0
    precision: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in _COUNTED))


_COUNTED = tuple(Tally.__dataclass_fields__)

RATES_OF_ALL: Final[Mapping[str, tuple[str, str]]] = {
    "failed_rate": ("failed", "queries"),
    "zero_result_rate": ("zero", "judged"),
    "weak_relevance_rate": ("weak", "judged"),
    "no_relevance_rate": ("none", "judged"),
    "legs_disagree_rate": ("disagree", "legs"),
}
"""Signals over all operations: which field of `Tally` is the part, and which the whole."""
RATES_OF_ANSWERS: Final[Mapping[str, tuple[str, str]]] = {
    "refusal_rate": ("refused", "complete"),
    "degraded_rate": ("degraded", "complete"),
    "grounded_rate": ("grounded", "graded"),
    "unsupported_sentence_rate": ("unsupported", "sentences"),
    "citation_precision": ("precision", "precise"),
}
"""Signals over answers."""


@dataclass(frozen=True, slots=True)
class Written:
    """Answers that came to their end, by what wrote them (None: no model) and what became of them."""

    model: str | None
    prompt_version: str | None
    refusal: str | None
    degraded: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls of one model with one prompt. `cost_usd` is that of calls with a known price, None if there is none."""

    model: str
    prompt_version: str | None
    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why answers were refused, and why they were degraded: how many, by reason."""

    refusals: dict[str, int]
    degraded: dict[str, int]


def tallies(connection: Connection, about: Slice, buckets: int = 1) -> list[dict[str, Tally]]:
    """Of each of so many equal parts of the window, in the order of time, the tally by operation."""
    bucket = _bucket(connection, traces.c.at, about, buckets)
    asked = select(bucket.label("bucket"), traces.c.operation, *_counts()).where(*_chosen(about))
    parts: list[dict[str, Tally]] = [{} for _ in range(buckets)]
    for at, operation, *counts in connection.execute(asked.group_by("bucket", traces.c.operation)):
        parts[int(at)][operation] = Tally(*counts)
    return parts


def written(connection: Connection, about: Slice) -> list[Written]:
    """Answers by what wrote them, and by why they were refused or degraded."""
    by = (traces.c.model, traces.c.prompt_version, traces.c.refusal, traces.c.degraded)
    asked = select(*by, *_counts()).where(*_chosen(about), _answers()).group_by(*by)
    return [
        Written(model, prompt, refusal, degraded, Tally(*counts))
        for model, prompt, refusal, degraded, *counts in connection.execute(asked)
    ]


def reasons(connection: Connection, about: Slice, buckets: int = 1) -> list[Reasons]:
    """Of each part of the window the reasons for which answers were refused or degraded."""
    bucket = _bucket(connection, traces.c.at, about, buckets).label("bucket")
    asked = select(bucket, traces.c.refusal, traces.c.degraded, func.count()).where(
        *_chosen(about), _answers(), or_(traces.c.refusal.is_not(None), traces.c.degraded.is_not(None))
    )
    parts = [Reasons({}, {}) for _ in range(buckets)]
    for at, refusal, degraded, count in connection.execute(
        asked.group_by("bucket", traces.c.refusal, traces.c.degraded)
    ):
        part = parts[min(max(int(at), 0), buckets - 1)]
        for reason, counts in ((refusal, part.refusals), (degraded, part.degraded)):
            if reason is not None:
                counts[reason] = counts.get(reason, 0) + count
    return parts


def spending(connection: Connection, about: Slice, buckets: int = 1) -> list[list[Spent]]:
    """Of each part of the window the calls to models, repairs and judges among them, by model and prompt."""
    calls = model_calls.c
    bucket = _bucket(connection, calls.at, about, buckets).label("bucket")
    asked = select(
        bucket,
        calls.model,
        calls.prompt_version,
        func.count().label("calls"),
        _sum(calls.outcome.not_in(("ok", "closed"))).label("failed"),
        func.coalesce(func.sum(calls.prompt_tokens), 0).label("prompt_tokens"),
        func.coalesce(func.sum(calls.completion_tokens), 0).label("completion_tokens"),
        func.sum(calls.cost_usd).label("cost_usd"),
        _sum(calls.cost_usd.is_(None)).label("unpriced"),
    ).where(calls.at >= about.since, calls.at < about.until)
    if about.tenant is not None:
        asked = asked.where(calls.tenant == about.tenant)
    if about.collection is not None:
        asked = asked.where(calls.answer_id.in_(_ids(about)))
    parts: list[list[Spent]] = [[] for _ in range(buckets)]
    for at, *spent in connection.execute(asked.group_by("bucket", calls.model, calls.prompt_version)):
        parts[int(at)].append(Spent(*spent))
    return parts


def feedback_counts(connection: Connection, about: Slice) -> Mapping[tuple[str, str | None], int]:
    """Feedback by its kind and what it says (a rating or an outcome)."""
    said = func.coalesce(feedback.c.rating, feedback.c.outcome).label("said")
    asked = select(feedback.c.kind, said, func.count()).where(feedback.c.at >= about.since, feedback.c.at < about.until)
    if about.tenant is not None:
        asked = asked.where(feedback.c.tenant == about.tenant)
    if about.collection is not None:
        of = select(traces.c.id).where(traces.c.tenant == feedback.c.tenant, traces.c.id == feedback.c.trace_id)
        asked = asked.where(of.where(unindexed(traces.c.collection) == about.collection).exists())
    found: dict[tuple[str, str | None], int] = defaultdict(int)
    for kind, value, count in connection.execute(asked.group_by(feedback.c.kind, "said")):
        found[kind, value] += count
    return found


def sampled_timings(
    connection: Connection, about: Slice, finished: int
) -> Sequence[tuple[datetime, str, float, Mapping[str, float]]]:
    """(at, operation, milliseconds in all, milliseconds by stage) of `MOST_ROWS` of the `finished` traces at most."""
    asked = select(traces.c.at, traces.c.operation, traces.c.total_ms, traces.c.timings).where(
        *_chosen(about), _finished()
    )
    return [tuple(row) for row in connection.execute(_sampled(asked, finished))]


def sampled_scores(connection: Connection, about: Slice, rows: int) -> list[tuple[float, float]]:
    """(confidence, score of the best hit) of `MOST_ROWS` of so many searches at most."""
    asked = select(traces.c.confidence, traces.c.top_score).where(
        *_chosen(about), traces.c.operation == Operation.SEARCH.value, traces.c.confidence.is_not(None)
    )
    return [(row[0], row[1] or 0.0) for row in connection.execute(_sampled(asked, rows))]


def searches(connection: Connection, about: Slice) -> int:
    """How many searches came to their end."""
    asked = select(func.count()).where(
        *_chosen(about), traces.c.operation == Operation.SEARCH.value, traces.c.confidence.is_not(None)
    )
    return connection.execute(asked).scalar_one()


def tenants(connection: Connection, about: Slice) -> list[TenantId]:
    """Those who asked anything, in the order of their names."""
    asked = select(traces.c.tenant).where(*_chosen(about)).distinct()
    return sorted(TenantId(tenant) for (tenant,) in connection.execute(asked))


def _sampled(asked: Select[Any], rows: int) -> Select[Any]:
    """A random part of about `MOST_ROWS` of so many: ids are random, so those below a bound are a random part."""
    if rows > MOST_ROWS:
        bound = f"{int(2**_PREFIX_BITS * MOST_ROWS / rows):08x}"
        asked = asked.where(unindexed(traces.c.id) < bound)
    return asked.limit(MOST_ROWS)


def _chosen(about: Slice) -> list[ColumnElement[bool]]:
    conditions = [traces.c.at >= about.since, traces.c.at < about.until]
    if about.tenant is not None:
        conditions.append(traces.c.tenant == about.tenant)
    if about.collection is not None:
        conditions.append(traces.c.collection == about.collection)
    return conditions


def _ids(about: Slice) -> Select[Any]:
    return select(traces.c.id).where(*_chosen(about), traces.c.operation == Operation.ANSWER.value)


def _finished() -> ColumnElement[bool]:
    return traces.c.outcome.in_((Outcome.OK.value, Outcome.REFUSED.value))


def _answers() -> ColumnElement[bool]:
    return and_(traces.c.operation == Operation.ANSWER.value, _finished())


def _counts() -> list[ColumnElement[Any]]:
    """One column for each field of `Tally`."""
    of = traces.c
    counts: dict[str, ColumnElement[Any]] = {
        "queries": func.count(),
        "failed": _sum(of.outcome.not_in([outcome.value for outcome in Outcome])),
        "judged": func.count(of.relevance),
        # A page past the last hit has none either, but is about something.
        "zero": _sum(and_(of.hits == 0, of.relevance == "none")),
        "weak": _sum(of.relevance == "weak"),
        "none": _sum(of.relevance == "none"),
        "legs": func.count(of.legs_agree),
        "disagree": _sum(of.legs_agree.is_(False)),
        "complete": _sum(_answers()),
        "refused": _sum(of.outcome == Outcome.REFUSED.value),
        "degraded": func.count(of.degraded),
        "graded": func.count(of.grounding),
        "grounded": _sum(of.grounding == "grounded"),
        "sentences": func.coalesce(func.sum(case((of.grounding.is_not(None), of.sentences))), 0),
        "unsupported": func.coalesce(func.sum(of.unsupported), 0),
        "precise": func.count(of.citation_precision),
        "precision": func.coalesce(func.sum(of.citation_precision), 0.0),
    }
    return [counts[name].label(name) for name in _COUNTED]


def _sum(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _bucket(connection: Connection, at: ColumnElement[datetime], about: Slice, buckets: int) -> ColumnElement[Any]:
    """The number of the part of the window that a time lies in, from 0; to the second."""
    if buckets == 1:
        return literal(0)
    seconds: ColumnElement[Any] = extract("epoch", at)
    if connection.dialect.name == "postgresql":  # has fractions of a second; SQLite leaves them out
        seconds = func.floor(seconds)
    passed = cast(seconds, BigInteger) - int(about.since.timestamp())
    return (passed * buckets) // about.seconds
