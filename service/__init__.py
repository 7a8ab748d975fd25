"""Everything that answers: search, context packs, cited answers, and the record of how good they were."""
