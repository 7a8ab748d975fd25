"""Documents for the tests of parsing and chunking, and what has to hold for every one of them."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.corpus.records import Chunk, DocumentId, DocumentSource, ElementKind, ParsedDocument


def document_source(
    name: str, data: bytes | str, *, media_type: str | None = None, title: str | None = None
) -> DocumentSource:
    content = data.encode() if isinstance(data, str) else data
    return DocumentSource(DocumentId(name), name, name, content, media_type=media_type, title=title)


def blocks_of(document: ParsedDocument) -> list[tuple[str, str]]:
    """Kind and text of each element."""
    return [(element.kind.value, element.span.of(document.text)) for element in document.elements]


def code_of(document: ParsedDocument) -> list[str]:
    return [element.span.of(document.text) for element in document.elements if element.kind is ElementKind.CODE]


def assert_well_formed(document: ParsedDocument) -> None:
    """Elements in order, disjoint, not empty, within the text and covering all that is visible in it."""
    position = 0
    for element in document.elements:
        assert position <= element.span.start < element.span.end <= len(document.text)
        assert not document.text[position : element.span.start].strip()
        assert (1 <= element.level <= 6) if element.kind is ElementKind.HEADING else element.level == 0
        position = element.span.end
    assert not document.text[position:].strip()
    assert document.title.strip()


def assert_chunked(document: ParsedDocument, chunks: Sequence[Chunk], hard_max_tokens: int) -> None:
    """Chunks are exact quotations, in order, disjoint, within the limit and cover all that is visible."""
    position = 0
    for number, chunk in enumerate(chunks):
        assert chunk.position == number
        assert document.text[chunk.span.start : chunk.span.end] == chunk.text
        assert position <= chunk.span.start < chunk.span.end
        assert not document.text[position : chunk.span.start].strip()
        assert chunk.text.strip()
        assert chunk.tokens <= hard_max_tokens
        assert chunk.kinds
        position = chunk.span.end
    assert not document.text[position:].strip()


def characters_in_fours(texts: Sequence[str]) -> list[int]:
    """A stand-in for a tokenizer: about as many tokens as one makes of English."""
    return [len(text) // 4 + 1 for text in texts]
