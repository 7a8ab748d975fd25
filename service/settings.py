"""Settings of everything that answers: read here from `PLUMBLINE_*` and nowhere else in `service`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import get_origin

from pydantic import BaseModel, Field, SecretStr, model_validator

from ingestion.errors import ConfigurationError
from ingestion.settings import Settings, load_settings
from service.ledger_settings import AuditSettings as AuditSettings
from service.ledger_settings import Content as Content
from service.ledger_settings import Group
from service.ledger_settings import LedgerSettings as LedgerSettings
from service.ledger_settings import ReleaseSettings as ReleaseSettings
from service.ledger_settings import SignalSettings as SignalSettings
from service.ledger_settings import TracingSettings as TracingSettings


class ServerSettings(Group):
    """Where the API listens."""

    host: str = Field("127.0.0.1", description="address to listen on; any but loopback needs an API key")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_upload_bytes: int = Field(200_000_000, ge=1, description="largest request body of an upload")


class LLMOutput(StrEnum):
    AUTO = "auto"
    SCHEMA = "schema"
    TEXT = "text"


class LLMSettings(Group):
    """The OpenAI-compatible chat endpoint that writes answers; without it they are extracted from the sources."""

    base_url: str | None = Field(None, description="address of the endpoint, for instance `http://127.0.0.1:8091/v1`")
    api_key: SecretStr | None = Field(None, description="key for the endpoint")
    model: str = Field("gpt-4o-mini", description="model name to ask for")
    output: LLMOutput = Field(
        LLMOutput.AUTO,
        description="`schema` holds the model to JSON, `text` never does, `auto` finds out what the endpoint takes",
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="longest wait for a connection")
    first_token_timeout_s: float = Field(60.0, gt=0, description="longest wait for the first token")
    stall_timeout_s: float = Field(30.0, gt=0, description="longest silence between two pieces of an answer")
    total_timeout_s: float = Field(180.0, gt=0, description="longest time for a whole answer, waiting included")
    max_retries: int = Field(2, ge=0, le=10, description="further attempts after a retryable failure")
    max_output_tokens: int = Field(700, ge=16, description="longest answer in tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature")
    prompt: str = Field("answer@3", description="version of the prompt that answers are asked for with")
    max_concurrency: int = Field(8, ge=1, description="calls to the endpoint at one time")
    max_queue: int = Field(32, ge=0, description="calls that may wait for their turn; one more fails at once")
    queue_timeout_s: float = Field(30.0, gt=0, description="longest wait for a turn")
    breaker_failures: int = Field(5, ge=1, description="failures in a row after which the endpoint is left alone")
    breaker_pause_s: float = Field(30.0, gt=0, description="for how long it is; then one call tries")
    prices: Path | None = Field(
        None, description="TOML file of prices beside those that are shipped; docs/models.md has its form"
    )

    @model_validator(mode="after")
    def _has_a_usable_address(self) -> LLMSettings:
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("the base_url of a model must begin with http:// or https://")
        return self

    @property
    def is_configured(self) -> bool:
        """Whether there is an endpoint to ask; a key alone means OpenAI's."""
        return self.base_url is not None or self.api_key is not None


class LLMStrongSettings(Group):
    """A second, stronger model for the questions that need it; what is unset is as for `llm`."""

    model: str | None = Field(None, description="model name to ask for; without it there is no strong model")
    base_url: str | None = Field(None, description="address of its endpoint, if it is another")
    api_key: SecretStr | None = Field(None, description="key for it; never taken over for another address")
    output: LLMOutput | None = Field(None, description="as `PLUMBLINE_LLM__OUTPUT`")
    connect_timeout_s: float | None = Field(None, gt=0, description="longest wait for a connection")
    first_token_timeout_s: float | None = Field(None, gt=0, description="longest wait for the first token")
    stall_timeout_s: float | None = Field(None, gt=0, description="longest silence between two pieces of an answer")
    total_timeout_s: float | None = Field(None, gt=0, description="longest time for a whole answer, waiting included")
    max_retries: int | None = Field(None, ge=0, le=10, description="further attempts after a retryable failure")
    max_output_tokens: int | None = Field(None, ge=16, description="longest answer in tokens")
    temperature: float | None = Field(None, ge=0, le=2, description="sampling temperature")
    max_concurrency: int | None = Field(None, ge=1, description="calls to it at one time")
    max_queue: int | None = Field(None, ge=0, description="calls that may wait for their turn")
    queue_timeout_s: float | None = Field(None, gt=0, description="longest wait for a turn")
    breaker_failures: int | None = Field(None, ge=1, description="failures in a row after which it is left alone")
    breaker_pause_s: float | None = Field(None, gt=0, description="for how long it is; then one call tries")

    @model_validator(mode="after")
    def _is_complete(self) -> LLMStrongSettings:
        if self.model is None and self.model_fields_set - {"model"}:
            raise ValueError("settings of a strong model are given, but not which: set PLUMBLINE_LLM_STRONG__MODEL")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("PLUMBLINE_LLM_STRONG__BASE_URL must begin with http:// or https://")
        return self

    def beside(self, llm: LLMSettings) -> LLMSettings | None:
        """The whole settings of the strong model; None without one. A key goes to no address but its own."""
        if self.model is None:
            return None
        own = {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}
        if self.base_url is not None and self.base_url != llm.base_url:
            own.setdefault("api_key", None)
        return llm.model_copy(update=own)


class RetrievalSettings(Group):
    """How passages are found and how sure the service must be."""

    candidates: int = Field(100, ge=10, le=500, description="hits fetched from each leg before fusion")
    dense_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="weight of the semantic leg in every hybrid search; by default the kind of query decides",
    )
    strong_confidence: float = Field(0.5, ge=0, le=1, description="relevance from here on is labelled strong")
    weak_confidence: float = Field(0.05, ge=0, le=1, description="relevance below is labelled none")
    answer_passages: int = Field(6, ge=1, le=30, description="passages an answer is written from")
    synonyms: Path | None = Field(
        None, description="file of synonyms and abbreviations, applied to queries; docs/retrieval.md has the format"
    )


class RerankerProvider(StrEnum):
    NONE = "none"
    LOCAL = "local"
    ENDPOINT = "endpoint"


class RerankerSettings(Group):
    """The second look at the best candidates: a cross-encoder in the process or behind an endpoint, or none."""

    provider: RerankerProvider = Field(
        RerankerProvider.NONE,
        description="`none`, `local` (a sentence-transformers cross-encoder) or `endpoint` (`/rerank` as Cohere, Jina, "
        "vLLM and TEI serve it)",
    )
    by_default: bool = Field(True, description="rerank the searches that do not say `rerank` themselves")
    model: str | None = Field(
        None, description="of `local` a folder or model id of a hub; of `endpoint` the model name to ask for, if any"
    )
    revision: str | None = Field(None, description="revision of a hub model")
    sha256: str | None = Field(None, description="expected SHA-256 of the weights file of a local folder or hub model")
    base_url: str | None = Field(
        None, description="address of the endpoint; `/rerank` is put behind it if it does not end so"
    )
    api_key: SecretStr | None = Field(None, description="key for the endpoint")
    candidates: int = Field(30, ge=2, le=200, description="passages of the first ranking that are looked at again")
    budget_ms: float = Field(
        500.0, gt=0, le=60_000, description="longest time for it; out of time, the first ranking stays"
    )
    connect_timeout_s: float = Field(1.0, gt=0, description="longest wait for a connection to the endpoint")
    batch_size: int = Field(
        4, ge=1, le=64, description="passages per pass of a local model; between two the clock is asked"
    )
    max_tokens: int = Field(512, ge=16, description="query and passage together as a local model reads them")

    @model_validator(mode="after")
    def _is_complete(self) -> RerankerSettings:
        if self.provider is RerankerProvider.LOCAL and not self.model:
            raise ValueError("PLUMBLINE_RERANKER__PROVIDER=local needs PLUMBLINE_RERANKER__MODEL")
        if self.provider is RerankerProvider.ENDPOINT:
            if self.base_url is None:
                raise ValueError("PLUMBLINE_RERANKER__PROVIDER=endpoint needs PLUMBLINE_RERANKER__BASE_URL")
            if not self.base_url.startswith(("http://", "https://")):
                raise ValueError("PLUMBLINE_RERANKER__BASE_URL must begin with http:// or https://")
        return self


class Policy(StrEnum):
    """What becomes of a sentence that the sources don't support."""

    MARK = "mark"
    """It is shown with its verdict."""
    WITHHOLD = "withhold"
    """It is left out, and counted."""
    STRICT = "strict"
    """There is no answer unless every sentence is supported."""


class Caching(StrEnum):
    """When an answer that was given before, over the same sources, is given again."""

    OFF = "off"
    DEGRADED = "degraded"
    """While the model fails."""
    ALWAYS = "always"


class AnswerSettings(Group):
    """What becomes of an answer between the model and whoever asked."""

    unsupported: Policy = Field(
        Policy.MARK,
        description="sentences that the sources do not support: `mark` shows them with their verdict, `withhold` "
        "leaves them out and counts them, `strict` refuses an answer that has any; a request may say otherwise",
    )
    repair: bool = Field(True, description="ask once for better sentences where the sources do not support some")
    repair_within_s: float = Field(
        20.0,
        ge=0,
        description="a repair, or a second model, is begun only so soon after the question; a repair takes no longer "
        "than this either",
    )
    cache: Caching = Field(
        Caching.DEGRADED,
        description="give an earlier answer to the same question over the same sources again: `off`, `degraded` (while "
        "the model fails) or `always`",
    )
    min_answerability: float = Field(
        0.1,
        ge=0,
        le=1,
        description="estimated probability that the passages hold the answer below which no model is asked; 0 asks it "
        "always",
    )
    rewrite: bool = Field(
        True, description="let the model turn a follow-up question into one that stands alone; else rules do it"
    )


class GroundingSettings(Group):
    """How sentences are verified once exact facts have been; docs/quality/grounding.md has the figures."""

    supported_from: float | None = Field(
        None,
        ge=0,
        le=1,
        description="probability from which a sentence is called supported; by default as calibrated (some 10 % "
        "false alarms)",
    )
    model: str | None = Field(
        None,
        description="folder or hub id of an NLI model or a token classifier that finds made-up text: a second opinion, "
        "which can only hold a sentence back; none by default",
    )
    revision: str | None = Field(None, description="revision of a hub model")
    sha256: str | None = Field(None, description="expected SHA-256 of the weights file of a local folder or hub model")
    max_tokens: int = Field(512, ge=16, description="passages and sentence together as that model reads them")
    model_supported_from: float = Field(
        0.5, ge=0, le=1, description="that model's probability from which it agrees that a sentence is supported"
    )
    judge_sample: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of answers whose sentences a chat model is asked about afterwards, for comparison in checks "
        "and metrics; costs one call each and changes no verdict",
    )


class ServiceSettings(Settings):
    """Every setting of the API process."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    llm: LLMSettings = Field(default_factory=LLMSettings)
    llm_strong: LLMStrongSettings = Field(default_factory=LLMStrongSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    reranker: RerankerSettings = Field(default_factory=RerankerSettings)
    grounding: GroundingSettings = Field(default_factory=GroundingSettings)
    answers: AnswerSettings = Field(default_factory=AnswerSettings)
    ledger: LedgerSettings = Field(default_factory=LedgerSettings)
    signals: SignalSettings = Field(default_factory=SignalSettings)
    releases: ReleaseSettings = Field(default_factory=ReleaseSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)

    @model_validator(mode="after")
    def _spans_have_a_ledger(self) -> ServiceSettings:
        if self.tracing.endpoint is not None and not self.ledger.enabled:
            raise ValueError("PLUMBLINE_TRACING__ENDPOINT needs PLUMBLINE_LEDGER__ENABLED=true: it makes the spans")
        return self

    @model_validator(mode="after")
    def _strong_model_has_an_endpoint(self) -> ServiceSettings:
        strong = self.llm_strong.beside(self.llm)
        if strong is not None and not strong.is_configured:
            raise ValueError("PLUMBLINE_LLM_STRONG__MODEL needs PLUMBLINE_LLM_STRONG__BASE_URL or an endpoint in LLM")
        return self


CLIENT_VARIABLES = ("PLUMBLINE_URL", "PLUMBLINE_API_KEY")
"""Read by `plumbline search` and `ask`: where a running service is, and the key for it."""

_PREFIX = "PLUMBLINE_"
_ENTRY = "__"
_OF_TESTS = ("PLUMBLINE_TEST_", "PLUMBLINE_EVAL_")


@dataclass(frozen=True, slots=True)
class UnknownVariable:
    """A variable that looks like a setting and is none; `meant` is the setting most like it, if one is."""

    name: str
    meant: str | None

    def __str__(self) -> str:
        return f"{self.name} is not a setting" + (f"; did you mean {self.meant}?" if self.meant else "")


def unknown_variables() -> tuple[UnknownVariable, ...]:
    """Variables of the environment that begin like a setting, in alphabetical order."""
    known = {*_variables(ServiceSettings, _PREFIX), *CLIENT_VARIABLES}
    families = (*_OF_TESTS, *(name for name in known if name.endswith(_ENTRY)))
    strangers = sorted(
        name
        for name in (given.upper() for given in os.environ)
        if name.startswith(_PREFIX) and name not in known and not name.startswith(families)
    )
    return tuple(UnknownVariable(name, next(iter(get_close_matches(name, known, n=1)), None)) for name in strangers)


def load_service_settings() -> ServiceSettings:
    """The settings from the environment. Raises: ConfigurationError that names each variable that is wrong."""
    try:
        return load_settings(ServiceSettings)
    except ConfigurationError as error:
        hints = "".join(f". {variable}" for variable in unknown_variables())
        raise ConfigurationError(error.detail + hints) from error


def _variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Their names; of a setting whose entries are variables of their own also what those begin with."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _variables(field.annotation, f"{prefix}{name.upper()}{_ENTRY}")
            continue
        yield f"{prefix}{name.upper()}"
        if get_origin(field.annotation) is dict:
            yield f"{prefix}{name.upper()}{_ENTRY}"
