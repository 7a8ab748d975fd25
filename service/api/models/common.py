"""Parts that several responses share: documents, spans, scores and relevance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from ingestion.corpus.records import Document, Span
from service.api.models.fields import Reply
from service.retrieval.results import Relevance, RelevanceLabel


class SpanModel(Reply):
    """Half-open range of characters (Unicode code points) of the document's content."""

    start: int
    end: int

    @classmethod
    def of(cls, span: Span) -> SpanModel:
        return cls(start=span.start, end=span.end)


class DocumentRef(Reply):
    """Enough of a document to show and to open it."""

    id: str
    title: str
    uri: str
    collection: str

    @classmethod
    def of(cls, document: Document) -> DocumentRef:
        return cls(id=document.id, title=document.title, uri=document.uri, collection=document.collection)


class HitDocument(DocumentRef):
    """The document of a search hit."""

    updated_at: datetime
    metadata: dict[str, Any]

    @classmethod
    def of(cls, document: Document) -> HitDocument:
        return cls(
            id=document.id,
            title=document.title,
            uri=document.uri,
            collection=document.collection,
            updated_at=document.updated_at,
            metadata=dict(document.metadata),
        )


class SignalsModel(Reply):
    """What the confidence was computed from."""

    top_score: float
    margin: float
    lexical_coverage: float
    legs_agree: bool


class RelevanceModel(Reply):
    """Whether the corpus holds anything about the query."""

    label: RelevanceLabel
    confidence: float = Field(description="probability in 0-1 that it does")
    signals: SignalsModel

    @classmethod
    def of(cls, relevance: Relevance) -> RelevanceModel:
        signals = relevance.signals
        return cls(
            label=relevance.label,
            confidence=round(relevance.confidence, 4),
            signals=SignalsModel(
                top_score=round(signals.top_score, 4),
                margin=round(signals.margin, 4),
                lexical_coverage=round(signals.lexical_coverage, 4),
                legs_agree=signals.legs_agree,
            ),
        )


def rounded(timings_ms: dict[str, float] | Any) -> dict[str, float]:
    """Timings as they are shown, to a hundredth of a millisecond."""
    return {stage: round(value, 2) for stage, value in timings_ms.items()}
