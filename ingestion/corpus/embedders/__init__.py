"""The embedders behind `ingestion.corpus.embedding`: where weights come from, and how text becomes vectors."""
