"""A process that syncs all sources of a corpus, tells each of its steps, and can be held at any of them.

Started as `python -m tests.acceptance.syncing_child <plan as JSON>` with the settings in its environment. Each line of
its output is `@` and an event as JSON. Held, it waits for a line on its standard input. Who kills it is left to others.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Pool, event

from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.records import DocumentSource, ParsedDocument
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import PlumblineError
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings, load_settings
from ingestion.source_store import SourceStore
from ingestion.sources.definitions import SourceDefinition, SourceId
from ingestion.sources.origin import Known, Origin, Sighting
from ingestion.syncing import Oversight, Syncer, SyncProgress
from ingestion.syncing.places import opened
from ingestion.telemetry import configure_logging

SCOPE = Scope(TenantId("default"))
WORD = re.compile(r"\bzq\d+\b")
"""Each text that was ever at an origin has a word of its own, in all of its paragraphs."""

_STATEMENT = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_STAGES = {
    ("INSERT INTO", "versions"): "staging",
    ("INSERT INTO", "chunks"): "storing",
    ("INSERT INTO", "documents"): "publishing",
    ("UPDATE", "documents"): "publishing",
    ("DELETE FROM", "documents"): "deleting",
    ("DELETE FROM", "versions"): "sweeping",
    ("INSERT INTO", "source_items"): "remembering",
    ("UPDATE", "source_items"): "remembering",
    ("DELETE FROM", "source_items"): "forgetting",
    ("UPDATE", "sources"): "recording",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the sources in their order, and at which events, by stage and number, to wait."""

    order: list[str]
    holds: list[tuple[str, int]]


class Teller:
    """Says what the process is about to do. While one thread is held, no other gets past its next step."""

    def __init__(self, plan: Plan) -> None:
        self._holds = {(stage, number) for stage, number in plan.holds}
        self._counts: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._staged = False
        self.source = ""

    def say(self, what: str, **facts: object) -> None:
        line = f"@{json.dumps({'event': what, 'source': self.source} | facts)}\n"
        with self._lock:
            os.write(sys.stdout.fileno(), line.encode())

    def step(self, stage: str) -> None:
        """`stage` is about to begin, or was just done if it says so."""
        if not self.source:
            stage = "opening"
        with self._lock:
            self._staged = stage == "staging" or (self._staged and stage != "embedding")
            self._counts[stage] += 1
            number = self._counts[stage]
            held = (stage, number) in self._holds
            self.say("held" if held else "step", stage=stage, number=number)
            if held:
                sys.stdin.readline()

    def turn(self) -> None:
        """Before a batch is embedded, and before documents are deleted."""
        self.step("embedding" if self._staged else "turning")

    # What the database is about to do, and has done.

    def statement(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        found = _STATEMENT.match(statement)
        stage = None if found is None else _STAGES.get((found[1], found[2]))
        if stage is None and re.search(r"\bFROM [\"`]?notes", statement):
            stage = "reading"
        if stage is not None:
            connection.info["stage"] = stage
            self.step(stage)

    def returned(self, _connection: object, record: Any) -> None:
        if (stage := record.info.pop("stage", None)) is not None:
            self.step(f"{stage} done")


class TellingParser(DocumentParser):
    """Tells of each document that goes to the parser process."""

    def __init__(self, settings: Settings, teller: Teller) -> None:
        super().__init__(settings.parsing)
        self._teller = teller

    def parse(self, source: DocumentSource) -> ParsedDocument:
        self._teller.step("parsing")
        document = super().parse(source)
        self._teller.step("parsing done")
        return document


class TellingOrigin:
    """Tells of each look at the origin."""

    def __init__(self, origin: Origin, teller: Teller) -> None:
        self._origin = origin
        self._teller = teller

    def token(self) -> str | None:
        self._teller.step("looking")
        return self._origin.token()

    def scan(self, known: Known) -> Iterator[Sighting]:
        for sighting in self._origin.scan(known):
            self._teller.step("scanning")
            yield sighting

    def close(self) -> None:
        self._origin.close()


def served(corpus: Corpus) -> dict[str, list[str]]:
    """By source: the words of all texts that some search could return, that is of what the index has and is live."""
    found: dict[str, set[str]] = {}
    ids = [id_ for id_, _, _ in corpus.writer.points(SCOPE)]
    for chunk in corpus.get_chunks(SCOPE, ids).values():
        found.setdefault(chunk.document.source, set()).update(WORD.findall(chunk.chunk.text))
    return {source: sorted(words) for source, words in found.items()}


def main() -> None:
    given = json.loads(sys.argv[1])
    plan = Plan(given["order"], [tuple(hold) for hold in given["holds"]])
    settings = load_settings(Settings)
    configure_logging(settings)
    teller = Teller(plan)
    event.listen(Engine, "before_cursor_execute", teller.statement)
    event.listen(Pool, "checkin", teller.returned)
    teller.step("opening")
    with open_corpus(settings) as corpus, TellingParser(settings, teller) as parser:
        teller.say("served", words=served(corpus))
        _sync_all(corpus, parser, settings, plan, teller)
        teller.source = ""
        teller.say("done")


def _sync_all(corpus: Corpus, parser: DocumentParser, settings: Settings, plan: Plan, teller: Teller) -> None:
    @contextmanager
    def telling(scope: Scope, definition: SourceDefinition, settings: Settings) -> Iterator[Origin]:
        with opened(scope, definition, settings) as origin:
            yield TellingOrigin(origin, teller)

    def progressed(progress: SyncProgress) -> None:
        teller.step(progress.stage)

    store = SourceStore(corpus.database)
    syncer = Syncer(corpus, store, Pipeline(corpus, parser), settings, open_origin=telling)
    for source in plan.order:
        teller.source = source
        teller.say("begun")
        try:
            report = syncer.sync(SCOPE, SourceId(source), Oversight(progress=progressed, wait_turn=teller.turn))
        except PlumblineError as error:
            teller.say("failed", error=f"{error.code}: {error.detail}")
            continue
        teller.say("synced", report=asdict(report), words=served(corpus))


if __name__ == "__main__":
    main()
