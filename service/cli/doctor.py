"""`plumbline doctor`: looks at everything the service needs, and says how to mend what is wrong."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from rich.markup import escape
from sqlalchemy import Engine

import ingestion.corpus.database
from ingestion.corpus.corpus import open_corpus
from ingestion.corpus.database import DATABASE_FILE, database_url, open_database
from ingestion.corpus.embedding import plan_embedder
from ingestion.corpus.lock import exclusive
from ingestion.corpus.scope import Scope
from ingestion.errors import ConfigurationError, CorpusInUse, PlumblineError
from service.access.door import is_loopback
from service.access.keys import Keys
from service.access.principals import DEFAULT_TENANT
from service.cli.console import EXIT_FAILED, out
from service.ledger.database import MIGRATIONS, VERSION_TABLE
from service.retrieval.reranking.opening import open_reranker
from service.retrieval.reranking.reranker import NoReranker, rerank
from service.retrieval.tokens import TokenCounter
from service.settings import LLMSettings, ServiceSettings, load_service_settings, unknown_variables

_CORPUS_MIGRATIONS = Path(ingestion.corpus.database.__file__).parent / "migrations"
_SPACE_LOW_BYTES = 2_000_000_000
_SPACE_OUT_BYTES = 200_000_000
_EMBEDDED_CHUNKS = 300_000
_TIMEOUT_S = 5.0
_PASSAGE = "restart the gateway when it answers 502 " * 21 + "and then wait"


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class TableState(StrEnum):
    ABSENT = "absent"
    CURRENT = "current"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `mend` says what to do about it."""

    check: str
    verdict: Verdict
    detail: str
    mend: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check settings, data folder, database, models, index and endpoint. Exit code 1 if something fails."""
    findings = list(examine())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        _show(findings)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def examine() -> Iterator[Finding]:
    """Every finding; later checks are left out where they could only repeat an earlier failure."""
    try:
        settings = load_service_settings()
    except ConfigurationError as error:
        yield Finding("settings", Verdict.FAIL, error.detail, "see docs/settings.md")
        return
    yield from _settings()
    for check in (_space, _embedder, _encodings, _reranker, _endpoint):
        yield from _guarded(check, settings)
    folder = list(_guarded(_folder, settings))
    yield from folder
    yield from _guarded(_database, settings)
    if all(finding.verdict is Verdict.OK for finding in folder):
        yield from _guarded(_index, settings)


def _guarded(check: Callable[[ServiceSettings], Iterator[Finding]], settings: ServiceSettings) -> Iterator[Finding]:
    name = check.__name__.strip("_")
    try:
        yield from check(settings)
    except PlumblineError as error:
        yield Finding(name, Verdict.FAIL, error.detail, f"docs/errors.md: {error.code}")


def _settings() -> Iterator[Finding]:
    strangers = unknown_variables()
    for variable in strangers:
        yield Finding("settings", Verdict.WARN, str(variable), "correct or unset it")
    if not strangers:
        yield Finding("settings", Verdict.OK, "all variables are known")


def _space(settings: ServiceSettings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free at {folder}"
    if free < _SPACE_OUT_BYTES:
        yield Finding("space", Verdict.FAIL, detail, "free some space, or set PLUMBLINE_DATA_DIR")
    elif free < _SPACE_LOW_BYTES:
        yield Finding("space", Verdict.WARN, detail, "models and index need about 2 GB for 300,000 chunks")
    else:
        yield Finding("space", Verdict.OK, detail)


def _embedder(settings: ServiceSettings) -> Iterator[Finding]:
    plan = plan_embedder(settings.embedder, settings.models_path)
    started = time.perf_counter()
    embedder = plan.load()
    try:
        loaded = time.perf_counter()
        embedder.embed_query("does it work?")
        took_ms = (time.perf_counter() - loaded) * 1e3
        detail = (
            f"{embedder.name}, {embedder.dimension} dimensions; loaded in {loaded - started:.1f} s, "
            f"first query {took_ms:.0f} ms"
        )
        yield Finding("embedder", Verdict.OK, detail)
    finally:
        embedder.close()


def _encodings(_: ServiceSettings) -> Iterator[Finding]:
    counter = TokenCounter()
    for name in counter.encodings:
        counter.count("token", name)
    yield Finding("encodings", Verdict.OK, ", ".join(counter.encodings))


def _reranker(settings: ServiceSettings) -> Iterator[Finding]:
    with open_reranker(settings.reranker, settings.models_path) as reranker:
        if isinstance(reranker, NoReranker):
            yield Finding("reranker", Verdict.OK, "none: results stay in their first order")
            return
        passages = [_PASSAGE] * settings.reranker.candidates
        outcome = rerank(reranker, "does it work?", passages, settings.reranker.budget_ms)
        scored = f"{len(outcome.scores)} of {len(passages)} passages of 150 words in {outcome.elapsed_ms:.0f} ms"
        if outcome.skipped is None:
            yield Finding("reranker", Verdict.OK, f"{reranker.name}: {scored}")
        else:
            mend = "results keep their first order; see PLUMBLINE_RERANKER__* in docs/settings.md"
            yield Finding("reranker", Verdict.WARN, f"{reranker.name}: {scored} ({outcome.skipped})", mend)


def _endpoint(settings: ServiceSettings) -> Iterator[Finding]:
    strong = settings.llm_strong.beside(settings.llm)
    if settings.llm.is_configured:
        yield _answers("model", settings.llm, "PLUMBLINE_LLM__API_KEY")
    elif strong is None:
        detail = "no model is set: answers are extracted from the documents"
        yield Finding("model", Verdict.OK, detail, "PLUMBLINE_LLM__BASE_URL names an endpoint to write them")
    if strong is not None:
        yield _answers("strong model", strong, "PLUMBLINE_LLM_STRONG__API_KEY")


def _answers(check: str, llm: LLMSettings, key: str) -> Finding:
    """Whether the endpoint of one model answers."""
    address = (llm.base_url or "https://api.openai.com/v1").rstrip("/") + "/models"
    headers = {"Authorization": f"Bearer {llm.api_key.get_secret_value()}"} if llm.api_key else {}
    try:
        response = httpx.get(address, headers=headers, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(check, Verdict.WARN, f"{address}: {error}", "answers are extracted until it can be reached")
    if response.status_code in (401, 403):
        return Finding(check, Verdict.WARN, f"{address}: the key is refused", f"correct {key}")
    if response.is_server_error:
        return Finding(check, Verdict.WARN, f"{address}: status {response.status_code}", "answers are extracted")
    return Finding(check, Verdict.OK, f"{llm.model} at {llm.base_url or 'api.openai.com'}")


def _folder(settings: ServiceSettings) -> Iterator[Finding]:
    folder = settings.data_dir.absolute()
    if not folder.exists():
        yield Finding("folder", Verdict.WARN, f"{folder} does not exist yet", "`plumbline ingest PATH` makes it")
        return
    try:
        with exclusive(settings.data_dir):
            yield Finding("folder", Verdict.OK, f"{folder} is writable and not in use")
    except CorpusInUse as error:
        yield Finding("folder", Verdict.WARN, error.detail, "the index is left unchecked; see its /health/ready")


def _database(settings: ServiceSettings) -> Iterator[Finding]:
    if settings.database_url is None and not (settings.data_dir / DATABASE_FILE).exists():
        yield Finding("database", Verdict.WARN, "none yet", "`plumbline ingest PATH` makes it")
        return
    database = open_database(settings)
    try:
        address = database_url(settings).render_as_string()
        catalogue = _table_state(database, _CORPUS_MIGRATIONS, "alembic_version_corpus")
        own = _table_state(database, MIGRATIONS, VERSION_TABLE)
        if TableState.OTHER in (catalogue, own):
            detail = f"{address}: its tables are of another version of this program"
            yield Finding("database", Verdict.WARN, detail, "`plumbline serve` brings older ones up to date")
            return
        yield Finding("database", Verdict.OK, address)
        yield _keys(settings, required=own is TableState.CURRENT and Keys(database).are_required())
    finally:
        database.dispose()


def _table_state(database: Engine, scripts: Path, version_table: str) -> TableState:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": version_table})
        revision = context.get_current_revision()
    if revision is None:
        return TableState.ABSENT
    is_current = revision == ScriptDirectory(str(scripts)).get_current_head()
    return TableState.CURRENT if is_current else TableState.OTHER


def _keys(settings: ServiceSettings, *, required: bool) -> Finding:
    if required:
        return Finding("keys", Verdict.OK, "a key is required")
    if is_loopback(settings.server.host):
        return Finding("keys", Verdict.OK, f"none: the service answers on loopback only, as tenant {DEFAULT_TENANT}")
    detail = f"none, and {settings.server.host} can be reached by others: the service will not start"
    return Finding("keys", Verdict.FAIL, detail, "plumbline keys create NAME")


def _index(settings: ServiceSettings) -> Iterator[Finding]:
    with open_corpus(settings) as corpus:
        scope = Scope(DEFAULT_TENANT)
        documents, chunks = corpus.count_documents(scope), corpus.count(scope)
        down = {name: state for name, state in corpus.states().items() if state != "ok"}
        counts = f"tenant {DEFAULT_TENANT}: {documents} documents, {chunks} chunks"
        detail = f"{settings.index.engine.value}, generation {corpus.index_version}; {counts}"
        if down:
            yield Finding("index", Verdict.FAIL, "; ".join(f"{name}: {state}" for name, state in down.items()))
        elif settings.index.engine == "edge" and chunks > _EMBEDDED_CHUNKS:
            mend = "beyond 300,000 chunks a Qdrant server is faster (PLUMBLINE_INDEX__ENGINE=server)"
            yield Finding("index", Verdict.WARN, detail, mend)
        else:
            yield Finding("index", Verdict.OK, detail, "" if documents else "`plumbline ingest PATH` fills it")
        if not corpus.literal.is_indexed:
            detail = "the database has no index of trigrams: exact search finds the same, and reads all texts for it"
            mend = "Postgres: as its owner, CREATE EXTENSION pg_trgm; SQLite: 3.34 or later with FTS5"
            yield Finding("exact", Verdict.WARN, detail, mend)


def _show(findings: list[Finding]) -> None:
    styles = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
    console = out()
    for finding in findings:
        style = styles[finding.verdict]
        line = f"[{style}]{finding.verdict:<5}[/{style}] {finding.check:<10} {escape(finding.detail)}"
        console.print(line, highlight=False, soft_wrap=True)
        if finding.mend:
            console.print(f"{'':<16} [dim]{escape(finding.mend)}[/dim]", highlight=False, soft_wrap=True)
