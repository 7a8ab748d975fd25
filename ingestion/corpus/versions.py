"""What a vector space is made of, and its name: an index holds exactly one generation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

INDEX_SCHEMA = 1
"""Raise when the payload or the vectors of a point change: older indexes then can't be served."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One vector space. Everything in an index of that name was encoded by the same embedder and lexical encoder.

    `fingerprint` is the embedder's as `plan_embedder` gives it.
    """

    name: str
    embedder: str
    dimension: int
    lexical: str
    fingerprint: str


def generation_name(embedder: str, dimension: int, lexical: str) -> str:
    """Name of the generation that these parts make: `v1-` and 12 hex digits; the same parts, the same name."""
    digest = hashlib.sha256(f"{embedder}\0{dimension}\0{lexical}".encode()).hexdigest()[:12]
    return f"v{INDEX_SCHEMA}-{digest}"


def pipeline_version(parser: str, chunker: str) -> str:
    """What a document version depends on besides its content: another parser or chunker reads it anew."""
    return f"{parser}/{chunker}"
