"""Which document a row of a table is."""

from __future__ import annotations

from ingestion.corpus.records import DocumentId
from ingestion.sources.definitions import SourceDefinition
from ingestion.sources.sql.rows import key_of
from ingestion.syncing.filing import item_id


def document_id_of_row(definition: SourceDefinition, key: object) -> DocumentId:
    """Id of the document that a source of kind `sql` makes of the row with that key, as the database gives it."""
    return item_id(definition, key_of(key).name)
