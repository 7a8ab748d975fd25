"""Settings of what is kept of every query, of what watches it, and of what tells others about it.

They are read from the environment with all others, in `service.settings`, which is where to import them from.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Group(BaseModel):
    """Settings that belong together: immutable, and nothing else in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Content(StrEnum):
    """What traces keep of the words of questions and answers."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


class LedgerSettings(Group):
    """What is kept of every search, context pack and answer, and for how long."""

    enabled: bool = Field(True, description="keep a trace of every search, context pack and answer")
    content: Content = Field(
        Content.KEEP,
        description="words of questions and answers in traces: `keep` (masked), `hash` (equal questions can be told, "
        "their words are gone) or `drop`",
    )
    mask: bool = Field(True, description="mask secrets and e-mail addresses in what is kept")
    candidates: int = Field(30, ge=0, le=500, description="candidate chunks kept per trace, best first, with scores")
    flush_ms: float = Field(
        500.0,
        ge=0,
        le=10_000,
        description="longest time between a response and its trace being in the database: what a killed process loses",
    )
    max_pending: int = Field(2_000, ge=1, description="records that may wait for the database; more are dropped")
    trace_days: int = Field(30, ge=0, description="days after which traces are deleted; 0 keeps them")
    feedback_days: int = Field(365, ge=0, description="days after which feedback is deleted; 0 keeps it")
    model_call_days: int = Field(400, ge=0, description="days after which billed calls are deleted; 0 keeps them")


class SignalSettings(Group):
    """How the signals of all queries are watched."""

    refresh_s: float = Field(300.0, ge=1, description="seconds between two looks at the ledger, for gauges of /metrics")
    drift_reference_days: int = Field(7, ge=1, le=90, description="days before a window to compare its scores with")
    drift_searches: int = Field(500, ge=100, description="searches that both must have, or chance looks like drift")


class ReleaseSettings(Group):
    """How a release is watched; a bound is how far a share may rise over the time before, 1 for any."""

    poll_s: float = Field(5.0, gt=0, description="how often a process looks for what was released")
    rollback: bool = Field(True, description="go back by itself when a signal is worse than its bound")
    watch_every_s: float = Field(60.0, gt=0, description="how often the signals are compared")
    watch_hours: float = Field(72.0, ge=0, description="for how long a release is watched")
    before_hours: float = Field(168.0, gt=0, description="time before it that its signals are compared with")
    min_queries: int = Field(50, ge=2, description="queries or answers before and since, below which none is judged")
    min_ratings: int = Field(20, ge=2, description="ratings before and since, below which they are not judged")
    confidence: float = Field(0.999, gt=0.5, lt=1, description="how sure it must be that a bound is passed")
    weak_relevance: float = Field(0.15, ge=0, le=1, description="bound of queries with weak or no relevance")
    zero_results: float = Field(0.05, ge=0, le=1, description="bound of queries without a hit")
    refusals: float = Field(0.1, ge=0, le=1, description="bound of answers that were refused")
    unsupported: float = Field(0.05, ge=0, le=1, description="bound of sentences that the sources do not support")
    degraded: float = Field(0.1, ge=0, le=1, description="bound of degraded answers")
    down_ratings: float = Field(0.1, ge=0, le=1, description="bound of ratings that are bad")


class AuditSettings(Group):
    """The audit log: who asked, ingested, deleted, changed keys or settings."""

    questions: bool = Field(
        True, description="have the id of every question in the log, too; without its words, which traces have"
    )
    days: int = Field(400, ge=0, description="days after which the old end of each chain is cut off; 0 keeps all of it")


class TracingSettings(Group):
    """Spans of every operation and stage for OpenTelemetry, over OTLP/HTTP; without an endpoint there are none."""

    endpoint: str | None = Field(
        None,
        description="address of the receiver, such as `http://127.0.0.1:4318`; `/v1/traces` if it has no path",
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="headers to send along: `..__HEADERS__AUTHORIZATION=Bearer …`"
    )
    service_name: str = Field("plumbline", min_length=1, description="`service.name` of the spans")
    sample: float = Field(
        1.0, ge=0, le=1, description="share of operations that get spans, where the caller's traceparent does not say"
    )
    content: bool = Field(
        False, description="put questions and answers into the spans, masked as in traces and only if those have them"
    )
    flush_ms: float = Field(2_000.0, gt=0, le=60_000, description="longest time until spans are sent")
    timeout_s: float = Field(5.0, gt=0, le=60, description="longest time for one try to send, repetitions included")
    max_pending: int = Field(4_096, ge=512, description="spans that may wait for the receiver; more are dropped")

    @model_validator(mode="after")
    def _has_a_usable_address(self) -> TracingSettings:
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("PLUMBLINE_TRACING__ENDPOINT must begin with http:// or https://")
        return self
