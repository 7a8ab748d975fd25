"""A few short queries out of a long noisy ticket, log or stack trace, by rules and without a model."""

from service.retrieval.distilling.distiller import MAX_QUERIES, MAX_QUERY_CHARACTERS, distill

__all__ = ["MAX_QUERIES", "MAX_QUERY_CHARACTERS", "distill"]
