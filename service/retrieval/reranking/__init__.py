"""The second look at the best candidates: one protocol, three rerankers, and a budget that no search waits past."""
