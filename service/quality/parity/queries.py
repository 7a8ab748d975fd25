"""The old queries: one a line, JSON Lines with `query`, or CSV with a column `query`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from ingestion.errors import ConfigurationError
from service.retrieval.query import MAX_QUERY_BYTES

_COLUMN = "query"


def load_queries(path: Path) -> tuple[str, ...]:
    """The queries of a file, each once, in its order; blank lines are no queries.

    Raises: ConfigurationError that names the file and the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # as it is: quoted fields may hold line ends
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            found = _from_json(path, text)
        case ".csv" | ".tsv":
            found = _from_csv(path, text)
        case _:
            # Not `splitlines`: what else it takes for the end of a line may stand in a query.
            found = iter(text.split("\n"))
    queries = tuple(dict.fromkeys(query.rstrip("\r") for query in found if query.strip()))
    if not queries:
        raise ConfigurationError(f"{path} holds no query: write one a line, or `.jsonl` or `.csv` with `query`")
    return queries


def objection(query: str) -> str | None:
    """Why search can't take a query that LIKE could; None if it can."""
    if len(query.encode("utf-8", "surrogatepass")) > MAX_QUERY_BYTES:
        return f"longer than {MAX_QUERY_BYTES} bytes"
    return "holds a NUL character, which no database takes" if "\0" in query else None


def _from_json(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path}, line {number} is not JSON: {error}") from error
        query = entry.get(_COLUMN) if isinstance(entry, dict) else None
        if not isinstance(query, str):
            raise ConfigurationError(f'{path}, line {number}: write {{"query": "…"}}')
        yield query


def _from_csv(path: Path, text: str) -> Iterator[str]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        rows = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
        if _COLUMN not in (rows.fieldnames or ()):
            raise ConfigurationError(f"{path} has no column {_COLUMN!r}; it has {', '.join(rows.fieldnames or ())}")
        for row in rows:
            yield row[_COLUMN] or ""
    except csv.Error as error:
        raise ConfigurationError(f"{path}: not CSV: {error}") from error
