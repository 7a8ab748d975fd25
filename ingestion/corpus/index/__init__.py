"""The vector index: one protocol, two Qdrant engines (Edge in the process, a server over the wire)."""

from ingestion.corpus.index.opening import drop_index, index_name, open_engine

__all__ = ["drop_index", "index_name", "open_engine"]
