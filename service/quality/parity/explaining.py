"""Why a row that LIKE found was not found by exact search."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.literal import fold
from ingestion.corpus.records import Document, DocumentId
from ingestion.corpus.scope import Scope
from ingestion.errors import Conflict, NotFound
from service.quality.parity.records import Missing, Reason

_INVISIBLE = ("C", "Z")
"""Unicode categories of control, format and separating characters."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Looks at the documents of one corpus. `failures`: why rows could not be ingested, by their document."""

    corpus: Corpus
    scope: Scope
    collection: str
    failures: Mapping[DocumentId, str]

    def explain(self, query: str, key: object, ids: Sequence[DocumentId], row: Mapping[str, Any] | None) -> Missing:
        """Why the row is missing. `ids`: what its document may be called; `row`: its columns, None if it is gone.

        A missing row is never called explained because an explanation is thinkable: the document must bear it out.
        """
        name = str(key)
        document = self._document(ids)
        if document is None:
            return self._without_document(name, ids)
        if row is None:
            return Missing(name, Reason.CHANGED, "the row was deleted meanwhile")
        content = self.corpus.get_content(self.scope, document.id, self.collection).text
        stored = f"{document.title}\n{content}"
        if fold(query) in fold(stored):
            return Missing(name, Reason.UNEXPLAINED)
        texts = [value for value in row.values() if isinstance(value, str)]
        if not any(fold(query) in fold(text) for text in texts):
            return Missing(name, self._not_in_a_text(query, texts, row))
        if bare(query) in bare(stored):
            return Missing(name, Reason.NORMALISED)
        if _is_unchanged(document, row.values()):
            return Missing(name, Reason.UNEXPLAINED, "the row is as it was ingested, but its document lacks the string")
        return Missing(name, Reason.CHANGED)

    def _document(self, ids: Sequence[DocumentId]) -> Document | None:
        for id_ in ids:
            try:
                return self.corpus.get_document(self.scope, id_, self.collection)
            except NotFound:
                continue
        return None

    def _without_document(self, name: str, ids: Sequence[DocumentId]) -> Missing:
        for id_ in ids:
            if id_ in self.failures:
                return Missing(name, Reason.NOT_INGESTED, self.failures[id_])
            try:
                elsewhere = self.corpus.get_document(self.scope, id_).collection
            except NotFound:
                continue
            except Conflict:
                return Missing(name, Reason.OTHER_COLLECTION)
            return Missing(name, Reason.OTHER_COLLECTION, elsewhere)
        return Missing(name, Reason.NOT_INGESTED)

    def _not_in_a_text(self, query: str, texts: Collection[str], row: Mapping[str, Any]) -> Reason:
        """Nothing that is a text holds the string: then LIKE saw it in a collation, or in what is no text."""
        if any(_base(query) in _base(text) for text in texts):
            return Reason.COLLATION
        others = any(value is not None and not isinstance(value, str) for value in row.values())
        return Reason.NOT_TEXT if others else Reason.COLLATION


def bare(text: str) -> str:
    """The text without case, blanks and what can't be seen."""
    return "".join(char for char in fold(text) if not unicodedata.category(char).startswith(_INVISIBLE))


def _base(text: str) -> str:
    """The text without case, width and accents."""
    decomposed = unicodedata.normalize("NFKD", fold(text))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _is_unchanged(document: Document, values: Collection[Any]) -> bool:
    """Whether the document was made of these columns as they are now, as a source of kind `sql` makes it."""
    parts = [text for value in values if (text := _text(value)).strip()]
    data = "\n\n".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(data).hexdigest() == document.content_sha256


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.replace("\0", "")
        case date() | time():
            return value.isoformat()
    return str(value)
