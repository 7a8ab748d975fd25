"""From a parsed document to chunks. Parsing comes before, embedding after; neither is known here."""

from ingestion.chunking.chunker import Chunker, outline

__all__ = ["Chunker", "outline"]
