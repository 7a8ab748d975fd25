"""Settings of everything that stores: read here from `PLUMBLINE_*` and nowhere else in `ingestion`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from ingestion.errors import ConfigurationError

DEFAULT_EMBEDDING_MODEL = "ibm-granite/granite-embedding-30m-english"


class EngineKind(StrEnum):
    EDGE = "edge"
    SERVER = "server"


class RebuildPolicy(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IndexSettings(_Group):
    """Where the vectors live."""

    engine: EngineKind = Field(EngineKind.EDGE, description="`edge` (in the process) or `server`")
    url: str = Field("http://127.0.0.1:6333", description="Qdrant server, REST address")
    grpc_port: int = Field(6334, description="Qdrant server, gRPC port")
    api_key: SecretStr | None = Field(None, description="Qdrant server's API key")
    prefix: str = Field("plumbline", description="first part of the index name")
    timeout_s: float = Field(10.0, gt=0, description="longest wait for one call to the server")
    write_batch: Annotated[int, Field(ge=1, le=256)] = Field(
        64, description="points per write; Edge's writes hold up all other threads"
    )
    rebuild: RebuildPolicy = Field(
        RebuildPolicy.AUTO,
        description="when another model or chunker is set: `auto` builds its index beside the one that is searched and "
        "switches, `manual` waits for `plumbline reindex`",
    )


class EmbedderSettings(_Group):
    """The model that turns text into vectors."""

    provider: Literal["local", "openai"] = Field(
        "local", description="`local` (sentence-transformers) or `openai` (any compatible endpoint)"
    )
    model: str = Field(DEFAULT_EMBEDDING_MODEL, description="model id of a hub or of the endpoint, or a local folder")
    revision: str | None = Field(None, description="revision of a hub model")
    sha256: str | None = Field(None, description="expected SHA-256 of the weights file of a local folder or hub model")
    base_url: str | None = Field(None, description="OpenAI-compatible endpoint for embeddings")
    api_key: SecretStr | None = Field(None, description="key for that endpoint")
    dimension: int | None = Field(
        None, ge=1, description="vector size of the endpoint's model; asked for once if unset"
    )
    max_tokens: int = Field(
        8191, ge=8, description="longest input of the endpoint's model, in cl100k_base tokens; longer text is cut"
    )
    query_prefix: str = Field("", description="text put before every query (some models want one)")
    document_prefix: str = Field("", description="text put before every document chunk")
    batch_size: int = Field(32, ge=1, description="texts per forward pass or call")
    threads: int | None = Field(None, ge=1, description="CPU threads of the model; all cores if unset")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the local model; `bfloat16` is faster on processors that compute in it, slower on others",
    )
    timeout_s: float = Field(30.0, gt=0, description="longest wait for one call to the endpoint")

    @model_validator(mode="after")
    def _endpoint_is_complete(self) -> EmbedderSettings:
        if self.provider == "openai" and self.base_url is None:
            raise ValueError("PLUMBLINE_EMBEDDER__PROVIDER=openai needs PLUMBLINE_EMBEDDER__BASE_URL")
        return self


class ChunkingSettings(_Group):
    """How text is cut, in the embedder's own tokens."""

    max_tokens: int = Field(200, ge=32, description="longest chunk of prose; code and tables may be longer")
    min_tokens: int = Field(40, ge=0, description="shorter siblings are merged")
    hard_max_tokens: int = Field(
        480, ge=64, description="longest code block or table kept whole; beyond it is cut at lines"
    )


class ParsingSettings(_Group):
    """Limits of the child process that reads one document."""

    max_bytes: int = Field(50_000_000, ge=1, description="largest document accepted")
    max_text_chars: int = Field(10_000_000, ge=1, description="longest normalised text accepted")
    max_unpacked_bytes: int = Field(300_000_000, ge=1, description="largest content of a zip-based document")
    timeout_s: float = Field(60.0, gt=0, description="wall time for one document")
    memory_mb: int = Field(2048, ge=512, description="address space of the parser process")
    processes: int = Field(1, ge=1, description="parser processes")
    max_attachments: int = Field(50, ge=0, le=1000, description="attachments of one e-mail that become documents")
    ocr_max_pages: int = Field(200, ge=0, description="pages of one document that go through text recognition")
    ocr_page_timeout_s: float = Field(
        30.0, gt=0, description="wall time added for each page that goes through text recognition"
    )

    def ocr_allowance_s(self, pages: int) -> float:
        """Time that so many pages of text recognition add to what a document may take."""
        return max(0, min(pages, self.ocr_max_pages)) * self.ocr_page_timeout_s


class SourcesSettings(_Group):
    """What sources may read, and how patiently."""

    folders: tuple[Path, ...] = Field(
        (), description="folders below which sources added over HTTP may read files and repositories (JSON list)"
    )
    databases: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="SQLAlchemy addresses of the databases that `sql` sources name: `..__DATABASES__SHOP=postgresql://…`",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="private host names, addresses or networks that `web` and `git` sources may reach (JSON list)",
    )
    user_agent: str = Field("Plumbline/0.1", description="how `web` sources name themselves; robots.txt may name it")
    timeout_s: float = Field(30.0, gt=0, description="longest wait for one answer of a web server")
    git_timeout_s: float = Field(600.0, gt=0, description="longest clone or fetch")
    statement_timeout_s: float = Field(120.0, gt=0, description="longest query against a `sql` source")
    watch_debounce_s: float = Field(1.0, ge=0.05, description="quiet time after a change before a watched folder syncs")


class JobsSettings(_Group):
    """How much one worker does at once."""

    uploads: int = Field(1, ge=1, le=16, description="upload jobs at a time; they go before syncs and rebuilds")
    bulk: int = Field(1, ge=1, le=16, description="syncs and rebuilds at a time")
    attempts: int = Field(3, ge=1, le=10, description="tries of one document before it is quarantined")
    keep_days: float = Field(30.0, gt=0, description="days until a job that is over is forgotten")


class Settings(BaseSettings):
    """Settings shared by ingestion and service. Immutable; secrets never print."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    data_dir: Path = Field(Path(".plumbline"), description="folder of the embedded database, index and models")
    models_dir: Path | None = Field(
        None,
        description="folder of rebuilt and fetched models, to share between data folders; in each of them if unset",
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy address of Postgres; SQLite in the data folder if unset"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    log_format: Literal["json", "console"] = Field("console", description="one JSON object a line, or for people")
    worker_id: str = Field("local", description="name of this worker; a restarted one takes up its unfinished jobs")
    index: IndexSettings = Field(default_factory=IndexSettings)
    embedder: EmbedderSettings = Field(default_factory=EmbedderSettings)
    chunking: ChunkingSettings = Field(default_factory=ChunkingSettings)
    parsing: ParsingSettings = Field(default_factory=ParsingSettings)
    sources: SourcesSettings = Field(default_factory=SourcesSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)

    @property
    def models_path(self) -> Path:
        """Where models are kept: `models_dir`, or a folder of the data."""
        return self.models_dir or self.data_dir / "models"


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S]) -> S:
    """The settings from the environment. Raises: ConfigurationError that names each variable that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        wrong = "; ".join(
            f"PLUMBLINE_{'__'.join(map(str, problem['loc'])).upper()}: {problem['msg']}" for problem in error.errors()
        )
        raise ConfigurationError(wrong) from error
    except SettingsError as error:
        raise ConfigurationError(str(error)) from error
