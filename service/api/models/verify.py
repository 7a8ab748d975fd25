"""`/v1/verify`: an answer that was written elsewhere, the passages it rests on, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from ingestion.corpus.records import ChunkId
from ingestion.errors import InvalidRequest
from service.api.models.answers import GroundingModel, SentenceModel
from service.api.models.common import DocumentRef, SpanModel, rounded
from service.api.models.fields import Reply, Request, text_of
from service.generation.material import GivenPassage
from service.generation.verification import MAX_NUMBER, Verification, VerificationQuery, VerifiedCitation
from service.retrieval.query import MAX_QUERY_BYTES

MAX_ANSWER_BYTES = 100_000
MAX_PASSAGES = 100
MAX_PASSAGES_BYTES = 1_000_000
MAX_ITEMS = 100
MAX_TITLE_CHARS = 1_000

EXAMPLE: dict[str, JsonValue] = {
    "answer": "Drain the host first [1]. The drain waits 30 seconds [1].",
    "passages": [{"n": 1, "text": "Drain the host before you restart it. The drain waits 120 seconds."}],
}


class PassageModel(Request):
    """A text that the answer may rest on."""

    n: int | None = Field(
        None,
        ge=1,
        le=MAX_NUMBER,
        strict=True,
        description="the number that the answer cites it by, each once; its place in the list, from 1, if not given",
    )
    text: Annotated[str, AfterValidator(text_of(MAX_PASSAGES_BYTES))]
    title: str = Field("", max_length=MAX_TITLE_CHARS, description="what it is about, or the title of its document")


class VerifyRequest(Request):
    """An answer, and either the passages that it was written from or the ids of the chunks that they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    answer: Annotated[str, AfterValidator(text_of(MAX_ANSWER_BYTES))] = Field(
        description=f"at most {MAX_ANSWER_BYTES} bytes of UTF-8; a sentence cites passages as `[1]` or `[1, 3]`, or "
        "none: then it is checked against all of them"
    )
    passages: tuple[PassageModel, ...] = Field(
        (), max_length=MAX_PASSAGES, description=f"at most {MAX_PASSAGES_BYTES} bytes of UTF-8 in all"
    )
    chunk_ids: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (),
        max_length=MAX_PASSAGES,
        description="instead of passages: chunks of the corpus, cited by their place from 1",
    )
    question: Annotated[str, AfterValidator(text_of(MAX_QUERY_BYTES))] | None = Field(
        None, description=f"what was asked, if it is known; at most {MAX_QUERY_BYTES} bytes of UTF-8"
    )

    def query_of(self) -> VerificationQuery:
        """Raises: InvalidRequest where it names nothing, both, the same twice, or too much."""
        if bool(self.passages) == bool(self.chunk_ids):
            raise InvalidRequest("give either `passages` or `chunk_ids`, at least one of them", pointer="/passages")
        for place, id_ in enumerate(self.chunk_ids):
            if id_ in self.chunk_ids[:place]:
                raise InvalidRequest("this chunk was named before: name each once", pointer=f"/chunk_ids/{place}")
        return VerificationQuery(
            answer=self.answer,
            passages=self._given(),
            chunk_ids=tuple(ChunkId(id_) for id_ in self.chunk_ids),
            question=self.question or "",
        )

    def _given(self) -> tuple[GivenPassage, ...]:
        found: dict[int, GivenPassage] = {}
        size = 0
        for place, passage in enumerate(self.passages):
            n = passage.n or place + 1
            if n in found:
                raise InvalidRequest(f"{n} is the number of an earlier passage", pointer=f"/passages/{place}/n")
            size += len(passage.text.encode())
            if size > MAX_PASSAGES_BYTES:
                detail = f"all passages together may have at most {MAX_PASSAGES_BYTES} bytes of UTF-8"
                raise InvalidRequest(detail, pointer=f"/passages/{place}/text")
            found[n] = GivenPassage(n, passage.text, (passage.title,) if passage.title.strip() else ())
        return tuple(found.values())


def _id(given: Any) -> Any:
    if given is None or (isinstance(given, str | int) and not isinstance(given, bool) and len(str(given)) <= 512):
        return given
    raise PydanticCustomError("item_id", "must be a string of at most 512 characters, or a whole number")


class VerifyItem(VerifyRequest):
    """One answer of a batch. `id` is the caller's, and comes back with the verdict."""

    id: Annotated[str | int | None, BeforeValidator(_id)] = None


class VerifyBatch(Request):
    """Up to 100 answers. Each is checked by itself: one that is not valid never fails the others."""

    items: list[VerifyItem] = Field(min_length=1, max_length=MAX_ITEMS)


class VerifyEnvelope(Request):
    """A batch whose items are not checked yet."""

    items: list[Any] = Field(min_length=1, max_length=MAX_ITEMS)


class VerifiedCitationModel(Reply):
    """What passage `n` says for, or against, the sentences at these places (from 0) of `sentences`.

    `quote` is exactly `text[span.start:span.end]`, where text is that of the given passage; of a chunk, that of its
    document's content.
    """

    n: int
    quote: str
    span: SpanModel
    sentences: list[int]
    document: DocumentRef | None = Field(description="null for a passage that was given as text")
    chunk_id: str | None

    @classmethod
    def of(cls, citation: VerifiedCitation) -> VerifiedCitationModel:
        chunk = citation.passage.chunk
        return cls(
            n=citation.passage.n,
            quote=citation.quote,
            span=SpanModel.of(citation.span),
            sentences=list(citation.sentences),
            document=None if chunk is None else DocumentRef.of(chunk.document),
            chunk_id=None if chunk is None else chunk.id,
        )


class VerifyResponse(Reply):
    """The verdict on each sentence and on the whole; `citations` of sentences are the numbers of the passages."""

    sentences: list[SentenceModel]
    grounding: GroundingModel | None = Field(description="null for a text without any sentence")
    citations: list[VerifiedCitationModel]
    unknown_citations: list[int] = Field(description="numbers that the answer cites and no passage has")
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, verification: Verification, timings_ms: Mapping[str, float]) -> VerifyResponse:
        grounding = verification.grounding
        return cls(
            sentences=[SentenceModel.of(sentence) for sentence in verification.sentences],
            grounding=None if grounding is None else GroundingModel.of(grounding),
            citations=[VerifiedCitationModel.of(citation) for citation in verification.citations],
            unknown_citations=list(verification.unknown),
            timings_ms=rounded(timings_ms),
        )


class ItemError(Reply):
    """Why an item was not verified."""

    code: str
    detail: str
    pointer: str | None = Field(description="JSON pointer into the item")


class VerifiedItem(Reply):
    """The verdict on one item of a batch, or why there is none; exactly one of the two."""

    id: str | int | None
    result: VerifyResponse | None
    error: ItemError | None


class VerifyBatchResponse(Reply):
    """The items in the order in which they came."""

    items: list[VerifiedItem]
    timings_ms: dict[str, float]
