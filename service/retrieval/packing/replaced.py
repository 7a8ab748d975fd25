"""Which found documents were replaced by others, and by which: as their facts, titles and first words say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingestion.corpus.records import Document, DocumentKey, Metadata, MetadataValue

_STATES = frozenset(
    {"superseded", "deprecated", "obsolete", "retired", "replaced", "outdated", "archived", "withdrawn"}
)
_STATED = re.compile(
    r"\bstatus\W{1,6}(superseded|deprecated|obsolete|retired|replaced|outdated|archived|withdrawn)\b"
    r"|\bthis (?:document|page|runbook|article|policy) (?:is|was|has been) "
    r"(superseded|deprecated|obsolete|retired|replaced|outdated|archived|withdrawn)\b",
    re.IGNORECASE,
)
_BY = re.compile(
    r"\b(?:superseded|replaced|deprecated|retired|obsolete)\b[^.\n]{0,60}?\b(?:by|see|use)\b[ :]*"
    r"(?:\[([^\]\n]{1,200})\]\(([^)\s]{1,300})\)|`([^`\n]{1,200})`|([\w./-]{3,200}))",
    re.IGNORECASE,
)
_REPLACED_BY = ("superseded_by", "replaced_by", "superseded-by", "replaced-by")
_REPLACES = ("supersedes", "replaces")


@dataclass(frozen=True, slots=True)
class Replaced:
    """`by` is the found document that took the place, if it was found; `note` tells a reader."""

    note: str
    named: bool
    by: DocumentKey | None = None


def find_replaced(documents: Iterable[Document], openings: Mapping[DocumentKey, str]) -> dict[DocumentKey, Replaced]:
    """The replaced ones of the documents. A document takes the place of another if it is named by that one, or names
    it. Two that name each other replace neither."""
    found = {document.key: document for document in documents}
    replacing = [(other, names) for other in found.values() if (names := _values(other.metadata, _REPLACES))]
    replaced = {}
    for document in found.values():
        names = _names_of_successors(document, openings.get(document.key, ""))
        others = found.values() if names else ()
        by = next((other for other in others if other.key != document.key and _is_named(other, names)), None)
        by = by or next(
            (other for other, olds in replacing if other.key != document.key and _is_named(document, olds)), None
        )
        if by is not None:
            replaced[document.key] = Replaced(f"superseded by {by.title}", True, by.key)
        elif names:
            replaced[document.key] = Replaced(f"superseded by {names[0]}", True)
        elif state := _state(document, openings.get(document.key, "")):
            replaced[document.key] = Replaced(f"marked as {state}", False)
    return {key: entry for key, entry in replaced.items() if not _is_mutual(key, replaced)}


def _is_mutual(key: DocumentKey, replaced: Mapping[DocumentKey, Replaced]) -> bool:
    by = replaced[key].by
    return by is not None and by in replaced and replaced[by].by == key


def _names_of_successors(document: Document, opening: str) -> list[str]:
    names = _values(document.metadata, _REPLACED_BY)
    if not names and _STATED.search(opening) and (by := _BY.search(opening)):
        names = [name for name in (by.group(2), by.group(1), by.group(3), by.group(4)) if name]
    return names


def _values(metadata: Metadata, keys: Sequence[str]) -> list[str]:
    values: list[MetadataValue | None] = [metadata.get(key) for key in keys]
    flat = (entry for value in values for entry in (value if isinstance(value, list) else [value]))
    return [entry.strip() for entry in flat if isinstance(entry, str) and entry.strip()]


def _state(document: Document, opening: str) -> str | None:
    if state := _stated(document.metadata.get("status")):
        return state
    if titled := re.search(r"[\[(](" + "|".join(sorted(_STATES)) + r")[\])]", document.title, re.IGNORECASE):
        return titled.group(1).casefold()
    if found := _STATED.search(opening):
        return (found.group(1) or found.group(2)).casefold()
    return None


def _stated(status: MetadataValue | None) -> str | None:
    """The state, if the value begins with one that means replaced: `Deprecated since 2024`."""
    word = re.match(r"\W*(\w+)", status) if isinstance(status, str) else None
    return word.group(1).casefold() if word and word.group(1).casefold() in _STATES else None


def _is_named(document: Document, names: Sequence[str]) -> bool:
    """Whether a name is the document's id, uri, title, or the end of its path, with or without the suffix."""
    for name in names:
        end = name.removeprefix("./").lstrip("/").removeprefix("../")
        if name in (document.id, document.uri) or name.casefold() == document.title.casefold():
            return True
        for place in (document.id, document.uri):
            stem = place.rpartition(".")[0] if "." in place.rpartition("/")[2] else place
            if f"/{place}".endswith(f"/{end}") or f"/{stem}".endswith(f"/{end}"):
                return True
    return False
