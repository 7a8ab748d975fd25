"""From a definition to the origin that it describes. What a kind of origin needs is imported when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingestion.settings import Settings
from ingestion.sources.definitions import FolderOrigin, GitOrigin, OriginDefinition, SqlOrigin, WebOrigin
from ingestion.sources.origin import Origin


def open_origin(definition: OriginDefinition, settings: Settings, workspace: Path, suffixes: frozenset[str]) -> Origin:
    """The origin; the caller closes it. `workspace` is a folder of its own, which need not be there yet.

    `suffixes` are those of the files that can be read, with their dots.
    Raises: InvalidRequest for a definition that can't work with these settings; SourceUnavailable.
    """
    opened: dict[str, Callable[[Any, Settings, Path, frozenset[str]], Origin]] = {
        "folder": _folder,
        "git": _git,
        "web": _web,
        "sql": _sql,
    }
    return opened[definition.kind](definition, settings, workspace, suffixes)


def _folder(definition: FolderOrigin, settings: Settings, _workspace: Path, suffixes: frozenset[str]) -> Origin:
    from ingestion.sources.folder import Folder

    return Folder(definition, suffixes, settings.parsing.max_bytes)


def _git(definition: GitOrigin, settings: Settings, workspace: Path, suffixes: frozenset[str]) -> Origin:
    from ingestion.sources.git import Git

    return Git(
        definition,
        workspace=workspace,
        suffixes=suffixes,
        max_bytes=settings.parsing.max_bytes,
        timeout_s=settings.sources.git_timeout_s,
    )


def _web(definition: WebOrigin, settings: Settings, _workspace: Path, _suffixes: frozenset[str]) -> Origin:
    from ingestion.sources.web import Web

    return Web(definition, settings=settings.sources, max_bytes=settings.parsing.max_bytes)


def _sql(definition: SqlOrigin, settings: Settings, _workspace: Path, _suffixes: frozenset[str]) -> Origin:
    from ingestion.sources.sql import Sql, address_of

    return Sql(
        definition,
        address=address_of(definition.database, settings.sources.databases),
        max_bytes=settings.parsing.max_bytes,
        statement_timeout_s=settings.sources.statement_timeout_s,
    )
