"""From a candidate to a release: measured beside what is live, judged by the gate, and only then made live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from ingestion.corpus.corpus import open_corpus
from ingestion.errors import Conflict, InvalidRequest
from ingestion.rebuilding import Rebuilder, Watch
from service.ledger.database import migrate_ledger
from service.ledger.releases import NewRelease, Release, ReleaseKind, Releases
from service.quality.building import Tell
from service.quality.gating import GatePlan, GateResult, run_gate
from service.quality.runs import Run
from service.releasing.choices import Choices
from service.releasing.following import Follower
from service.releasing.watching import watch_from
from service.runtime import open_reading
from service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to go live: a generation, a prompt version or the name of a fast model."""

    kind: ReleaseKind
    value: str

    @property
    def choices(self) -> Choices:
        match self.kind:
            case ReleaseKind.GENERATION:
                return Choices(generation=self.value)
            case ReleaseKind.PROMPT:
                return Choices(prompt=self.value)
            case ReleaseKind.MODEL:
                return Choices(model=self.value)


class Promotion:
    """One candidate on its way. `database` is that of the settings, with the ledger's tables up to date.

    The corpus is opened for each step and closed after it: in embedded mode one process at a time has it open.
    """

    def __init__(self, settings: ServiceSettings, database: Engine, candidate: Candidate) -> None:
        self._settings = settings
        self._database = database
        self._candidate = candidate
        self._releases = Releases(database)
        self._replaces = self._releases.active().get(candidate.kind)
        self._live = Follower(self._releases, settings).released()

    def prepare(self, watch: Watch | None = None) -> None:
        """Make sure that the candidate can go live: a generation is brought up to date, and still not searched.

        Raises: Conflict if it is live already; ConfigurationError for a prompt that there is not; InvalidRequest for a
            model without an endpoint; NotFound for a generation that was not built; as `Rebuilder.build`.
        """
        candidate, settings = self._candidate, self._settings
        if candidate.kind is not ReleaseKind.GENERATION:
            candidate.choices.applied(settings)
            live = self._live.applied(settings).llm
            if candidate.value == (live.prompt if candidate.kind is ReleaseKind.PROMPT else live.model):
                raise Conflict(f"{candidate.kind} {candidate.value} is live already")
            return
        with open_corpus(settings) as corpus:
            rebuilder = Rebuilder(corpus)
            if rebuilder.get(candidate.value).name == corpus.index_version:
                raise Conflict(f"generation {candidate.value} is searched already")
            rebuilder.build(candidate.value, watch)

    def weigh(self, golden: Sequence[Path], baseline: Run | None, plan: GatePlan, tell: Tell) -> GateResult:
        """The gate's verdict on the candidate; what is live is measured now if there is no stored run of it.

        Raises: InvalidRequest for judged collections where a generation is the candidate; as `run_gate`.
        """
        candidate, settings = self._candidate, self._settings
        if candidate.kind is ReleaseKind.GENERATION and any(path.is_dir() for path in golden):
            raise InvalidRequest("a generation is judged by golden files about its own documents, not by collections")
        if baseline is None:
            baseline = run_gate(self._live.applied(settings), golden, None, plan, tell=tell).run
        chosen = candidate.choices
        return run_gate(
            chosen.over(self._live).applied(settings),
            golden,
            baseline,
            plan,
            opening=partial(open_reading, candidate=chosen),
            tell=tell,
        )

    def release(self, actor: str, forced: str | None = None) -> Release:
        """Make the candidate live, watched from now on; `forced` is why, if the gate did not let it pass.

        Raises: Conflict if something else was released meanwhile; of a generation as `Rebuilder.switch`.
        """
        candidate = self._candidate
        watch = watch_from(self._database, candidate.kind, self._settings.releases, datetime.now(UTC))
        if forced is not None:
            watch["forced"] = forced
        previous = None if self._replaces is None else self._replaces.value
        if candidate.kind is ReleaseKind.GENERATION:
            with open_corpus(self._settings) as corpus:
                migrate_ledger(corpus.database)
                previous = corpus.index_version
                Rebuilder(corpus).switch(candidate.value)
        return self._releases.promote(
            NewRelease(candidate.kind, candidate.value, previous, self._replaces, actor, watch)
        )
