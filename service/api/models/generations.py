"""`/v1/generations`: the indexes that are kept, and which one is searched."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ingestion.corpus.versions import GenerationState
from ingestion.rebuilding import GenerationStatus
from service.api.models.fields import Reply


class GenerationModel(Reply):
    """All documents as one embedding model and one chunker made them."""

    name: str = Field(description="the `index_version` of a search")
    state: GenerationState = Field(
        description="`active` is searched; `standby` was, and `left` was until someone went back from it"
    )
    wanted: bool = Field(description="whether it is the one that the settings ask for")
    missing: int = Field(description="documents that are not in it, or not as they are now")
    embedder: str
    dimension: int
    chunker: str
    created_at: datetime | None
    activated_at: datetime | None = Field(description="when it was last made the active one")

    @classmethod
    def of(cls, status: GenerationStatus) -> GenerationModel:
        generation = status.generation
        return cls(
            name=generation.name,
            state=generation.state,
            wanted=status.wanted,
            missing=status.missing,
            embedder=generation.embedder,
            dimension=generation.dimension,
            chunker=generation.chunker,
            created_at=generation.created_at,
            activated_at=generation.activated_at,
        )


class GenerationList(Reply):
    """Newest first."""

    generations: list[GenerationModel]
