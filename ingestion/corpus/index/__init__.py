"""The vector index: one protocol, two Qdrant engines (Edge in the process, a server over the wire)."""
