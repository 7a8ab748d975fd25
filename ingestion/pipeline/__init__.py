"""Documents into the corpus: parse, chunk, embed, index, publish. Idempotent; knows no queue."""

from ingestion.pipeline.batches import BATCH_CHUNKS, embedding_text
from ingestion.pipeline.drafts import draft_of, stated_date
from ingestion.pipeline.outcomes import Outcome, OutcomeStatus
from ingestion.pipeline.pipeline import Pipeline, Run

__all__ = ["BATCH_CHUNKS", "Outcome", "OutcomeStatus", "Pipeline", "Run", "draft_of", "embedding_text", "stated_date"]
