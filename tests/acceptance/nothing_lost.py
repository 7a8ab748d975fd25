"""A life of edits and kills, and the comparison after it: what is at the origins is in the corpus, and nothing else.

Shared by the acceptance test and the benchmark. The worlds are real places, the process that is killed a real one, and
the chances are seeded; what the processes do side by side is not, so that a seed tells about how a run went.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from ingestion.corpus import tables
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.database import DATABASE_FILE
from ingestion.corpus.index.engine import IndexQuery
from ingestion.corpus.records import ChunkId
from ingestion.settings import Settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceId
from ingestion.syncing import Sources
from tests.acceptance.places import Place, Texts
from tests.acceptance.syncing_child import SCOPE
from tests.acceptance.syncing_processes import Event, SyncingProcess, temporary_folder
from tests.contracts.origins import World
from tests.ingestion.corpora import stored

STAGES = (
    "opening",
    "looking",
    "scanning",
    "reading",
    "remembering",
    "remembering done",
    "parsing",
    "parsing done",
    "staging",
    "embedding",
    "storing",
    "storing done",
    "publishing",
    "publishing done",
    "sweeping",
    "deleting",
    "deleting done",
    "forgetting",
    "recording",
)
"""Where a process is killed, each at least once if there are as many kills: before the step, or when it is done."""
_OFTEN = frozenset({"scanning", "parsing", "parsing done", "staging", "storing", "storing done", "publishing"})
_SHARED = 0.3
"""Of the edits of a round, how many are made while a sync stands still in the middle."""
_NEAR = 1e-3
_TRIES = 4
_GIT = 0.2


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a kill hit: the source that was being synced, none while the corpus was opened, and the last step told."""

    source: str
    stage: str
    held: bool
    beside: tuple[str, ...]
    """Names of the other processes that it left behind, each of which ended by itself."""


@dataclass(slots=True)
class Ending:
    """What a life came to. `differences` says all that is not as it should be, each with the name of its source."""

    seed: int
    edits: dict[str, int] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    processes: int = 0
    syncs: int = 0
    """That were completed."""
    edits_beside: int = 0
    """Made while a sync was under way."""
    quarantined: int = 0
    """Documents that were put aside since they were under way at three kills, and tried again in the end."""
    failures: list[str] = field(default_factory=list)
    """Syncs that ended in an error that is tried again."""
    differences: list[tuple[str, str]] = field(default_factory=list)

    def of(self, source: str) -> list[str]:
        return [what for name, what in self.differences if name == source]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where to kill: held at the event, or so long after it as it takes."""

    stage: str
    number: int
    held: bool = True
    after_s: float = 0.0
    source: str | None = None
    """Any if it is None."""

    def is_hit(self, event: Event) -> bool:
        if self.source is not None:
            return (event.source, event.stage) == (self.source, self.stage)
        return (event.stage, event.number) == (self.stage, self.number)


class Life:
    """Edits and syncs. `worlds` are empty places; what is made of them is kept in `folder`."""

    def __init__(self, worlds: dict[str, World], settings: Settings, *, seed: int, edits: int, kills: int) -> None:
        self._settings = settings
        self._chance = random.Random(seed)
        self._texts = Texts(self._chance)
        self._places = {name: Place(name, world, self._chance) for name, world in worlds.items()}
        self._clean = dict.fromkeys(worlds, -1)
        """By source: the number of the last edit before its last sync that ended well began."""
        self._planned = edits
        self._kills = kills
        self._made = 0
        self.ending = Ending(seed)

    def run(self, fresh: Settings) -> Ending:
        """`fresh` are the settings of the corpus to compare with."""
        for place in self._places.values():
            place.begin(self._texts.new)
        self._add_sources(self._settings)
        stages = self._chance.sample(STAGES, len(STAGES))
        for number in range(self._kills):
            target = self._target(stages[number] if number < len(stages) else None)
            killed = False
            for _ in range(_TRIES):
                self._edit(round((1 - _SHARED) * self._left_per_kill()), target.stage)
                if killed := self._sync(target):
                    break
                target = replace(target, number=1, after_s=target.after_s / 4)
            assert killed, f"seed {self.ending.seed}: there was no chance to kill at {target}"
        self._edit(self._planned - self._made, "")
        self._end()
        self._add_sources(fresh)
        self._clean = dict.fromkeys(self._places, -1)
        self._run(SyncingProcess(fresh, list(self._places), []), None)
        self._compare(fresh)
        self.ending.edits = {name: place.edits for name, place in self._places.items()}
        self.ending.documents = {name: len(place.texts) for name, place in self._places.items()}
        return self.ending

    # -- before the end

    def _left_per_kill(self) -> float:
        return (self._planned - self._made) / max(1, self._kills - len(self.ending.kills))

    def _target(self, stage: str | None) -> _Target:
        """Held at that stage; if none is named at any, and mostly some milliseconds later, wherever that is.

        Git gets a share of its own: it is at work for some tenths of a second after the first look.
        """
        if stage is None and self._chance.random() < _GIT:
            return _Target("looking", 1, False, self._chance.uniform(0, 0.4), "git")
        chosen = stage or self._chance.choice(STAGES)
        number = self._chance.randint(1, 12 if chosen in _OFTEN else 3)
        held = stage is not None or self._chance.random() < 0.2
        return _Target(chosen, number, held, self._chance.expovariate(1 / 0.03))

    def _edit(self, count: int, stage: str) -> None:
        """So many edits anywhere; what the stage needs among them."""
        wanted = {"deleting": "delete", "deleting done": "delete", "forgetting": "delete"}.get(stage)
        if wanted is None and stage not in ("", "opening"):
            wanted = "change"
        if stage == "reading":
            self._edit_one(self._chance.choice([name for name in self._places if name in _TABLES]), wanted)
        elif wanted is not None:
            self._edit_one(None, wanted)
        for _ in range(count - (wanted is not None)):
            self._edit_one(None, None)

    def _edit_one(self, name: str | None, kind: str | None) -> None:
        self._made += 1
        place = self._places[name or self._chance.choice(sorted(self._places))]
        place.edit(self._made, self._texts.new, kind)

    def _sync(self, target: _Target) -> bool:
        """Whether the process was killed before it had synced everything."""
        order = self._chance.sample(sorted(self._places), len(self._places))
        beside = [
            (stage, self._chance.randint(1, 6))
            for stage in self._chance.sample(["scanning", "parsing", "embedding", "publishing", "remembering"], 2)
        ]
        holds = [*beside, *([(target.stage, target.number)] if target.held else [])]
        return self._run(SyncingProcess(self._settings, order, holds), target)

    def _run(self, process: SyncingProcess, target: _Target | None) -> bool:
        self.ending.processes += 1
        begun_at = self._made
        with process:
            for event in process.events():
                self._note(event, begun_at)
                if target is not None and target.is_hit(event):
                    if not target.held:
                        time.sleep(target.after_s)
                    return self._kill(process, event, target, begun_at)
                if event.what == "held":
                    self._edit_beside()
                    process.go_on()
            process.ended_well()
        return False

    def _edit_beside(self) -> None:
        for _ in range(min(self._chance.randint(1, 3), self._planned - self._made)):
            self.ending.edits_beside += 1
            self._edit_one(None, None)

    def _kill(self, process: SyncingProcess, last: Event, target: _Target, begun_at: int) -> bool:
        beside, unheard = process.kill()
        for event in unheard:
            self._note(event, begun_at)
            last = event if event.stage or event.what in ("begun", "done") else last
        for name in process.survivors():
            self._differs(last.source, f"process {name} outlived a kill at {last.stage}")
        if last.what == "done":
            return False  # nothing was left to be done
        self.ending.kills.append(Kill(last.source, last.stage or "looking", target.held, beside))
        return True

    def _note(self, event: Event, begun_at: int) -> None:
        """Check what a search would find after the event."""
        if event.what == "failed":
            self.ending.failures.append(f"{event.source}: {event.error}")
        if event.what == "synced":
            report = event.report
            if report["complete"] and not report["failed"] and not report["quarantined"]:
                self.ending.syncs += 1
                self._clean[event.source] = begun_at
            self._check(event.source, event.words.get(event.source, []), "after its sync")
        if event.what == "served":
            for name in self._places:
                self._check(name, event.words.get(name, []), "when the corpus was opened")

    def _check(self, name: str, words: list[str], when: str) -> None:
        place, clean = self._places[name], self._clean[name]
        served = set(words)
        for word in served - place.since.keys() - place.gone.keys():
            self._differs(name, f"{word} of another source was found {when}")
        for word, number in place.gone.items():
            if word in served and number <= clean:
                self._differs(name, f"{word} was found {when}, and gone before the last sync")
        for word, number in place.since.items():
            if word not in served and number <= clean:
                self._differs(name, f"{word} was not found {when}, and there before the last sync")

    def _differs(self, name: str, what: str) -> None:
        self.ending.differences.append((name, what))

    # -- the end

    def _end(self) -> None:
        """One sync that nobody disturbs, after a retry of what many kills put aside; another finds nothing to do."""
        with open_corpus(self._settings) as corpus:
            store = SourceStore(corpus.database)
            self.ending.quarantined = sum(store.retry(SCOPE, SourceId(name)) for name in self._places)
        for nothing_to_do in (False, True):
            failures = len(self.ending.failures)
            with SyncingProcess(self._settings, list(self._places), []) as process:
                self.ending.processes += 1
                for event in process.events():
                    self._note(event, self._made)
                    if event.what == "synced":
                        self._check_report(event, nothing_to_do=nothing_to_do)
                process.ended_well()
            for failure in self.ending.failures[failures:]:
                self._differs(failure.partition(":")[0], f"an undisturbed sync failed: {failure}")

    def _check_report(self, event: Event, *, nothing_to_do: bool) -> None:
        report = event.report
        if not report["complete"] or report["failed"] or report["quarantined"]:
            self._differs(event.source, f"an undisturbed sync ended so: {report}")
        if nothing_to_do and (report["created"] or report["updated"] or report["deleted"]):
            self._differs(event.source, f"a second sync still found something to do: {report}")

    def _add_sources(self, settings: Settings) -> None:
        with open_corpus(settings) as corpus:
            sources = Sources(corpus, SourceStore(corpus.database), settings)
            for place in self._places.values():
                sources.add(SCOPE, place.definition, remote=False)

    def _compare(self, fresh: Settings) -> None:
        if self._settings.database_url is None:
            # Where others may be at work, what a process left is swept only an hour later.
            for state, count in _states(self._settings.data_dir).items():
                if state != "live":
                    self._differs("corpus", f"{count} versions are {state}")
        with open_corpus(self._settings) as corpus:
            corpus.writer.sweep(staged_before=datetime.now(UTC))
            self._reconcile(corpus)
            self._search(corpus)
            held, vectors = _held(corpus), _vectors(corpus)
        with open_corpus(fresh) as corpus:
            expected, computed = _held(corpus), _vectors(corpus)
        for id_ in vectors.keys() & computed.keys():
            if not np.allclose(vectors[id_], computed[id_], atol=_NEAR):
                self._differs("corpus", f"chunk {id_} has the embedding of another text")
        for name, rows in expected.items():
            for row in rows - held[name]:
                self._differs("corpus", f"{name}: lacks {row}")
            for row in held[name] - rows:
                self._differs("corpus", f"{name}: has {row}")
        for left in temporary_folder(self._settings).iterdir():
            self._differs("corpus", f"{left.name} is left in the folder for temporary files")

    def _reconcile(self, corpus: Corpus) -> None:
        sources = Sources(corpus, SourceStore(corpus.database), self._settings)
        for name, place in self._places.items():
            found = sources.reconcile(SCOPE, SourceId(name))
            if not found.equal:
                self._differs(name, f"origin and corpus differ: {found}")
            if found.documents != len(place.texts):
                self._differs(name, f"{found.documents} documents, and {len(place.texts)} at the origin")

    def _search(self, corpus: Corpus) -> None:
        """Neither exactly nor by likeness is anything found that is at no origin."""
        there = {word for place in self._places.values() for word in place.since}
        gone = {word: place for place in self._places.values() for word in place.gone if word not in there}
        for word, place in sorted(gone.items()):
            query = IndexQuery(corpus.embedder.embed_query(word), corpus.sparse.encode_query(word), limit=20)
            legs = corpus.search(SCOPE, query)
            hits = corpus.get_chunks(SCOPE, [hit.id for hit in (*legs.dense, *legs.sparse)]).values()
            texts = [*(hit.chunk.text for hit in hits), *(hit.chunk.text for hit in corpus.find_exact(SCOPE, word))]
            if any(f"{word}." in text or f"{word}\n" in text for text in texts):
                self._differs(place.id, f"{word} was found in the end, and is gone")


_TABLES = frozenset({"sqlite", "postgres", "mariadb"})


def _states(data_dir: Path) -> Counter[str]:
    """How many versions are in each state, before anyone opens the corpus, who would sweep it."""
    with closing(sqlite3.connect(f"file:{data_dir / DATABASE_FILE}?mode=ro", uri=True)) as connection:
        return Counter(state for (state,) in connection.execute("SELECT state FROM versions"))


def _held(corpus: Corpus) -> dict[str, set[Any]]:
    """Everything that the corpus holds, but times: also texts, elements and what is remembered of items."""
    documents, versions, items = tables.documents.c, tables.versions.c, tables.source_items.c
    with corpus.database.connect() as connection:
        texts = connection.execute(select(versions.document_key, versions.text, versions.elements, versions.outline))
        facts = connection.execute(
            select(documents.key, documents.source, documents.parent, documents.metadata, documents.failure)
        )
        remembered = connection.execute(
            select(items.source, items.document_id, items.key, items.uri, items.code, items.attempts)
        )
        held = {"texts": _rows(texts), "facts": _rows(facts), "items": _rows(remembered)}
    return held | {name: set(rows) for name, rows in stored(corpus).items()}  # type: ignore[call-overload]


def _vectors(corpus: Corpus) -> dict[ChunkId, NDArray[np.float32]]:
    with corpus.pinned() as view:
        return view._index.vectors(SCOPE, [id_ for id_, _, _ in view.writer.points(SCOPE)])


def _rows(rows: Iterable[Any]) -> set[str]:
    return {repr(tuple(row)) for row in rows}
