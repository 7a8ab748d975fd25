"""Whether exact search finds what SQL LIKE finds, and how fast: `python -m benchmarks.literal [--needles N]`.

The films of movies_ltr go into a table of SQLite and into a corpus: parsed, cut and stored by the product, with no
vectors that mean anything. Then N strings cut at random out of titles and texts, N whole titles and N real queries
are looked for with `title LIKE '%x%' OR text LIKE '%x%'`, and with an exact search. Ends with status 1 if a film that
LIKE finds is missed, or if one is found that does not hold the string. Films without any text are no documents: those
that LIKE finds of them, by their titles, are counted apart, as `absent`. LIKE of SQLite knows no case but that of
ASCII: what is found beyond it must differ in the case of other letters alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.corpora import SCOPE, eval_data
from benchmarks.many_chunks import Cut, write
from ingestion.chunking import chunker_for
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.records import DocumentId, DocumentSource
from ingestion.errors import DocumentRejected
from ingestion.parsing import DocumentParser
from ingestion.settings import Settings
from service.retrieval.candidates import EXACT_HITS

_LENGTHS = (1, 2, 3, 4, 5, 6, 8, 12, 20, 40, 100, 250)


@dataclass(slots=True)
class Tally:
    """What became of the needles of one kind; films by their ids, times in milliseconds."""

    needles: int = 0
    rows: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    absent: int = 0
    beyond: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    like_ms: list[float] = field(default_factory=list)
    exact_ms: list[float] = field(default_factory=list)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--needles", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--data-dir", type=Path, help="data folder of a corpus that holds the films already")
    arguments.add_argument("--models", type=Path, help="folder of rebuilt models, to save a minute")
    chosen = arguments.parse_args()
    films = list(_lines("corpus"))
    with tempfile.TemporaryDirectory() as temporary, closing(_table(films)) as table:
        folder = Path(temporary)
        data, models = chosen.data_dir or folder / "data", chosen.models or folder / "models"
        settings = Settings(data_dir=data, models_dir=models)
        with open_corpus(settings) as corpus:
            if chosen.data_dir is None:
                _store(corpus, settings, films)
            rejected = len(films) - corpus.count_documents(SCOPE)
            tallies = compare(corpus, table, films, needles(films, chosen.needles, chosen.seed))
    report(len(films), rejected, tallies)
    if any(tally.missed or tally.wrong for tally in tallies.values()):
        sys.exit(1)


def needles(films: list[dict[str, str]], number: int, seed: int) -> Iterator[tuple[str, str]]:
    """What to look for, with its kind."""
    chance = random.Random(seed)
    for _ in range(number):
        film = chance.choice(films)
        words = chance.choice([film["title"], film["text"]]) or film["title"]
        length = min(chance.choice(_LENGTHS), len(words))
        start = chance.randrange(len(words) - length + 1)
        if needle := words[start : start + length]:
            yield "cut at random", needle
    yield from (("whole title", film["title"]) for film in chance.sample(films, number) if film["title"])
    queries = [query["text"] for query in _lines("queries") if query["text"].strip()]
    yield from (("real query", query) for query in chance.sample(queries, number))


def compare(
    corpus: Corpus, table: sqlite3.Connection, films: list[dict[str, str]], sought: Iterator[tuple[str, str]]
) -> dict[str, Tally]:
    """Both searches for each needle, in turn."""
    absent = {film["id"] for film in films if not film["text"].strip()}
    held = {film["id"]: f"{film['title']}\x1f{film['text']}".casefold() for film in films}
    tallies: dict[str, Tally] = {}
    for kind, needle in sought:
        tally = tallies.setdefault(kind, Tally())
        started = time.perf_counter()
        by_like = _like(table, needle)
        middle = time.perf_counter()
        with corpus.pinned() as view:
            chunks = view.find_exact_ids(SCOPE, needle, limit=EXACT_HITS)
        done = time.perf_counter()
        found = {chunk.document.id for chunk in corpus.get_chunks(SCOPE, chunks).values()}
        tally.needles += 1
        tally.rows += len(by_like)
        tally.like_ms.append((middle - started) * 1e3)
        tally.exact_ms.append((done - middle) * 1e3)
        tally.missed += [(needle, id_) for id_ in sorted(by_like - found - absent)]
        tally.absent += len(by_like & absent)
        tally.beyond += len(found - by_like)
        tally.wrong += [(needle, id_) for id_ in sorted(found - by_like) if needle.casefold() not in held[id_]]
    return tallies


def report(films: int, rejected: int, tallies: dict[str, Tally]) -> None:
    print(f"\n{films} films, of which {rejected} could not be stored; milliseconds at p50 and p95")
    columns = "".join(f"{name:>8}" for name in ("needles", "rows", "missed", "absent", "beyond", "wrong"))
    print(f"{'':14}{columns}{'LIKE':>15}{'exact':>15}")
    for kind, tally in tallies.items():
        counts = (tally.needles, tally.rows, len(tally.missed), tally.absent, tally.beyond, len(tally.wrong))
        figures = "".join(f"{count:>8}" for count in counts)
        print(f"{kind:14}{figures}{_times(tally.like_ms):>15}{_times(tally.exact_ms):>15}")
    for tally in tallies.values():
        for needle, id_ in [*tally.missed, *tally.wrong][:20]:
            print(f"differs: {needle!r} in {id_}")


def _times(taken: list[float]) -> str:
    return f"{statistics.median(taken):.2f} {statistics.quantiles(taken, n=20)[18]:.2f}"


def _like(table: sqlite3.Connection, needle: str) -> set[str]:
    pattern = "".join(f"\\{char}" if char in "\\%_" else char for char in needle)
    sql = "SELECT id FROM films WHERE title LIKE ? ESCAPE '\\' OR text LIKE ? ESCAPE '\\'"
    return {DocumentId(row[0]) for row in table.execute(sql, (f"%{pattern}%", f"%{pattern}%"))}


def _table(films: list[dict[str, str]]) -> sqlite3.Connection:
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE films (id TEXT PRIMARY KEY, title TEXT, text TEXT)")
    table.executemany("INSERT INTO films VALUES (:id, :title, :text)", films)
    return table


def _store(corpus: Corpus, settings: Settings, films: list[dict[str, str]]) -> None:
    """Put the films into the corpus, but those that hold nothing that could be stored."""
    print(f"storing {len(films)} films ...", flush=True)
    with DocumentParser(settings.parsing) as parser:
        chunker = chunker_for(settings.chunking, corpus.embedder)
        for number, film in enumerate(films):
            source = DocumentSource(
                DocumentId(film["id"]),
                film["id"],
                f"{film['id']}.txt",
                film["text"].encode(),
                title=film["title"],
                media_type="text/plain",
            )
            try:
                document = parser.parse(source)
            except DocumentRejected:
                continue
            chunks = chunker.chunk(document)
            vectors = np.zeros((len(chunks), corpus.embedder.dimension), dtype=np.float32)
            vectors[:, 0] = 1
            write(corpus, Cut(source, document, chunks), number, vectors)


def _lines(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(eval_data() / "retrieval" / "movies_ltr" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()
