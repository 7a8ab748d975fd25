"""What it costs to keep in step: `python -m benchmarks.sync [--documents N]`.

The same bulk documents as a folder, a Git repository and a SQLite table: a first sync of each into an empty corpus,
then syncs after nothing has changed, after one document in a hundred was edited, and after everything was renamed.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.corpora import SCOPE, mixed_bulk_documents
from ingestion.corpus.corpus import open_corpus
from ingestion.settings import Settings, SourcesSettings
from ingestion.sources.definitions import (
    FolderOrigin,
    GitOrigin,
    OriginDefinition,
    SourceDefinition,
    SourceId,
    SqlOrigin,
)
from ingestion.syncing import Sources, SourceStore, SyncReport, open_syncer

PROMISED = 30
_LONGEST = 3_000
_AGE_S = 3_600


@dataclass(frozen=True, slots=True)
class Place:
    """An origin with the two changes that are made to it."""

    origin: OriginDefinition
    edit: Callable[[int], None]
    rename: Callable[[], None]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--documents", type=int, default=1_000)
    wanted = arguments.parse_args().documents
    texts = [document.data for document in mixed_bulk_documents() if len(document.data) <= _LONGEST][:wanted]
    ratios = {}
    with tempfile.TemporaryDirectory() as temporary:
        for kind, make in (("folder", _folder), ("git", _git), ("sql", _sql)):
            ratios[kind] = run(Path(temporary), kind, make(Path(temporary) / kind, texts), len(texts))
    for kind, ratio in ratios.items():
        print(f"{kind}: time of the first sync / time of an unchanged one: {ratio:.0f}  (promised: {PROMISED})")


def run(folder: Path, kind: str, place: Place, documents: int) -> float:
    """How many times faster an unchanged sync is."""
    settings = Settings(
        data_dir=folder / f"data-{kind}",
        models_dir=folder / "models",
        sources=SourcesSettings(databases={"bench": SecretStr(f"sqlite:///{folder / 'sql' / 'bench.sqlite'}")}),
    )
    id_ = SourceId("bench")
    with open_corpus(settings) as corpus, open_syncer(corpus, settings) as syncer:
        sources = Sources(corpus, SourceStore(corpus.database), settings)
        sources.add(SCOPE, SourceDefinition(id=id_, origin=place.origin), remote=False)
        corpus.embedder.embed_query("loaded before the clock starts")
        steps: list[tuple[str, Callable[[], None]]] = [
            ("first", lambda: None),
            ("unchanged", lambda: None),
            ("edited", lambda: place.edit(max(1, documents // 100))),
            ("renamed", place.rename),
        ]
        seconds = {}
        for name, change in steps:
            change()
            started = time.perf_counter()
            report = syncer.sync(SCOPE, id_)
            seconds[name] = time.perf_counter() - started
            print(f"{kind}, {name}: {seconds[name]:.2f} s, {_counted(report)}", flush=True)
        started = time.perf_counter()
        found = sources.reconcile(SCOPE, id_)
        print(f"{kind}, reconcile: {time.perf_counter() - started:.2f} s, equal: {found.equal}", flush=True)
        assert found.equal, found
    return seconds["first"] / seconds["unchanged"]


def _counted(report: SyncReport) -> str:
    return ", ".join(f"{number} {name}" for name, number in report.counts().items() if number)


def _folder(folder: Path, texts: list[bytes]) -> Place:
    folder.mkdir()
    _write(folder, texts)

    def rename() -> None:
        (folder / "pages").rename(folder / "moved")

    return Place(FolderOrigin(path=folder), lambda number: _edit(folder / "pages", number), rename)


def _git(folder: Path, texts: list[bytes]) -> Place:
    folder.mkdir()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch", "main")
    _write(folder, texts)
    git("add", ".")
    git("commit", "-m", "All")

    def edit(number: int) -> None:
        _edit(folder / "pages", number)
        git("commit", "-a", "-m", "Some")

    def rename() -> None:
        git("mv", "pages", "moved")
        git("commit", "-m", "Moved")

    return Place(GitOrigin(url=str(folder)), edit, rename)


def _sql(folder: Path, texts: list[bytes]) -> Place:
    folder.mkdir()

    def execute(command: str, *rows: tuple[object, ...]) -> None:
        with closing(sqlite3.connect(folder / "bench.sqlite")) as database, database:
            database.executemany(command, rows or [()])

    execute("CREATE TABLE pages (id TEXT PRIMARY KEY, title TEXT, body TEXT, changed TEXT)")
    stamp = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')"
    # A row of one column keeps its first heading as the title: the name of a row is what a rename changes.
    rows = [(f"{number:06}", _title(text, number), text.decode(errors="replace")) for number, text in enumerate(texts)]
    execute(f"INSERT INTO pages VALUES (?, ?, ?, {stamp})", *rows)

    def edit(number: int) -> None:
        execute(
            "UPDATE pages SET body = body || ' Edited.', changed = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id < ?",
            (f"{number:06}",),
        )

    def rename() -> None:
        execute("UPDATE pages SET id = 'moved-' || id")

    origin = SqlOrigin(
        database="bench",
        table="pages",
        key="id",
        title="title",
        text=("body",),
        updated_at="changed",
        text_format="markdown",
    )
    return Place(origin, edit, rename)


def _title(text: bytes, number: int) -> str:
    heading = re.search(rb"^#+\s+(.+)$", text, re.MULTILINE)
    return heading[1].decode(errors="replace").strip() if heading else f"Page {number}"


def _write(folder: Path, texts: list[bytes]) -> None:
    """The texts as files of a folder `pages` below it, last changed an hour ago, as most files were long ago."""
    (folder / "pages").mkdir()
    old = time.time() - _AGE_S
    for number, text in enumerate(texts):
        path = folder / "pages" / f"{number:06}.md"
        path.write_bytes(text)
        os.utime(path, (old, old))


def _edit(pages: Path, number: int) -> None:
    for path in sorted(pages.iterdir())[:number]:
        with path.open("ab") as file:
            file.write(b"\n\nEdited.\n")


if __name__ == "__main__":
    main()
