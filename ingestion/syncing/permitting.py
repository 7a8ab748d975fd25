"""Whether a caller from elsewhere may name the place that a source reads: only what the settings allow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ingestion.errors import DocumentRejected, InvalidRequest
from ingestion.settings import SourcesSettings
from ingestion.sources.addresses import checked_addresses
from ingestion.sources.definitions import FolderOrigin, GitOrigin, SourceDefinition, SqlOrigin, WebOrigin

_PORTS = {"http": 80, "https": 443, "ssh": 22}
_SHORT_SSH = re.compile(r"(?:[^@/]*@)?(?P<host>[^:/@]+):", re.ASCII)


def check_place(definition: SourceDefinition, settings: SourcesSettings) -> None:
    """Raises: InvalidRequest for a folder or repository that is not below an allowed folder, or for a repository or
    site at an address that is not allowed. Addresses of web pages are checked again whenever one is fetched.
    """
    origin = definition.origin
    try:
        if isinstance(origin, FolderOrigin):
            _check_folder(origin.path, settings.folders, "/origin/path")
        elif isinstance(origin, GitOrigin):
            _check_repository(origin.url, settings)
        elif isinstance(origin, WebOrigin):
            parts = urlsplit(origin.url)
            _check_host(parts.hostname or "", parts.port or _PORTS[parts.scheme], settings)
    except ValueError as error:  # of `urlsplit`, of a port, or of a name that no resolver takes
        raise InvalidRequest(f"not an address: {error}", pointer="/origin/url") from error


def check_database(definition: SourceDefinition, settings: SourcesSettings) -> None:
    """Raises: InvalidRequest for a database that the settings do not name."""
    if isinstance(definition.origin, SqlOrigin):
        known = sorted(name.lower() for name in settings.databases)
        if definition.origin.database not in known:
            raise InvalidRequest(
                f"no database is named {definition.origin.database!r}: set "
                f"PLUMBLINE_SOURCES__DATABASES__{definition.origin.database.upper()} to its address",
                pointer="/origin/database",
            )


def _check_folder(path: Path, allowed: Sequence[Path], pointer: str) -> None:
    place = path.resolve()
    if not any(place.is_relative_to(folder.resolve()) for folder in allowed):
        raise InvalidRequest(
            f"{path} is not below a folder that sources may read; PLUMBLINE_SOURCES__FOLDERS lists those",
            pointer=pointer,
        )


def _check_repository(url: str, settings: SourcesSettings) -> None:
    if url.startswith("/"):
        _check_folder(Path(url), settings.folders, "/origin/url")
        return
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme == "file":
        _check_folder(Path(unquote(parts.path)), settings.folders, "/origin/url")
        return
    if scheme in _PORTS:
        host, port = parts.hostname, parts.port or _PORTS[scheme]
    else:
        short = _SHORT_SSH.match(url)
        host, port = short["host"] if short else None, _PORTS["ssh"]
    if not host:
        raise InvalidRequest(f"{url} names no host", pointer="/origin/url")
    _check_host(host, port, settings)


def _check_host(host: str, port: int, settings: SourcesSettings) -> None:
    try:
        checked_addresses(host, port, settings.allowed_hosts)
    except DocumentRejected as error:
        raise InvalidRequest(error.detail, pointer="/origin/url") from error
    except OSError as error:
        raise InvalidRequest(f"{host} has no address: {error}", pointer="/origin/url") from error
