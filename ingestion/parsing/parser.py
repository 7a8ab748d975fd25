"""The door to parsing: one document in, its normalised text or a coded rejection out."""

from __future__ import annotations

import queue
from types import TracebackType

from ingestion.corpus.records import DocumentSource, ParsedDocument
from ingestion.errors import DocumentRejected, RejectionCode
from ingestion.parsing.sandbox import ParserProcess
from ingestion.settings import ParsingSettings

parser_version: str = "parser-2"
"""Changes whenever the same bytes could be read differently."""

_BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe"


class DocumentParser:
    """Reads documents in child processes with limits; threads may share it. Close it, or use it in `with`.

    The processes start with the first document and stay for the next ones.
    """

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._idle: queue.LifoQueue[ParserProcess] = queue.LifoQueue()
        for _ in range(settings.processes):
            self._idle.put(ParserProcess(settings))

    def parse(self, source: DocumentSource) -> ParsedDocument:
        """The document's normalised text and elements.

        Raises:
            DocumentRejected: it cannot be read; `reason` says why, `detail` how to mend it. Others are not affected.
            BackendUnavailable: no parser process could be started.
        """
        if not source.data.strip().strip(_BYTE_ORDER_MARKS).strip():
            what = "holds nothing but white space" if source.data else "is empty"
            raise DocumentRejected(RejectionCode.EMPTY, f"The file {what}. Upload one that has content.")
        if len(source.data) > self._settings.max_bytes:
            raise DocumentRejected(
                RejectionCode.TOO_LARGE,
                f"The file has {len(source.data):,} bytes, more than the {self._settings.max_bytes:,} allowed."
                " Split it, or raise PLUMBLINE_PARSING__MAX_BYTES.",
            )
        process = self._idle.get()
        answered = False
        try:
            document = process.parse(source)
            answered = True
            return document
        except DocumentRejected:
            answered = True
            raise
        finally:
            if not answered:
                process.kill()  # interrupted half-way, its answer would pass for the next document's
            self._idle.put(process)

    def close(self) -> None:
        """Ends the child processes, after the documents that are being read."""
        processes = [self._idle.get() for _ in range(self._settings.processes)]
        for process in processes:
            process.close()
            self._idle.put(process)

    def __enter__(self) -> DocumentParser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
