"""Judged collections in the form of BEIR: a folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`, each also
gzipped. Building a corpus from one is the matter of `building`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.errors import ConfigurationError
from service.quality.golden import GoldenCase, explain

_MARKED_UP = {".md": "text/markdown", ".html": "text/html"}
_HEADS = ("query-id", "query_id")


@dataclass(frozen=True, slots=True)
class JudgedFolder:
    """Where the three files of a collection are; `name` is the folder's, or the prefix of its files."""

    name: str
    corpus: Path
    queries: Path
    qrels: Path

    def digest(self) -> str:
        """SHA-256 of the documents, whether they are compressed or not."""
        digest = hashlib.sha256()
        for _, line in _lines(self.corpus):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def documents(self) -> Iterator[DocumentSource]:
        """The documents with any text, in their order. The end of an id tells the format: plain text if it tells none.

        Raises: ConfigurationError that names the file and the line.
        """
        for number, row in _rows(self.corpus):
            id_, title = _id(self.corpus, number, row), str(row.get("title") or "")
            text = str(row.get("text") or "") or title
            if not text.strip():
                continue
            suffix = PurePosixPath(id_).suffix.lower()
            yield DocumentSource(
                id=DocumentId(id_),
                uri=id_,
                name=f"document{suffix if suffix in _MARKED_UP else '.txt'}",
                title=title or None,
                data=text.encode(errors="replace"),
                media_type=_MARKED_UP.get(suffix, "text/plain"),
                source=self.name,
            )


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """The queries of a collection as cases; `unjudged` have no relevant document and are not said to have none."""

    cases: tuple[GoldenCase, ...]
    unjudged: int


def find_folder(path: Path) -> JudgedFolder | None:
    """The collection at a folder, or at a folder and the prefix of its files (`answers/clapnq`); None if there is
    none.
    """
    if not path.is_dir():
        return _named(path.parent, path.name, f"{path.name}_") if path.parent.is_dir() else None
    if found := _named(path, path.resolve().name, ""):
        return found
    prefixes = sorted({file.name.partition("corpus.jsonl")[0] for file in path.glob("*_corpus.jsonl*")})
    return _named(path, prefixes[0].rstrip("_"), prefixes[0]) if len(prefixes) == 1 else None


def load_queries(folder: JudgedFolder) -> JudgedQueries:
    """The cases of a collection. A query that says `"answerable": false` and has no relevant document must be refused.

    Raises: ConfigurationError that names the file and the line: unreadable, not JSON, a wrong field, an id twice, a
        grade that is no whole number, a judgement of a query that is not there.
    """
    judged = _judgements(folder.qrels)
    cases: list[GoldenCase] = []
    first_line: dict[str, int] = {}
    unjudged = 0
    for number, row in _rows(folder.queries):
        place = f"{folder.queries}:{number}"
        id_ = _id(folder.queries, number, row)
        if id_ in first_line:
            raise ConfigurationError(f"{place}: the id {id_!r} is already on line {first_line[id_]}")
        first_line[id_] = number
        relevant = {name: grade for name, grade in judged.get(id_, {}).items() if grade > 0}
        must_refuse = row.get("answerable") is False and not relevant
        if not relevant and not must_refuse:
            unjudged += 1
            continue
        cases.append(_case(place, id_, row.get("text"), relevant, must_refuse=must_refuse))
    strangers = sorted(judged.keys() - first_line.keys())
    if strangers:
        raise ConfigurationError(f"{folder.qrels}: the query {strangers[0]!r} is not in {folder.queries.name}")
    if not cases:
        raise ConfigurationError(f"{folder.qrels}: no query has a relevant document")
    return JudgedQueries(tuple(cases), unjudged)


def _case(place: str, id_: str, text: object, relevant: Mapping[str, int], *, must_refuse: bool) -> GoldenCase:
    grades = {name: grade for name, grade in relevant.items() if grade != 1}
    try:
        return GoldenCase.model_validate(
            {
                "id": id_,
                "question": text,
                "relevant_documents": tuple(relevant),
                "grades": grades,
                "must_refuse": must_refuse,
            }
        )
    except ValidationError as error:
        raise ConfigurationError(f"{place}: {explain(error)}") from error


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    """Query to document to grade."""
    found: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        parts = line.split("\t")
        if not line.strip() or (number == 1 and parts[0].strip() in _HEADS):
            continue
        if len(parts) != 3:
            raise ConfigurationError(f"{path}:{number}: not three columns (query, document, grade) apart by tabs")
        try:
            found.setdefault(parts[0], {})[parts[1]] = int(parts[2])
        except ValueError as error:
            raise ConfigurationError(f"{path}:{number}: the grade {parts[2]!r} is not a whole number") from error
    return found


def _named(folder: Path, name: str, prefix: str) -> JudgedFolder | None:
    corpus, queries = (_either(folder, f"{prefix}{part}.jsonl") for part in ("corpus", "queries"))
    qrels = _either(folder, f"{prefix}qrels.tsv") or _either(folder, "qrels/test.tsv")
    if corpus is None or queries is None or qrels is None:
        return None
    return JudgedFolder(name, corpus, queries, qrels)


def _either(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _id(path: Path, number: int, row: Mapping[str, Any]) -> str:
    id_ = row.get("id", row.get("_id"))
    if not isinstance(id_, str) or not id_:
        raise ConfigurationError(f"{path}:{number}: there is no id")
    return id_


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigurationError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigurationError(f"{path}:{number}: not a JSON object")
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, without their ends."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.decode("utf-8").rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
