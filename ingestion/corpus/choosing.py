"""Which generation is served, and whether the settings ask for another one."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ingestion.corpus.embedders.sharing import EmbedderPool
from ingestion.corpus.generation_store import GenerationStore
from ingestion.corpus.sparse import SparseEncoder
from ingestion.corpus.versions import (
    Generation,
    GenerationState,
    chunker_version,
    generation_name,
    recalled,
    remembered,
)
from ingestion.errors import ConfigurationError, ModelIntegrityError, ModelUnavailable, PlumblineError
from ingestion.settings import ChunkingSettings, EmbedderSettings, RebuildPolicy, Settings

log = structlog.get_logger(__name__)

_LOCAL = "local:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings ask for while another generation is served. `automatic`: a worker is to build it unasked."""

    generation: Generation
    automatic: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The generation to serve, the settings of its embedder, and what is wanted instead, if anything is."""

    active: Generation
    embedder: EmbedderSettings
    wanted: Wanted | None


class Chooser:
    """Compares what is stored with what the settings say."""

    def __init__(self, store: GenerationStore, pool: EmbedderPool, sparse: SparseEncoder, settings: Settings) -> None:
        self._store = store
        self._pool = pool
        self._lexical = sparse.version
        self._settings = settings

    def choose(self) -> Choice:
        """Raises: ConfigurationError if the embedder of what is stored can't be had any more, or the one that the
        settings name can't; BackendUnavailable if an endpoint that must be asked does not answer.
        """
        settings = self._settings
        plan = self._pool.plan(settings.embedder)
        active = self._store.active()
        if active is None:
            active = self._store.add(self.candidate())
        if active.chunker == "" and self._has_embedder(active) and active.lexical == self._lexical:
            # From a program that kept one generation and cut each document anew when it came again, as now.
            self._describe(active)
        elif active.fingerprint == plan.fingerprint:
            # Its vectors are the same; how queries are put may have changed.
            self._store.describe(active.name, embedder_settings=remembered(settings.embedder))
        active = self._store.get(active.name) or active
        if self._is_wanted(active):
            return Choice(active, settings.embedder, None)
        wanted = self._wanted(active)
        served = settings.embedder if self._has_embedder(active) else self.embedder_of(active)
        return Choice(active, served, wanted)

    def candidate(self) -> Generation:
        """What the settings ask for, under the name that its parts make. Loads the embedder."""
        settings = self._settings
        chunker = chunker_version(settings.chunking)
        with self._pool.loaded(settings.embedder) as embedder:
            return Generation(
                name=generation_name(embedder.name, embedder.dimension, self._lexical, chunker),
                embedder=embedder.name,
                dimension=embedder.dimension,
                lexical=self._lexical,
                fingerprint=self._pool.plan(settings.embedder).fingerprint,
                chunker=chunker,
                embedder_settings=remembered(settings.embedder),
                chunking_settings=settings.chunking.model_dump(mode="json"),
                state=GenerationState.BUILDING,
            )

    def embedder_of(self, generation: Generation) -> EmbedderSettings:
        """The settings that open the embedder of a stored generation.

        Raises: ConfigurationError if it can't be had any more.
        """
        settings = self._settings
        if generation.fingerprint == self._pool.plan(settings.embedder).fingerprint:
            return settings.embedder
        known = _settings_of(generation, settings.embedder)
        if known is not None:
            try:
                if self._pool.plan(known).fingerprint == generation.fingerprint:
                    return known
                reason = "its weights or settings are not the same any more"
            except (ModelUnavailable, ModelIntegrityError) as error:
                reason = error.detail
        else:
            reason = "its settings were not kept"
        raise ConfigurationError(
            f"the index was made with {generation.embedder}, which can't be opened ({reason}), and the settings name "
            f"{settings.embedder.model}: set PLUMBLINE_EMBEDDER__MODEL back, or ingest anew with another "
            "PLUMBLINE_DATA_DIR or index prefix"
        )

    def _wanted(self, active: Generation) -> Wanted | None:
        try:
            candidate = self.candidate()
        except PlumblineError as error:
            # What is stored can be served all the same.
            log.warning("wanted_embedder_unavailable", code=error.code, detail=error.detail)
            return None
        stored = next((row for row in self._store.all() if row.parts == candidate.parts), candidate)
        if stored.parts == active.parts:  # the same space under another fingerprint, such as a dimension given now
            self._store.describe(active.name, fingerprint=candidate.fingerprint)
            return None
        log.warning(
            "index_differs_from_settings",
            active=active.name,
            embedder=active.embedder,
            chunker=active.chunker,
            wanted=stored.name,
            wanted_embedder=stored.embedder,
            wanted_chunker=stored.chunker,
        )
        return self.wanted(stored, active)

    def wanted(self, asked: Generation, active: Generation) -> Wanted | None:
        """`asked` is what the settings ask for; None if it is the active one."""
        if asked.parts == active.parts:
            return None
        stored = self._store.find(asked) or asked
        automatic = self._settings.index.rebuild is RebuildPolicy.AUTO and stored.state is not GenerationState.LEFT
        return Wanted(stored, automatic)

    def _has_embedder(self, generation: Generation) -> bool:
        return generation.fingerprint == self._pool.plan(self._settings.embedder).fingerprint

    def _is_wanted(self, generation: Generation) -> bool:
        return (
            self._has_embedder(generation)
            and generation.lexical == self._lexical
            and generation.chunker == chunker_version(self._settings.chunking)
        )

    def _describe(self, generation: Generation) -> None:
        self._store.describe(
            generation.name,
            chunker=chunker_version(self._settings.chunking),
            embedder_settings=remembered(self._settings.embedder),
            chunking_settings=self._settings.chunking.model_dump(mode="json"),
        )


def chunking_of(generation: Generation, present: ChunkingSettings) -> ChunkingSettings:
    """How the documents of a generation are cut."""
    stored = generation.chunking_settings
    if stored is None:
        return present
    return ChunkingSettings.model_validate({k: v for k, v in stored.items() if k in ChunkingSettings.model_fields})


def _settings_of(generation: Generation, present: EmbedderSettings) -> EmbedderSettings | None:
    """Stored settings; of an older catalogue, those that its fingerprint gives away."""
    if generation.embedder_settings is not None:
        return recalled(generation.embedder_settings, present)
    if not generation.fingerprint.startswith(_LOCAL):
        return None
    model = generation.fingerprint.removeprefix(_LOCAL).partition("@")[0]
    prefix = generation.fingerprint.partition("@")[2].partition(":")[2]
    return recalled({"provider": "local", "model": model, "document_prefix": prefix}, present)
