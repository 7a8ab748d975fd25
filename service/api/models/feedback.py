"""`/v1/feedback`: what people did with a result and said of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from ingestion.errors import InvalidRequest
from service.api.models.fields import Cursor, Reply, Request, storable, text_of
from service.ledger.feedback import FeedbackFilter, FeedbackRecord, Kind, Rating
from service.tracking.feedback import GivenFeedback, Subject

MAX_TEXT_BYTES = 10_000
MAX_PAGE = 100

_Id = Annotated[str, Field(min_length=1, max_length=64)]
# Per kind: the field that it needs, and those that it may have.
_FIELDS: Mapping[Kind, tuple[str, tuple[str, ...]]] = {
    Kind.CLICK: ("chunk_id", ("rank",)),
    Kind.RATING: ("rating", ("chunk_id", "rank", "text")),
    Kind.CORRECTION: ("text", ("chunk_id", "rank")),
    Kind.OUTCOME: ("outcome", ("text",)),
}


class FeedbackRequest(Request):
    """Feedback on one result. Exactly one of the three ids; which other fields belong to it, its kind says."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"answer_id": "6f1c…", "kind": "rating", "rating": "down"},
                {"query_id": "0b1d…", "kind": "click", "chunk_id": "9a2e…"},
            ]
        }
    )

    query_id: _Id | None = Field(None, description="of a search, a context pack or an answer")
    answer_id: _Id | None = None
    triage_id: _Id | None = None
    kind: Kind = Field(
        description="`click`: a passage was opened; `rating`: it helped or not; `correction`: what would be right; "
        "`outcome`: how the matter ended"
    )
    chunk_id: _Id | None = Field(None, description="one that was shown; of a click, a rating or a correction")
    rank: int | None = Field(
        None, ge=1, le=100_000, strict=True, description="where it was shown, from 1; known from the trace if left out"
    )
    rating: Rating | None = None
    text: Annotated[str, AfterValidator(text_of(MAX_TEXT_BYTES)), AfterValidator(storable)] | None = Field(
        None, description=f"in words, at most {MAX_TEXT_BYTES} bytes of UTF-8; not of a click"
    )
    outcome: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="a word of yours, for instance `resolved`, `reopened`, `escalated`",
    )

    def given_by(self, key_id: str | None) -> GivenFeedback:
        """Raises: InvalidRequest for ids or fields that don't belong together."""
        subject = self._subject()
        needed, allowed = _FIELDS[self.kind]
        if getattr(self, needed) is None:
            raise InvalidRequest(f"a {self.kind} needs {needed}", pointer=f"/{needed}")
        for name in ("chunk_id", "rank", "rating", "text", "outcome"):
            if name != needed and name not in allowed and getattr(self, name) is not None:
                raise InvalidRequest(
                    f"a {self.kind} has no {name}: leave it out, or send it as {_kinds_with(name)}", pointer=f"/{name}"
                )
        if self.rank is not None and self.chunk_id is None:
            raise InvalidRequest("rank is that of a chunk: name its chunk_id, or leave rank out", pointer="/rank")
        return GivenFeedback(
            subject=subject,
            id=getattr(self, subject),
            kind=self.kind,
            chunk_id=self.chunk_id,
            rank=self.rank,
            rating=self.rating,
            text=self.text,
            outcome=self.outcome,
            key_id=key_id,
        )

    def _subject(self) -> Subject:
        given = [subject for subject in Subject if getattr(self, subject) is not None]
        if not given:
            raise InvalidRequest("say what it is about: give query_id, answer_id or triage_id", pointer="/query_id")
        if len(given) > 1:
            raise InvalidRequest(
                f"feedback is about one thing: leave out {' or '.join(given[:-1])}, or {given[-1]}",
                pointer=f"/{given[1]}",
            )
        return given[0]


def _kinds_with(name: str) -> str:
    kinds = [kind.value for kind, (needed, allowed) in _FIELDS.items() if name == needed or name in allowed]
    return " or ".join(kinds)


class FeedbackModel(Reply):
    """Feedback as it is kept."""

    feedback_id: str
    trace_id: str = Field(description="`GET /v1/traces/{trace_id}` shows what it is about")
    kind: Kind
    chunk_id: str | None
    rank: int | None = Field(description="from 1; of an answer: its sources first, then what it was written from")
    rating: Rating | None
    text: str | None = Field(description="masked; null where the settings keep no words")
    outcome: str | None
    key_id: str | None
    at: datetime

    @classmethod
    def of(cls, record: FeedbackRecord) -> FeedbackModel:
        return cls(
            feedback_id=record.id,
            trace_id=record.trace_id,
            kind=Kind(record.kind),
            chunk_id=record.chunk_id,
            rank=record.rank,
            rating=None if record.rating is None else Rating(record.rating),
            text=record.text,
            outcome=record.outcome,
            key_id=record.key_id,
            at=record.at,
        )


class FeedbackPage(Reply):
    """Feedback, newest first; `next_cursor` is null on the last page."""

    feedback: list[FeedbackModel]
    next_cursor: str | None


class FeedbackParameters(Request):
    """Which feedback, and which page of it."""

    kind: Kind | None = None
    rating: Rating | None = None
    trace_id: str | None = Field(None, max_length=64)
    since: AwareDatetime | None = Field(None, description="from this moment on")
    until: AwareDatetime | None = Field(None, description="before this moment")
    cursor: Cursor | None = None
    limit: int = Field(50, ge=1, le=MAX_PAGE)

    def filter_of(self) -> FeedbackFilter:
        return FeedbackFilter(self.kind, self.rating, self.trace_id, self.since, self.until)
