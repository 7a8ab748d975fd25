"""The vector index: one protocol, two Qdrant engines (Edge in the process, a server over the wire)."""

from ingestion.corpus.index.opening import index_name, open_engine

__all__ = ["index_name", "open_engine"]
