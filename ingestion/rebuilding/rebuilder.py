"""What one can do with generations: build the wanted one, switch to it, go back, and drop what nobody needs."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.versions import Generation, GenerationState
from ingestion.errors import Conflict, NotFound, Overtaken
from ingestion.rebuilding.building import Build, RebuildProgress, RebuildStage, Watch

log = structlog.get_logger(__name__)

_SWITCH_ATTEMPTS = 20
_KEPT = (GenerationState.STANDBY, GenerationState.LEFT)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a build did: `documents` taken in, of whose `chunks` so many were `embedded`; the others had a vector.

    `complete` is False if it was told to stop; run again, it does the rest.
    """

    generation: str
    documents: int
    chunks: int
    embedded: int
    complete: bool


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """`missing` documents are live and not in the generation; `wanted` is the one that the settings ask for."""

    generation: Generation
    missing: int
    wanted: bool


class Rebuilder:
    """Works on the generations of one corpus, of all tenants together. Each call may be repeated after a crash."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._store = corpus.generations

    def generations(self) -> tuple[GenerationStatus, ...]:
        """Newest first."""
        wanted = self._corpus.wanted
        name = self._corpus.index_version if wanted is None else wanted.generation.name
        return tuple(
            GenerationStatus(generation, self._store.count_missing(generation.name), generation.name == name)
            for generation in self._store.all()
        )

    def get(self, name: str) -> Generation:
        """Raises: NotFound."""
        generation = self._store.get(name)
        if generation is None or generation.state is GenerationState.DROPPED:
            raise NotFound(f"there is no generation {name}; `plumbline generations` lists them")
        return generation

    def build(self, name: str | None = None, watch: Watch | None = None) -> RebuildReport:
        """Bring a generation up to date beside the one that is searched: the one that the settings ask for, or a
        stored one by name. Searches and writes go on meanwhile.

        Raises: NotFound; ConfigurationError if its embedder can't be had; BackendUnavailable, Overtaken (retryable).
        """
        generation = self._wanted() if name is None else self.get(name)
        watch = watch or Watch()
        with self._corpus.pinned() as active, self._corpus.opened(generation) as target:
            run = Build(target, active, self._store, watch)
            complete = run.run()
        log.info("generation_built", generation=generation.name, documents=run.documents, complete=complete)
        return RebuildReport(generation.name, run.documents, run.chunks, run.embedded, complete)

    def switch(self, name: str, watch: Watch | None = None) -> bool:
        """Make a generation the one that is searched, in one transaction; what changed since it was built is caught up
        with first. The one before it is kept, to go back to; older ones are dropped. One that the settings ask for is
        not built again unasked once it is left.

        False if told to stop. Raises: as `build`; Overtaken if documents change faster than they are caught up with.
        """
        leaving = GenerationState.LEFT if self._corpus.wanted is None else GenerationState.STANDBY
        return self._switch(self.get(name), leaving, watch or Watch())

    def rebuild(self, name: str | None = None, watch: Watch | None = None) -> RebuildReport:
        """`build`, then `switch`. Raises: as they do."""
        report = self.build(name, watch)
        if not report.complete or self.switch(report.generation, watch):
            return report
        return RebuildReport(report.generation, report.documents, report.chunks, report.embedded, complete=False)

    def roll_back(self, watch: Watch | None = None) -> str | None:
        """Go back to the generation that was searched before; returns its name, None if told to stop.

        Raises: NotFound if none was kept; as `switch`.
        """
        kept = [generation for generation in self._store.all() if generation.state in _KEPT and generation.activated_at]
        if not kept:
            raise NotFound("no earlier generation is kept: there is nothing to go back to")
        last = max(kept, key=lambda generation: generation.activated_at.isoformat() if generation.activated_at else "")
        return last.name if self.switch(last.name, watch) else None

    def drop(self, name: str) -> None:
        """Remove a generation that is not searched, with its index. Raises: NotFound, Conflict, BackendUnavailable."""
        if self.get(name).state is GenerationState.ACTIVE:
            raise Conflict(f"generation {name} is the one that is searched: switch to another one first")
        self._drop(name)

    def _drop(self, name: str) -> None:
        self._store.describe(name, state=GenerationState.DROPPED)
        if self._corpus.is_open(name):  # a long request of this process; the next `prune` takes it
            return
        self._corpus.drop_index(name)
        while self._store.forget_versions(name):
            pass
        self._store.remove(name)
        log.info("generation_dropped", generation=name)

    def prune(self, *, building: str | None = None) -> None:
        """Drop all but the active generation, the one last searched before it, and the one that is being built."""
        generations = self._store.all()
        kept = [generation for generation in generations if generation.state in _KEPT]
        kept.sort(key=lambda generation: generation.activated_at.isoformat() if generation.activated_at else "")
        keep = {building, *(generation.name for generation in kept[-1:])}
        for generation in generations:
            doomed = generation.state is not GenerationState.ACTIVE and generation.name not in keep
            if doomed or generation.state is GenerationState.DROPPED:
                self._drop(generation.name)

    def _switch(self, generation: Generation, leaving: GenerationState, watch: Watch) -> bool:
        documents = self._store.count()
        watch.progress(RebuildProgress(RebuildStage.SWITCHING, documents, documents))
        for _ in range(_SWITCH_ATTEMPTS):
            if self._store.switch(generation.name, leaving=leaving) == 0:
                self._corpus.refresh()
                self.prune()
                return True
            if not self.build(generation.name, watch).complete:
                return False
        raise Overtaken("documents change faster than they are taken into the new generation: try again")

    def _wanted(self) -> Generation:
        candidate = self._corpus.candidate()
        known = self._store.find(candidate)
        self.prune(building=known.name if known is not None else candidate.name)
        return self._store.add(candidate)
