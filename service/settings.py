"""Settings of everything that answers: read here from `PLUMBLINE_*` and nowhere else in `service`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ingestion.settings import Settings


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Group):
    """Where the API listens."""

    host: str = Field("127.0.0.1", description="address to listen on; any but loopback needs an API key")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_upload_bytes: int = Field(200_000_000, ge=1, description="largest request body of an upload")


class LLMSettings(_Group):
    """The OpenAI-compatible chat endpoint that writes answers; without it they are extracted from the sources."""

    base_url: str | None = Field(None, description="address of the endpoint, for instance `http://127.0.0.1:8091/v1`")
    api_key: SecretStr | None = Field(None, description="key for the endpoint")
    model: str = Field("gpt-4o-mini", description="model name to ask for")
    connect_timeout_s: float = Field(5.0, gt=0, description="longest wait for a connection")
    first_token_timeout_s: float = Field(60.0, gt=0, description="longest wait for the first token")
    total_timeout_s: float = Field(180.0, gt=0, description="longest time for a whole answer")
    max_retries: int = Field(2, ge=0, le=10, description="further attempts after a retryable failure")
    max_output_tokens: int = Field(700, ge=16, description="longest answer in tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature")
    max_concurrency: int = Field(8, ge=1, description="calls to the endpoint at one time")


class RetrievalSettings(_Group):
    """How passages are found and how sure the service must be."""

    candidates: int = Field(50, ge=10, le=500, description="hits fetched from each leg before fusion")
    dense_weight: float = Field(0.6, ge=0, le=1, description="weight of the semantic leg in hybrid fusion")
    strong_confidence: float = Field(0.6, ge=0, le=1, description="relevance from here on is labelled strong")
    weak_confidence: float = Field(0.3, ge=0, le=1, description="relevance below is labelled none")
    answer_passages: int = Field(6, ge=1, le=30, description="passages an answer is written from")


class ServiceSettings(Settings):
    """Every setting of the API process."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    llm: LLMSettings = Field(default_factory=LLMSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
