"""`/v1/quality/candidates`: answers that are worth a golden case, and the case that one would become."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from service.api.models.fields import Reply
from service.quality.candidates import Worth
from service.quality.golden import GoldenCase


class WorthModel(Reply):
    """An answer that is worth a case."""

    trace_id: str
    at: datetime
    question: str | None = Field(description="null where the settings keep no words")
    score: float = Field(description="how much speaks for a case; larger is worse")
    reasons: list[str]

    @classmethod
    def of(cls, worth: Worth) -> WorthModel:
        return cls(
            trace_id=worth.trace_id,
            at=worth.at,
            question=worth.question,
            score=round(worth.score, 3),
            reasons=list(worth.reasons),
        )


class WorstAnswers(Reply):
    """The answers of a window that are worth a case, the worst first; `next_cursor` is null on the last page."""

    answers: list[WorthModel]
    total: int
    next_cursor: str | None

    @classmethod
    def of(cls, found: Sequence[Worth], start: int, limit: int) -> WorstAnswers:
        """The page of up to `limit` answers from the one at `start`."""
        end = start + limit
        return cls(
            answers=[WorthModel.of(one) for one in found[start:end]],
            total=len(found),
            next_cursor=str(end) if end < len(found) else None,
        )


class CandidateModel(Reply):
    """A case for a golden file, for a person to review."""

    case: dict[str, Any] = Field(description="as docs/golden-sets.md tells; `reviewed` is false")

    @classmethod
    def of(cls, case: GoldenCase) -> CandidateModel:
        return cls(case=case.model_dump(mode="json", exclude_none=True))
