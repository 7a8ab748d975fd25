"""How an item of a source becomes a document: its id, where it is filed, and when it must be filed anew."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from ingestion.corpus.records import (
    DocumentDraft,
    DocumentId,
    DocumentKey,
    DocumentSource,
    document_id_for,
    document_key,
)
from ingestion.corpus.scope import Scope
from ingestion.parsing import parser_version
from ingestion.pipeline import draft_of
from ingestion.sources.definitions import SourceDefinition
from ingestion.sources.origin import Fetched

# What decides which items there are, or when to look, and nothing about any of them.
_OF_THE_SCAN = frozenset({"include", "exclude", "watch", "max_pages", "delay_s"})
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Filing:
    """The documents of one source. `generation` names the one that is active."""

    scope: Scope
    definition: SourceDefinition
    generation: str

    def document_id(self, key: str) -> DocumentId:
        """Id of an item: the same source and key give the same one."""
        return item_id(self.definition, key)

    def document_key(self, id_: DocumentId) -> DocumentKey:
        return document_key(self.scope.tenant, self.definition.collection, id_)

    def document(self, item: Fetched) -> DocumentSource:
        """What is known of the item itself outranks what the definition says of all of them."""
        found = item.document
        return DocumentSource(
            id=self.document_id(item.key),
            uri=found.uri,
            name=found.name,
            data=found.data,
            title=found.title,
            collection=self.definition.collection,
            source=self.definition.id,
            labels=self.definition.labels,
            metadata={**self.definition.metadata, **found.metadata},
            media_type=found.media_type,
            modified_at=found.modified_at,
        )

    def draft(self, document: DocumentSource) -> DocumentDraft:
        """What the document's version is in that generation, known without parsing it."""
        return draft_of(self.scope, document, datetime.now(UTC), self.generation)

    def mark(self) -> str:
        """12 hex digits that change if documents must be filed anew though their content did not change."""
        definition = self.definition.model_dump(mode="json", exclude={"interval_s"})
        definition["origin"] = {name: value for name, value in definition["origin"].items() if name not in _OF_THE_SCAN}
        return self._digest(definition)

    def scan_mark(self) -> str:
        """12 hex digits that change if another scan may find other items, or other documents in them."""
        return self._digest(self.definition.model_dump(mode="json", exclude={"interval_s"}))

    def _digest(self, definition: dict[str, object]) -> str:
        facts = json.dumps([definition, parser_version], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:12]


def item_id(definition: SourceDefinition, key: str) -> DocumentId:
    """Id of the document that a source makes of the item with that key."""
    return document_id_for(f"{definition.origin.kind}\0{definition.id}", key)


def marked(mark: str, revision: str | None) -> str | None:
    """A revision, or a token, as it is stored: with the mark under which it holds."""
    return None if revision is None else f"{mark}{_SEPARATOR}{revision}"


def unmarked(mark: str, stored: str | None) -> str | None:
    """What was stored, or None if it was stored under another mark."""
    start = f"{mark}{_SEPARATOR}"
    return stored.removeprefix(start) if stored is not None and stored.startswith(start) else None
