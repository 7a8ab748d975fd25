"""`/v1/quality/gaps`: what people asked and the documents did not tell."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from service.api.models.common import DocumentRef
from service.api.models.fields import Reply
from service.quality.knowledge.gaps import Gap, GapReport, Nearest
from service.quality.knowledge.questions import Reason


class GapExample(Reply):
    """One wording of the question."""

    text: str
    count: int = Field(description="how often it failed in the window")
    trace_id: str = Field(description="of the last time, for `/v1/traces/{id}`")


class NearestDocument(DocumentRef):
    """A document that was shown for these questions: the place to add what is missing, if it belongs there."""

    shown: int = Field(description="for how many of the failures it was shown")

    @classmethod
    def near(cls, nearest: Nearest) -> NearestDocument:
        document = nearest.document
        return cls(
            id=document.id,
            title=document.title,
            uri=document.uri,
            collection=document.collection,
            shown=nearest.shown,
        )


class GapModel(Reply):
    """Questions that ask for the same and failed."""

    label: str = Field(description="the most central of the questions")
    count: int = Field(description="how often they failed")
    questions: int = Field(description="different wordings")
    askers: int | None = Field(description="different API keys that asked; null where nobody had one")
    first_seen: datetime
    last_seen: datetime
    shares: dict[Reason, float] = Field(
        description="share of the failures by what went wrong; one may have gone wrong in several ways"
    )
    examples: list[GapExample] = Field(description="up to 5 wordings, the most frequent first")
    trace_ids: list[str] = Field(description="up to 10, the newest first, for `/v1/traces/{id}`")
    nearest: list[NearestDocument] = Field(description="up to 3 documents that were shown, the nearest first")

    @classmethod
    def of(cls, gap: Gap) -> GapModel:
        return cls(
            label=gap.label,
            count=gap.count,
            questions=gap.questions,
            askers=gap.askers,
            first_seen=gap.first_seen,
            last_seen=gap.last_seen,
            shares={reason: round(share, 4) for reason, share in gap.shares.items()},
            examples=[GapExample(text=one.text, count=one.count, trace_id=one.trace_id) for one in gap.examples],
            trace_ids=list(gap.trace_ids),
            nearest=[NearestDocument.near(one) for one in gap.nearest],
        )


class GapPage(Reply):
    """The gaps of a window, most frequent first."""

    window_start: datetime
    window_end: datetime
    asked: int = Field(description="searches, context packs and answers of the window")
    failed: int = Field(description="those of them that failed whoever asked")
    without_words: int = Field(description="failures whose words were not kept, and which are in no gap")
    questions: int = Field(description="different questions among the failures")
    compared: int = Field(description="those of them that were put into groups: the most frequent ones")
    complete: bool = Field(description="false: there were too many failures, and the oldest or rarest are left out")
    total: int = Field(description="gaps of the window")
    gaps: list[GapModel]
    next_cursor: str | None = Field(description="for the next page; null on the last")

    @classmethod
    def of(cls, report: GapReport, start: int, limit: int) -> GapPage:
        """The page of up to `limit` gaps from the one at `start`."""
        end = start + limit
        return cls(
            window_start=report.window.start,
            window_end=report.window.end,
            asked=report.asked,
            failed=report.failed,
            without_words=report.without_words,
            questions=report.questions,
            compared=report.compared,
            complete=report.complete,
            total=len(report.gaps),
            gaps=[GapModel.of(gap) for gap in report.gaps[start:end]],
            next_cursor=str(end) if end < len(report.gaps) else None,
        )
