"""Corpora, documents and comparisons for the tests of what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from ingestion.corpus import tables
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.corpus.scope import Scope, TenantId
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Outcome, Pipeline
from ingestion.settings import Settings

SCOPE = Scope(TenantId("default"))


@dataclass(frozen=True, slots=True)
class Bench:
    """A corpus with a pipeline into it."""

    corpus: Corpus
    pipeline: Pipeline

    def ingest(self, *sources: DocumentSource, scope: Scope = SCOPE) -> list[Outcome]:
        """Outcomes in the order of the sources."""
        return sorted(self.pipeline.ingest(scope, sources), key=lambda outcome: outcome.position)


def settings_for(data_dir: Path, models_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, models_dir=models_dir)


@contextmanager
def open_bench(settings: Settings) -> Iterator[Bench]:
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        yield Bench(corpus, Pipeline(corpus, parser))


def markdown(name: str, text: str, **attributes: object) -> DocumentSource:
    """A Markdown document with the name as its id."""
    return DocumentSource(
        id=DocumentId(name),
        uri=f"{name}.md",
        name=f"{name}.md",
        data=text.encode(),
        **attributes,  # type: ignore[arg-type]
    )


def stored(corpus: Corpus, scope: Scope = SCOPE) -> dict[str, object]:
    """Everything a corpus holds of a tenant, without times: equal for two corpora that hold the same."""
    with corpus.database.connect() as connection:
        documents = connection.execute(
            select(
                tables.documents.c.key,
                tables.documents.c.uri,
                tables.documents.c.title,
                tables.documents.c.version,
                tables.documents.c.chunk_count,
                tables.documents.c.status,
            ).where(tables.documents.c.tenant == scope.tenant)
        ).all()
        versions = connection.execute(
            select(tables.versions.c.document_key, tables.versions.c.version, tables.versions.c.state)
        ).all()
        chunks = connection.execute(select(tables.chunks.c.id, tables.chunks.c.text)).all()
    return {
        "documents": _as_set(documents),
        "versions": _as_set(versions),
        "chunks": _as_set(chunks),
        "points": set(corpus.writer.points(scope)),
    }


def _as_set(rows: Iterable[object]) -> set[tuple[object, ...]]:
    return {tuple(row) for row in rows}  # type: ignore[arg-type]
