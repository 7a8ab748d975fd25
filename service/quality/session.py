"""Golden sets opened for measuring: over the corpus of the settings, or over one built from a judged collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError, InvalidRequest
from service.quality.answering.asking import AnswerPlan, Respondent, measure_answers
from service.quality.building import SCOPE, Tell, build, settings_for
from service.quality.evaluating import GoldenSet, Plan, evaluate_set
from service.quality.folders import find_folder, load_queries
from service.quality.golden import load_golden
from service.quality.runs import Run, SetRun
from service.quality.searching import Target
from service.runtime import Reading, open_reading
from service.settings import Caching, ServiceSettings

WORK = Path(".plumbline/evaluation")
"""Where corpora of judged collections are kept, if nothing else is said."""

Opening = Callable[[ServiceSettings], AbstractAsyncContextManager[Reading]]
"""Opens what is measured: as the service does, or at another generation of the index."""


@dataclass(frozen=True, slots=True)
class Session:
    """What golden sets are measured on, and how. Corpora of judged collections are kept below `work`.

    `answers`: measure answers as well. `opening` opens what is searched and asked.
    """

    settings: ServiceSettings
    plan: Plan
    scope: Scope
    work: Path = WORK
    collections: tuple[str, ...] = ()
    answers: AnswerPlan | None = None
    opening: Opening = open_reading

    def run(self, paths: Sequence[Path], tell: Tell) -> Run:
        """Evaluate golden files and folders of judged collections.

        Raises: InvalidRequest if nothing is named, or two sets have one name; ConfigurationError if something named
            can't be read or built; BackendUnavailable.
        """
        if not paths:
            raise InvalidRequest("name a golden file or a folder of a judged collection; see docs/golden-sets.md")
        sets = tuple(asyncio.run(self._evaluate(path, tell)) for path in paths)
        names = [one.name for one in sets]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidRequest(f"two sets are named {min(twice)}: evaluate them one at a time")
        return self.collect(sets)

    def collect(self, sets: Sequence[SetRun]) -> Run:
        """The sets as one run of this session."""
        return Run(
            created_at=datetime.now(UTC),
            version=version("plumbline"),
            options=self.plan.options(self.collections),
            retrieval=self.settings.retrieval.model_dump(mode="json"),
            sets=tuple(sets),
        )

    @asynccontextmanager
    async def opened(self, path: Path, tell: Tell) -> AsyncIterator[tuple[Target, GoldenSet]]:
        """What to search, and the cases of the plan. Raises: as `run`."""
        async with self._reading(path, tell) as (_, target, golden):
            yield target, golden

    @asynccontextmanager
    async def _reading(self, path: Path, tell: Tell) -> AsyncIterator[tuple[Reading, Target, GoldenSet]]:
        golden, settings = await asyncio.to_thread(self._load, path, tell)
        chosen = self.plan.choose(golden.cases)
        if not chosen:
            raise InvalidRequest(f"{golden.name}: this part of the set has no case")
        async with self.opening(_uncached(settings)) as reading:
            if settings is self.settings:
                target = Target(reading.corpus, reading.searcher, self.scope, self.collections)
            else:
                target = Target(reading.corpus, reading.searcher, SCOPE, by_id=True)
            yield reading, target, replace(golden, cases=chosen)

    async def _evaluate(self, path: Path, tell: Tell) -> SetRun:
        async with self._reading(path, tell) as (reading, target, golden):
            found = await asyncio.to_thread(evaluate_set, target, golden, self.plan, tell)
            if self.answers is None:
                return found
            respondent = Respondent(reading.answerer.answer, reading.verifier)
            answers = await measure_answers(respondent, target, golden, self.answers, self.plan.seed, tell)
            return found.model_copy(update={"answers": answers})

    def _load(self, path: Path, tell: Tell) -> tuple[GoldenSet, ServiceSettings]:
        """The set, and the settings of its corpus, which is built if need be."""
        if path.is_file():
            return GoldenSet(path.stem, load_golden(path)), self.settings
        folder = find_folder(path)
        if folder is None:
            raise ConfigurationError(
                f"{path}: neither a golden file nor a folder with corpus.jsonl, queries.jsonl and qrels.tsv"
            )
        queries = load_queries(folder)
        settings = settings_for(self.settings, folder, self.work)
        build(settings, folder, tell)
        return GoldenSet(folder.name, queries.cases, queries.unjudged), settings


def _uncached(settings: ServiceSettings) -> ServiceSettings:
    """The same, but that no answer is one that was given before: it would be measured in the place of a new one."""
    return settings.model_copy(update={"answers": settings.answers.model_copy(update={"cache": Caching.OFF})})
