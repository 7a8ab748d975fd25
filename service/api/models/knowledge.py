"""`/v1/quality/knowledge`: what is wrong with the documents themselves."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ingestion.corpus.records import Document
from service.api.models.common import DocumentRef, SpanModel
from service.api.models.fields import Reply
from service.quality.knowledge.contradictions import Contradiction, Source
from service.quality.knowledge.health import HealthReport, Old


class DatedDocument(DocumentRef):
    """A document, and when it was last changed at its origin."""

    updated_at: datetime

    @classmethod
    def dated(cls, document: Document) -> DatedDocument:
        return cls(**DocumentRef.of(document).model_dump(), updated_at=document.updated_at)


class StatementModel(Reply):
    """A sentence of a document; `/v1/documents/{id}/content` has the text that `span` points into."""

    document: DatedDocument
    text: str
    span: SpanModel
    heading_path: list[str]

    @classmethod
    def of(cls, source: Source) -> StatementModel:
        return cls(
            document=DatedDocument.dated(source.document),
            text=source.text,
            span=SpanModel.of(source.span),
            heading_path=list(source.heading_path),
        )


class ContradictionModel(Reply):
    """Two documents that say the same but for one exact fact."""

    kind: str = Field(description="of the fact: `numbers`, `times`, `versions`, `addresses`, `commands`, `flags`, ...")
    one_says: str
    other_says: str
    one: StatementModel
    other: StatementModel
    similarity: float = Field(description="of the passages around them, a cosine: how much they are about the same")

    @classmethod
    def of(cls, found: Contradiction) -> ContradictionModel:
        return cls(
            kind=found.conflict.kind.value,
            one_says=found.conflict.one,
            other_says=found.conflict.other,
            one=StatementModel.of(found.one),
            other=StatementModel.of(found.other),
            similarity=round(found.similarity, 4),
        )


class OldDocument(Reply):
    """A document that is old or was replaced, and is shown."""

    document: DatedDocument
    shown: int = Field(description="in how many operations of the window")
    note: str = Field(description="what it or another document says about it; empty if it is only old")
    replaced_by: DatedDocument | None

    @classmethod
    def of(cls, old: Old) -> OldDocument:
        by = None if old.by is None else DatedDocument.dated(old.by)
        return cls(document=DatedDocument.dated(old.document), shown=old.shown, note=old.note, replaced_by=by)


class KnowledgeReport(Reply):
    """What is wrong with the documents. Each list holds up to `limit` entries, its count all of them."""

    window_start: datetime
    window_end: datetime
    documents: int = Field(description="live documents")
    asked: int = Field(description="searches, context packs and answers of the window")
    operations: int = Field(description="those of them that were looked at for what they showed: the newest")
    contradictions: list[ContradictionModel] = Field(description="the nearest passages first")
    contradictions_total: int
    compared_passages: int
    compared_pairs: int = Field(description="pairs of near passages of different documents")
    stale: list[OldDocument] = Field(description="not changed for `stale_days` and shown; the most shown first")
    stale_total: int
    superseded: list[OldDocument] = Field(description="replaced, as it or another says, and shown")
    superseded_total: int
    never_shown: list[DatedDocument] = Field(
        description="there since before the window, and in none of its results; the newest first"
    )
    never_shown_total: int
    never_shown_share: float | None = Field(
        description="of the documents that were there since before the window; null if none was. With fewer "
        "`operations` than documents it says more about the traffic than about the documents"
    )
    complete: bool = Field(description="false: too many documents, passages or operations, and some are left out")

    @classmethod
    def of(cls, report: HealthReport, limit: int) -> KnowledgeReport:
        """With up to `limit` entries in each list."""
        found = report.contradictions
        return cls(
            window_start=report.window.start,
            window_end=report.window.end,
            documents=report.documents,
            asked=report.asked,
            operations=report.operations,
            contradictions=[ContradictionModel.of(one) for one in found.found[:limit]],
            contradictions_total=len(found.found),
            compared_passages=found.chunks,
            compared_pairs=found.pairs,
            stale=[OldDocument.of(one) for one in report.stale[:limit]],
            stale_total=len(report.stale),
            superseded=[OldDocument.of(one) for one in report.superseded[:limit]],
            superseded_total=len(report.superseded),
            never_shown=[DatedDocument.dated(one) for one in report.never_shown[:limit]],
            never_shown_total=len(report.never_shown),
            never_shown_share=round(len(report.never_shown) / report.eligible, 4) if report.eligible else None,
            complete=report.complete and found.complete,
        )
