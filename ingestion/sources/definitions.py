"""What a user says about a source: its kind with where and what to read, and how its documents are filed.

Checked when a source is added, by HTTP and command line alike. Whether its caller may name that place is decided there.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NewType

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from ingestion.corpus.records import DEFAULT_COLLECTION, MetadataValue
from ingestion.sources.matching import checked

SourceId = NewType("SourceId", str)
"""Chosen by the user, unique within the tenant: what `source` of a document says."""

_A_YEAR_S = 366 * 86_400
_RESERVED = frozenset({"upload", "files"})
_ID = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_REPOSITORY = re.compile(
    r"(?:https?://[^/-]|ssh://[^/-]|file:///|/)"
    r"|(?:[a-z0-9_.][a-z0-9_.-]*@)?[a-z0-9][a-z0-9.-]*:(?![:/]{2})[^-:]",
    re.IGNORECASE | re.ASCII,
)
_NO_BRANCH = re.compile(r"^$|^[-/.]|[/.]$|\.\.|//|/\.|@\{|\.lock$|[ ~^:?*\[\\]|^refs/")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)

Globs = Annotated[tuple[Annotated[str, AfterValidator(checked)], ...], Field(max_length=100)]


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FolderOrigin(_Definition):
    """A folder of this machine, with all that lies below it. Hidden files and links that lead outside are left out."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="the folder, as a whole path")
    include: Globs = Field(
        (),
        description="only paths that match one of these globs (`**/*.md`), from the folder; kinds of files that are "
        "not read by default are if a glob names them (`*.cfg`)",
    )
    exclude: Globs = Field((), description="no path that matches one of these globs")
    watch: bool = Field(False, description="sync as soon as something changes")

    @field_validator("path")
    @classmethod
    def _whole(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("give the whole path, from the root: sources are read by another process")
        if ".." in path.parts or "\0" in str(path):
            raise ValueError("give the path without `..`")
        return path


class GitOrigin(_Definition):
    """A branch of a Git repository, or a folder of it. A commit that is known already costs one look.

    Hidden files, links, submodules and what Git LFS keeps elsewhere are left out.
    """

    kind: Literal["git"] = "git"
    url: str = Field(
        min_length=1,
        max_length=2000,
        description="what `git clone` takes: https, http, ssh, or a whole path; no password",
    )
    branch: str | None = Field(None, max_length=200, description="the repository's own default branch if unset")
    subpath: str = Field("", max_length=1000, description="only this folder of the repository")
    include: Globs = Field(
        (),
        description="only paths that match one of these globs, from the subpath; see folders",
    )
    exclude: Globs = Field((), description="no path that matches one of these globs")

    @field_validator("branch")
    @classmethod
    def _plain_branch(cls, branch: str | None) -> str | None:
        if branch is not None and (not branch.isprintable() or _NO_BRANCH.search(branch)):
            raise ValueError("not the name of a branch")
        return branch

    @field_validator("subpath")
    @classmethod
    def _inside(cls, subpath: str) -> str:
        parts = PurePosixPath(subpath).parts
        if subpath.startswith("/") or ".." in parts:
            raise ValueError("give a path inside the repository, without a leading slash and without `..`")
        return "/".join(parts)

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if not url.isprintable() or " " in url or not _REPOSITORY.match(url):
            raise ValueError("give an https, http or ssh address (`git@host:path` too), or the whole path of a folder")
        if re.match(r"(?i)https?://[^/]*@", url):
            raise ValueError("leave name, password and token out: git's credential helper or an ssh key gives them")
        if re.match(r"(?i)ssh://[^/@]*:[^/]*@", url):
            raise ValueError("leave the password out: an ssh key takes its place")
        return url


class WebOrigin(_Definition):
    """A site, by its sitemap or by the links of a start page; never beyond the start's host and folder."""

    kind: Literal["web"] = "web"
    url: str = Field(
        max_length=2000, description="http or https: start page, or a sitemap (a path that ends in `.xml`)"
    )
    include: Globs = Field(
        (), description="only paths that match one of these globs (`/docs/**`); others are read for their links alone"
    )
    exclude: Globs = Field((), description="no path that matches one of these globs, not even for its links")
    max_pages: int = Field(1000, ge=1, le=100_000, description="more pages than this are not read, and that is said")
    delay_s: float = Field(0.2, ge=0, le=60, description="pause between two requests; robots.txt may ask for more")

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, url: str) -> str:
        if not re.match(r"https?://", url):
            raise ValueError("give an address that begins with https:// or http://")
        authority = re.split(r"[/?#]", url.partition("://")[2])[0]
        if not authority or "@" in authority or not url.isprintable() or " " in url:
            raise ValueError("give the address of a page, with a host and without user or password")
        return url


class SqlOrigin(_Definition):
    """Rows of a table or a query, one document each, read in a read-only session."""

    kind: Literal["sql"] = "sql"
    database: str = Field(description="name of a database in `PLUMBLINE_SOURCES__DATABASES`")
    table: str | None = Field(
        None, max_length=200, description='table or view, `schema.table` too; `"a.b"` for a dot in a name'
    )
    query: str | None = Field(None, max_length=20_000, description="one SELECT, in place of `table`")
    key: str = Field(max_length=200, description="column whose value is unique and never changes")
    text: tuple[str, ...] = Field(min_length=1, max_length=50, description="columns that make up the text, in order")
    title: str | None = Field(None, max_length=200, description="column for the title; the key if unset")
    metadata: tuple[str, ...] = Field((), max_length=50, description="columns to store as metadata")
    updated_at: str | None = Field(
        None,
        max_length=200,
        description="column that changes with every change of the row (in Postgres `xmin` always does); "
        "without it all is read",
    )
    text_format: Literal["text", "markdown", "html"] = Field("text", description="what the text columns hold")

    @field_validator("database")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("name an entry of PLUMBLINE_SOURCES__DATABASES, not an address")
        return name.lower()

    @model_validator(mode="after")
    def _one_of(self) -> SqlOrigin:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self


OriginDefinition = Annotated[FolderOrigin | GitOrigin | WebOrigin | SqlOrigin, Field(discriminator="kind")]


class SourceDefinition(_Definition):
    """A source as it is added."""

    id: str = Field(pattern=_ID, description="its name: lower-case letters, digits, dots, dashes and underscores")
    origin: OriginDefinition
    collection: str = Field(DEFAULT_COLLECTION, max_length=64, description="where its documents go")
    labels: tuple[str, ...] = Field((), max_length=50, description="groups that may read them; all if none is named")
    metadata: dict[str, MetadataValue] = Field(default_factory=dict, description="stored with each of its documents")
    interval_s: int | None = Field(
        None, ge=10, le=_A_YEAR_S, description="seconds between two syncs; only on demand if unset"
    )

    @field_validator("id")
    @classmethod
    def _free(cls, id_: str) -> str:
        if id_ in _RESERVED:
            raise ValueError(f"{id_!r} is what documents say that no source brought: choose another name")
        return id_
