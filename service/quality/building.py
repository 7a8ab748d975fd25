"""A corpus built from a judged collection by the product's own jobs, kept in a folder and used again while it fits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.scope import Scope, TenantId
from ingestion.errors import ConfigurationError
from ingestion.jobs import Job, Jobs, JobState, open_jobs
from ingestion.settings import EngineKind, IndexSettings
from service.quality.folders import JudgedFolder
from service.settings import ServiceSettings

SCOPE = Scope(TenantId("default"))
MANIFEST = "evaluation.json"
"""Says what a folder was built from. A folder without it is never written to."""

_BATCH = 500
_LOOK_S = 0.5
_WORST_SHOWN = 3

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


def settings_for(settings: ServiceSettings, folder: JudgedFolder, work: Path) -> ServiceSettings:
    """The same settings with a data folder and an embedded index of the collection's own, below `work`."""
    changes = {
        "data_dir": work / folder.name,
        "models_dir": settings.models_path,
        "database_url": None,
        "index": IndexSettings(engine=EngineKind.EDGE, rebuild=settings.index.rebuild),
    }
    return settings.model_copy(update=changes)


def build(settings: ServiceSettings, folder: JudgedFolder, tell: Tell) -> int:
    """Bring the corpus of `settings_for` to hold the collection as the settings want it; the number of its documents.

    What is there already is kept: another model or chunker is built from it, and only other documents begin anew.
    Raises: ConfigurationError if the folder holds something else, a document can't be ingested, or as `open_corpus`.
    """
    digest = folder.digest()
    manifest = settings.data_dir / MANIFEST
    _make_room(settings.data_dir, digest)
    complete = _read(manifest).get("complete", False)
    if not complete:
        _write(manifest, {"name": folder.name, "digest": digest, "complete": False})
    with open_corpus(settings) as corpus:
        if not complete:
            with open_jobs(settings, corpus) as jobs:
                _ingest(jobs, folder, tell)
        if corpus.wanted is not None:
            with open_jobs(settings, corpus) as jobs:
                _finish(jobs, jobs.rebuild(SCOPE), tell, "rebuilding")
        documents = corpus.count_documents(SCOPE)
    _write(manifest, {"name": folder.name, "digest": digest, "complete": True, "documents": documents})
    return documents


def _ingest(jobs: Jobs, folder: JudgedFolder, tell: Tell) -> None:
    total = sum(1 for _ in folder.documents())
    waiting = folder.documents()
    done = 0
    while batch := list(islice(waiting, _BATCH)):
        _finish(jobs, jobs.submit(SCOPE, batch), partial(_told, tell, done, total), "ingesting")
        done += len(batch)


def _told(tell: Tell, before: int, total: int, doing: str, done: int, _: int) -> None:
    """Tell of a job that is one of several: `before` documents were done by the ones before it."""
    tell(doing, before + done, total)


def _finish(jobs: Jobs, job: Job, tell: Tell, doing: str) -> None:
    """Raises: ConfigurationError if the job does not succeed."""
    while not job.state.is_final:
        tell(doing, job.done, job.total)
        job = jobs.wait(SCOPE, job.id, _LOOK_S)
    tell(doing, job.done, job.total)
    if job.state is JobState.SUCCEEDED:
        return
    failed = [f"{item.document_id} ({item.code}: {item.detail})" for item in job.items if item.code is not None]
    why = "; ".join(failed[:_WORST_SHOWN]) or job.detail or f"the job ended {job.state}"
    raise ConfigurationError(f"the collection could not be built: {why}")


def _make_room(data_dir: Path, digest: str) -> None:
    """Remove what was built from other documents. Raises: ConfigurationError if the folder was not built here."""
    if not data_dir.exists() or not any(data_dir.iterdir()):
        data_dir.mkdir(parents=True, exist_ok=True)
        return
    built = _read(data_dir / MANIFEST)
    if not built:
        raise ConfigurationError(
            f"{data_dir} is not empty and was not built by an evaluation: name another folder with --work"
        )
    if built.get("digest") != digest:
        shutil.rmtree(data_dir)
        data_dir.mkdir(parents=True)


def _read(manifest: Path) -> dict[str, object]:
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(manifest: Path, facts: dict[str, object]) -> None:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
