"""From a parsed document to chunks. Parsing comes before, embedding after; neither is known here."""

from ingestion.chunking.chunker import Chunker, chunker_for, outline

__all__ = ["Chunker", "chunker_for", "outline"]
