"""Golden cases: questions with the documents that answer them, read from JSON Lines and run against a searcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingestion.corpus.filters import Filter
from ingestion.corpus.records import Document
from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError
from service.retrieval.query import SearchQuery
from service.retrieval.results import Relevance
from service.retrieval.search import Searcher


class GoldenPassage(BaseModel):
    """A place in a document: words quoted from it, or characters `start` to `end` of its normalised text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str = Field(min_length=1)
    quote: str | None = Field(None, min_length=1)
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _is_a_quote_or_a_span(self) -> GoldenPassage:
        if self.quote is not None and self.start is None and self.end is None:
            return self
        if self.quote is not None or self.start is None or self.end is None or self.start >= self.end:
            raise ValueError("a relevant passage has either a quote, or a start and an end after it")
        return self


class TriageCategory(StrEnum):
    """What a ticket is about, as a triage card tells it."""

    INFRA = "infra"
    APP = "app"
    DATA = "data"
    SECURITY = "security"
    UNKNOWN = "unknown"


class TriageSeverity(StrEnum):
    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class TriageExpectation(BaseModel):
    """What a triage card for the question should say. Read and checked; there are no triage cards to measure yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: TriageCategory | None = None
    severity: TriageSeverity | None = None
    needs_human: bool | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> TriageExpectation:
        if self.category is None and self.severity is None and self.needs_human is None:
            raise ValueError("a triage expectation names a category, a severity or needs_human")
        return self


class GoldenCase(BaseModel):
    """One question. Documents are named by their ids, uris or ends of uris (see `names_document`).

    `grades` are those of relevant documents that are not worth 1. `must_cite` are documents that an answer has to cite;
    they are relevant, too. `collections` and `filter` narrow the search. A case that is not `reviewed` is a candidate:
    nothing is measured on it, and it need not say yet what is right. `origin` is the trace that it was made from,
    `note` is for whoever reviews it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    relevant_documents: tuple[str, ...] = ()
    grades: Mapping[str, int] = Field(default_factory=dict)
    relevant_passages: tuple[GoldenPassage, ...] = ()
    expected_facts: tuple[str, ...] = ()
    forbidden_facts: tuple[str, ...] = ()
    must_cite: tuple[str, ...] = ()
    must_refuse: bool = False
    triage: TriageExpectation | None = None
    collections: tuple[str, ...] = ()
    filter: Filter | None = None
    reviewed: bool = True
    origin: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _is_answerable_or_not(self) -> GoldenCase:
        named = self.relevant_documents or self.relevant_passages or self.must_cite
        if self.must_refuse and (named or self.expected_facts):
            raise ValueError("a case that must be refused has no relevant documents and no expected facts")
        if any(not fact.strip() for fact in (*self.expected_facts, *self.forbidden_facts)):
            raise ValueError("a fact is empty: every answer holds that")
        if not self.must_refuse and not named and self.reviewed:
            raise ValueError("a case that is to be answered names at least one relevant document")
        for name, grade in self.grades.items():
            if name not in self.relevant_documents:
                raise ValueError(f"the grade of {name!r} is of no relevant document")
            if grade < 1:
                raise ValueError(f"the grade of {name!r} is less than 1: leave out what is not relevant")
        return self

    def judged(self) -> dict[str, int]:
        """Every document that the case names, with its grade."""
        passages = (passage.document for passage in self.relevant_passages)
        names = (*self.relevant_documents, *passages, *self.must_cite)
        return {name: self.grades.get(name, 1) for name in names}


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """`rank` of the first relevant document, counting documents from 1; None if none was found."""

    case: GoldenCase
    rank: int | None
    relevance: Relevance
    found: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcomes of all cases, in their order."""

    outcomes: tuple[CaseOutcome, ...]

    def hit_rate(self, k: int) -> float:
        """Share of the answerable cases whose right document is among the first `k`; 0 if there are none."""
        answerable = [outcome for outcome in self.outcomes if not outcome.case.must_refuse]
        return sum(outcome.rank is not None and outcome.rank <= k for outcome in answerable) / max(1, len(answerable))

    def mean_reciprocal_rank(self) -> float:
        """Over the answerable cases; 0 if there are none."""
        answerable = [outcome for outcome in self.outcomes if not outcome.case.must_refuse]
        return sum(1 / outcome.rank for outcome in answerable if outcome.rank) / max(1, len(answerable))


def load_golden(path: Path) -> tuple[GoldenCase, ...]:
    """The reviewed cases of a JSON Lines file, in order; blank lines are skipped.

    Raises: as `read_golden`; ConfigurationError, too, if no case is reviewed.
    """
    cases = read_golden(path)
    reviewed = tuple(case for case in cases if case.reviewed)
    if not reviewed:
        raise ConfigurationError(
            f"{path}: none of its cases is reviewed: `plumbline golden check {path}` lists the {len(cases)}"
        )
    return reviewed


def read_golden(path: Path) -> tuple[GoldenCase, ...]:
    """All cases of a JSON Lines file, in order, candidates among them; blank lines are skipped.

    Raises: ConfigurationError that names the file and the line: unreadable, not JSON, a wrong field, an id twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the golden file cannot be read: {error}") from error
    cases: list[GoldenCase] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            case = GoldenCase.model_validate_json(line)
        except ValidationError as error:
            raise ConfigurationError(f"{path}:{number}: {explain(error)}") from error
        if case.id in first_line:
            raise ConfigurationError(f"{path}:{number}: the id {case.id!r} is already on line {first_line[case.id]}")
        first_line[case.id] = number
        cases.append(case)
    if not cases:
        raise ConfigurationError(f"{path}: the golden file holds no case")
    return tuple(cases)


def evaluate(
    searcher: Searcher,
    scope: Scope,
    cases: Sequence[GoldenCase],
    *,
    depth: int = 10,
    matches: Callable[[Document, str], bool] | None = None,
) -> Evaluation:
    """Run every case and rank documents by their best passage. `matches` tells whether a document is the one named."""
    is_named = matches or names_document
    outcomes = []
    for case in cases:
        query = SearchQuery(case.question, limit=depth, group_by_document=True, highlight=False)
        result = searcher.search(scope, query)
        found = tuple(passage.indexed.document for passage in result.passages)
        ranks = (
            rank
            for rank, document in enumerate(found, start=1)
            if any(is_named(document, name) for name in case.relevant_documents)
        )
        outcomes.append(CaseOutcome(case, next(ranks, None), result.relevance, found))
    return Evaluation(tuple(outcomes))


def names_document(document: Document, name: str) -> bool:
    """Whether `name` is the document's id or uri, or the end of its uri's path."""
    return name == document.id or document.uri == name or document.uri.endswith(f"/{name}")


def explain(error: ValidationError) -> str:
    """What is wrong, with the field that it is in, on one line."""
    parts = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(step) for step in problem["loc"])
        parts.append(f"{place}: {problem['msg']}" if place else problem["msg"])
    return "; ".join(parts)
