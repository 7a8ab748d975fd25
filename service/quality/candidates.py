"""Golden candidates: a trace with its feedback as a case that a person still has to review, and which are worth it.

What is right, a person decides: nothing that a model or a user wrote becomes an expected fact here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine, Row, Select, exists, or_, select

from ingestion.corpus.filters import Filter
from ingestion.corpus.scope import TenantId
from ingestion.errors import ConfigurationError, InvalidRequest
from service.ledger.feedback import Feedback, FeedbackRecord, Kind, Rating
from service.ledger.tables import feedback, traces
from service.ledger.traces import Operation, Outcome, Trace
from service.quality.golden import GoldenCase, read_golden
from service.tracking.shown import Shown, shown

MOST_LOOKED_AT = 5_000
"""Answers among which the worst are looked for, the newest."""
_NAMED = 10
_WORD = re.compile(r"[a-z0-9]+")
_ID_WORDS = 6
_GOOD_PASSAGES = 0.7
"""Confidence from which a refusal is suspicious."""


def candidate(trace: Trace, given: Sequence[FeedbackRecord], *, must_refuse: bool = False) -> GoldenCase:
    """The case, not reviewed. `given` is all feedback on the trace.

    Relevant are the documents that were opened or rated up, and, of an answer that was rated up, those that its
    supported sentences cite; of an answer that was rated down none.

    Raises: InvalidRequest if the words of the question were not kept.
    """
    question = trace.body.get("standing") or trace.query
    if not question:
        raise InvalidRequest(
            f"the words of {trace.operation} {trace.id} were not kept (PLUMBLINE_LEDGER__CONTENT): "
            "write the case by hand"
        )
    documents = () if must_refuse else _relevant(trace, given)
    return GoldenCase(
        id=f"{_slug(question)}-{trace.id[:8]}",
        question=question,
        relevant_documents=tuple(documents),
        must_refuse=must_refuse,
        collections=tuple(trace.body.get("collections", ())),
        filter=_filter(trace),
        reviewed=False,
        origin=trace.id,
        note="\n".join(_notes(trace, given)),
    )


def _filter(trace: Trace) -> Filter | None:
    """None, too, for one whose masking left no filter: the note says that there was one."""
    told = trace.body.get("filter")
    try:
        return None if told is None else Filter.model_validate(told)
    except ValidationError:
        return None


def _relevant(trace: Trace, given: Sequence[FeedbackRecord]) -> list[str]:
    """Uris, each once, in the order in which they were shown."""
    ratings = _latest_ratings(given)
    of_whole = {one.rating for one in ratings if one.chunk_id is None}
    if Rating.DOWN in of_whole:
        return []
    good = {one.chunk_id for one in ratings if one.rating == Rating.UP}
    good |= {one.chunk_id for one in given if one.kind == Kind.CLICK}
    bad = {one.chunk_id for one in ratings if one.rating == Rating.DOWN}
    if Rating.UP in of_whole:
        good |= _supporting(trace)
    places = shown(trace)
    return list(dict.fromkeys(place.uri for place in places if place.chunk_id in good - bad and place.uri))


def _latest_ratings(given: Sequence[FeedbackRecord]) -> list[FeedbackRecord]:
    """People may change their minds: what each one said last of the whole, and of each chunk. `given`: oldest first."""
    last = {(one.key_id, one.chunk_id): one for one in given if one.kind == Kind.RATING}
    return list(last.values())


def _supporting(trace: Trace) -> set[str | None]:
    numbers = {
        number
        for sentence in trace.body.get("sentences", ())
        if sentence["support"]["label"] == "supported"
        for number in sentence["citations"]
    }
    return {one["chunk_id"] for one in trace.body.get("citations", ()) if one["n"] in numbers}


def _notes(trace: Trace, given: Sequence[FeedbackRecord]) -> Iterator[str]:
    """What whoever reviews the case should know, a line each."""
    yield f"From the {trace.operation} {trace.id} of {trace.at:%Y-%m-%d %H:%M} UTC."
    if trace.body.get("filter") is not None and _filter(trace) is None:
        yield "It was narrowed by a filter whose values were not kept."
    for one in given:
        told = _told(one, shown(trace))
        if told:
            yield told
    if trace.refusal:
        yield f"Refused: {trace.refusal}."
    if text := trace.body.get("text"):
        yield f"Answered: {text}"
    for sentence in trace.body.get("sentences", ()):
        if sentence["support"]["label"] in ("unsupported", "contradicted"):
            yield f"{sentence['support']['label'].capitalize()}, perhaps a forbidden fact: {sentence['text']}"
    uris = list(dict.fromkeys(place.uri for place in shown(trace)))
    more = f" and {len(uris) - _NAMED} more" if len(uris) > _NAMED else ""
    yield f"Shown: {', '.join(uris[:_NAMED]) or 'nothing'}{more}."


def _told(one: FeedbackRecord, places: Sequence[Shown]) -> str | None:
    about = next((f" {place.uri}" for place in places if place.chunk_id == one.chunk_id), "")
    words = f": {one.text}" if one.text else ""
    match one.kind:
        case Kind.RATING:
            return f"Rated {one.rating}{words and f' ({one.text})'}{about and f', of{about}'}."
        case Kind.CORRECTION:
            return f"Correction{about and f' of{about}'}{words or ': its words were not kept.'}"
        case Kind.OUTCOME:
            return f"Outcome: {one.outcome}{words and f' ({one.text})'}."
        case _:
            return f"Opened:{about}." if about else None


def _slug(question: str) -> str:
    """The first words, fit for an id."""
    return "-".join(_WORD.findall(question.casefold())[:_ID_WORDS])[:60] or "case"


@dataclass(frozen=True, slots=True)
class Added:
    """Where the candidate of a trace stands; `new` if it was not there before."""

    case: GoldenCase
    new: bool


def add_candidate(path: Path, case: GoldenCase) -> Added:
    """The case at the end of the file, which is made if need be; the one from the same trace if there is one.

    Raises: ConfigurationError if the file can't be read or written, or is wrong.
    """
    cases = read_golden(path) if path.exists() and path.read_text("utf-8").strip() else ()
    for known in cases:
        if known.origin == case.origin:
            return Added(known, new=False)
    taken = {known.id for known in cases}
    if case.id in taken:
        case = case.model_copy(update={"id": f"{case.id}-{case.origin}"})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text("utf-8") if path.exists() else ""
        with path.open("a", encoding="utf-8") as file:
            file.write(("" if not before or before.endswith("\n") else "\n") + line_of(case) + "\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: the candidate cannot be written: {error.strerror}") from error
    return Added(case, new=True)


def line_of(case: GoldenCase) -> str:
    """The case as a line of a golden file: only what it says, `reviewed` in any case."""
    told: Mapping[str, Any] = case.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return json.dumps({**told, "reviewed": case.reviewed}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Worth:
    """An answer that is worth a case; `reasons` say why, the weightiest first. `question` None: not kept."""

    trace_id: str
    at: datetime
    question: str | None
    score: float
    reasons: tuple[str, ...]


def worst(
    engine: Engine, tenant: TenantId, since: datetime, until: datetime, collection: str | None = None
) -> list[Worth]:
    """Answers of `since <= at < until` that are worth a case, the worst first, of equal ones the newest.

    Looked for among the newest MOST_LOOKED_AT answers that were rated down or corrected, hold unsupported sentences,
    or were refused.
    """
    columns = traces.c
    rejected = exists().where(
        feedback.c.tenant == columns.tenant,
        feedback.c.trace_id == columns.id,
        or_(feedback.c.rating == Rating.DOWN, feedback.c.kind == Kind.CORRECTION),
    )
    within = [
        columns.tenant == tenant,
        columns.at >= since,
        columns.at < until,
        columns.operation == Operation.ANSWER,
        or_(columns.unsupported > 0, columns.outcome == Outcome.REFUSED, rejected),
    ]
    if collection is not None:
        within.append(columns.collection == collection)
    wanted: Select[Any] = (
        select(
            columns.id,
            columns.at,
            columns.query,
            columns.sentences,
            columns.unsupported,
            columns.outcome,
            columns.refusal,
            columns.confidence,
        )
        .where(*within)
        .order_by(columns.at.desc(), columns.id)
        .limit(MOST_LOOKED_AT)
    )
    with engine.connect() as connection:
        rows = connection.execute(wanted).all()
    given = _by_trace(engine, tenant, [row.id for row in rows])
    found = [_worth(row, given.get(row.id, [])) for row in rows]
    return sorted((one for one in found if one.reasons), key=lambda one: -one.score)


def _by_trace(engine: Engine, tenant: TenantId, ids: Sequence[str]) -> dict[str, list[FeedbackRecord]]:
    found: dict[str, list[FeedbackRecord]] = {}
    for one in Feedback(engine).of_traces(tenant, ids):
        found.setdefault(one.trace_id, []).append(one)
    return found


def _worth(row: Row[Any], given: Sequence[FeedbackRecord]) -> Worth:
    """What speaks for a case of it: people first, then its own verdicts."""
    reasons: list[tuple[float, str]] = []
    if any(one.rating == Rating.DOWN and one.chunk_id is None for one in _latest_ratings(given)):
        reasons.append((3.0, "rated down"))
    if any(one.kind == Kind.CORRECTION for one in given):
        reasons.append((3.0, "corrected"))
    if row.unsupported:
        share = row.unsupported / max(1, row.sentences)
        reasons.append((1.0 + share, f"{row.unsupported} of {row.sentences} sentences unsupported"))
    if row.outcome == Outcome.REFUSED and (row.confidence or 0.0) >= _GOOD_PASSAGES:
        reasons.append((1.0 + row.confidence, f"refused ({row.refusal}) although passages were found"))
    reasons.sort(key=lambda reason: -reason[0])
    return Worth(
        trace_id=row.id,
        at=row.at,
        question=row.query,
        score=sum(weight for weight, _ in reasons),
        reasons=tuple(text for _, text in reasons),
    )
