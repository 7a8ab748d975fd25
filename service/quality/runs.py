"""A finished evaluation as a file: everything that a report, a comparison and a gate need, and no corpus."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ingestion.errors import ConfigurationError
from service.quality.golden import explain
from service.quality.metrics import DIGITS

OURS, KEYWORD, SEMANTIC, RRF = "ours", "keyword", "semantic", "rrf"
LEGS = (KEYWORD, SEMANTIC)

Number = Annotated[float, AfterValidator(lambda value: round(value, DIGITS))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(_Part):
    """A mean over `n` queries with its 95 % interval."""

    mean: Number
    low: Number
    high: Number
    n: int


class Difference(Value):
    """Ours minus the leg `over`, which is the better one, query by query."""

    over: str


class QueryRow(_Part):
    """One query in one row: its measures, the uris on the page best first, and what the search said of itself."""

    id: str
    metrics: Mapping[str, Number]
    top: tuple[str, ...] = ()
    label: str = ""
    confidence: Number = 0.0
    ms: Number = 0.0


class Row(_Part):
    """One way to search. Latencies in ms; `embed_ms` is the median of what of it went into the query's vector."""

    metrics: Mapping[str, Value]
    p50_ms: Number | None = None
    p95_ms: Number | None = None
    embed_ms: Number | None = None
    queries: tuple[QueryRow, ...]


class Question(_Part):
    """A case as it was asked: what it names, with grades; nothing where it must be refused."""

    text: str
    relevant: Mapping[str, int] = Field(default_factory=dict)


class Bins(_Part):
    """Expected calibration error, and per bin the cases, the mean stated probability and the share that came true."""

    error: Number
    bins: tuple[tuple[int, Number, Number], ...]


class Refused(_Part):
    """How well "nothing relevant" was told. `answered` and `refused`: the shares of the two kinds that were refused."""

    must: int
    may_not: int
    precision: Number
    recall: Number
    f1: Number
    f1_low: Number
    f1_high: Number


class SearchedCorpus(_Part):
    """What was searched. `fitted`: how hits are weighed, by collection ("" is all), where that was fitted."""

    documents: int
    index_version: str
    embedder: str
    lexical: str
    fitted: Mapping[str, Any] = Field(default_factory=dict)


class AnswerRow(_Part):
    """The answers to one case, over its repetitions: measures, what was `wrong` with them, and the text of one."""

    id: str
    metrics: Mapping[str, Number]
    wrong: tuple[str, ...] = ()
    text: str = ""


class Answers(_Part):
    """The answers to a golden set. `grounding` names what gave the verdicts; `prompt` is None where none was used.

    `copied` and `changed` count the sentences that probed the verifier. `not_measured` says what the cases expect that
    this version cannot measure.
    """

    model: str | None
    prompt: str | None
    grounding: str
    policy: str
    repeat: int
    metrics: Mapping[str, Value]
    cases: tuple[AnswerRow, ...]
    copied: int = 0
    changed: int = 0
    not_measured: tuple[str, ...] = ()


class SetRun(_Part):
    """One golden set, evaluated. `digest` is of its cases; `titles` are of the documents named in rows."""

    name: str
    digest: str
    unjudged: int
    corpus: SearchedCorpus
    questions: Mapping[str, Question]
    titles: Mapping[str, str]
    rows: Mapping[str, Row]
    differences: Mapping[str, Difference]
    refusals: Refused | None = None
    confidence: Bins | None = None
    score: Bins | None = None
    answers: Answers | None = None


class Options(_Part):
    """How the evaluation was run."""

    mode: str
    k: int
    depth: int
    seed: int
    threads: int
    limit_queries: int | None = None
    part: str | None = None
    folds: int | None = None
    fold: int | None = None
    collections: tuple[str, ...] = ()


class Run(_Part):
    """An evaluation of some golden sets by one version of the product under one set of settings.

    Format 1, which is read as well, has no answers.
    """

    format: Literal["plumbline-evaluation-1", "plumbline-evaluation-2"] = "plumbline-evaluation-2"
    created_at: datetime
    version: str
    options: Options
    retrieval: Mapping[str, Any]
    sets: tuple[SetRun, ...]

    def set_named(self, name: str) -> SetRun | None:
        return next((one for one in self.sets if one.name == name), None)


def save_run(run: Run, path: Path) -> None:
    """Write the run; gzipped if the name ends in `.gz`. Raises: ConfigurationError if it can't be written."""
    data = (run.model_dump_json() + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    except OSError as error:
        raise ConfigurationError(f"{path}: the run cannot be written: {error.strerror}") from error


def load_run(path: Path) -> Run:
    """A stored run. Raises: ConfigurationError that names the file and what is wrong."""
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        return Run.model_validate(json.loads(text))
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path}: the run cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path}: not a run of `plumbline eval --json`: {explain(error)}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: not JSON: {error}") from error
