"""What a generation is made of, and the names that follow from it: of the generation, and of what is stored in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingestion.corpus.records import VersionId
from ingestion.settings import ChunkingSettings, EmbedderSettings

INDEX_SCHEMA = 1
"""Raise when the payload or the vectors of a point change: older indexes then can't be served."""
CHUNKER_REVISION = 2
"""Raise when the chunker cuts the same document differently under the same settings: the corpus is then cut anew."""

CONTENT_DIGITS = 16
"""Of the 24 digits of a version these say what was read, the others in which generation it is stored."""

_OPERATION = frozenset({"api_key", "batch_size", "threads", "timeout_s"})
"""Settings of an embedder that change nothing about its vectors."""


class GenerationState(StrEnum):
    """`active` is the one that is searched. `standby` and `left` are whole but for what changed since: one can go
    back to them, and `left` says that someone went back from it, so that it does not come again by itself.
    """

    BUILDING = "building"
    ACTIVE = "active"
    STANDBY = "standby"
    LEFT = "left"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Generation:
    """One vector space with the documents in it: all were cut by the same chunker and encoded by the same embedder
    and lexical encoder, and lie in an index of that name.

    `fingerprint` is the embedder's as `plan_embedder` gives it. `chunker` is empty, and the settings are None, in
    catalogues of a program that kept a single generation.
    """

    name: str
    embedder: str
    dimension: int
    lexical: str
    fingerprint: str
    chunker: str = ""
    embedder_settings: Mapping[str, Any] | None = None
    chunking_settings: Mapping[str, Any] | None = None
    state: GenerationState = GenerationState.ACTIVE
    created_at: datetime | None = None
    activated_at: datetime | None = None

    @property
    def parts(self) -> tuple[str, int, str, str]:
        """What makes it this generation and no other."""
        return self.embedder, self.dimension, self.lexical, self.chunker


def generation_name(embedder: str, dimension: int, lexical: str, chunker: str) -> str:
    """Name of the generation that these parts make: `v1-` and 12 hex digits; the same parts, the same name."""
    digest = hashlib.sha256(f"{embedder}\0{dimension}\0{lexical}\0{chunker}".encode()).hexdigest()[:12]
    return f"v{INDEX_SCHEMA}-{digest}"


def chunker_version(settings: ChunkingSettings) -> str:
    """Changes whenever the same document could be cut differently."""
    facts = f"{CHUNKER_REVISION}:{settings.model_dump_json()}"
    return f"structure-{CHUNKER_REVISION}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}"


def version_in(generation: str, version: str) -> VersionId:
    """The version of the same content in that generation: versions of different generations differ, and their first
    CONTENT_DIGITS tell whether they hold the same.
    """
    return VersionId(content_of(version) + hashlib.sha256(generation.encode()).hexdigest()[:8])


def content_of(version: str) -> str:
    """The part of a version that is the same in every generation."""
    return version[:CONTENT_DIGITS]


def remembered(settings: EmbedderSettings) -> dict[str, Any]:
    """What is stored of an embedder's settings: nothing secret, and nothing that belongs to the machine."""
    return settings.model_dump(mode="json", exclude=set(_OPERATION))


def recalled(stored: Mapping[str, Any], present: EmbedderSettings) -> EmbedderSettings:
    """The settings of an embedder as they were; how it is run comes from the present ones.

    So does the key, for the same endpoint only: no other is to see it.
    """
    same_endpoint = (stored.get("provider"), stored.get("base_url")) == (present.provider, present.base_url)
    operation = present.model_dump(include=set(_OPERATION) - {"api_key"})
    known = {name: value for name, value in stored.items() if name in EmbedderSettings.model_fields}
    key = present.api_key if same_endpoint else None
    return EmbedderSettings.model_validate({**known, **operation, "api_key": key})
