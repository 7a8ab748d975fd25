"""Files and folders of this machine as documents."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ingestion.corpus.records import DEFAULT_COLLECTION, DocumentSource, Metadata, document_id_for
from ingestion.errors import InvalidRequest

SOURCE = "files"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest. `uri` is its path from the name of the root that was given: the same wherever the root lies."""

    path: str
    uri: str


@dataclass(frozen=True, slots=True)
class FileSelection:
    """What to ingest; `skipped` are files in folders whose kind is not supported."""

    files: tuple[FoundFile, ...]
    skipped: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the caller says about all of the files."""

    collection: str = DEFAULT_COLLECTION
    labels: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)


def select_files(paths: Sequence[Path], suffixes: Collection[str]) -> FileSelection:
    """The files at and under the paths, sorted. Hidden files and folders are left out.

    A file named itself is taken whatever its suffix, so that the parser can say what is wrong with it.
    Raises: InvalidRequest for a path that does not exist.
    """
    files: dict[str, FoundFile] = {}
    skipped: list[Path] = []
    for root in paths:
        if not root.exists():
            raise InvalidRequest(f"{root} does not exist")
        resolved = root.resolve()
        if resolved.is_file():
            files.setdefault(str(resolved), FoundFile(str(resolved), resolved.name))
            continue
        for path in _walk(resolved):
            if path.suffix.lower() in suffixes:
                uri = (Path(resolved.name) / path.relative_to(resolved)).as_posix()
                files.setdefault(str(path), FoundFile(str(path), uri))
            else:
                skipped.append(path)
    return FileSelection(tuple(files[path] for path in sorted(files)), tuple(skipped))


def read_files(files: Sequence[FoundFile], attributes: Attributes, *, max_bytes: int) -> Iterator[DocumentSource]:
    """The files as documents, each read when it is asked for. The id comes from the whole path.

    A file that can't be read comes without bytes and with `unreadable` set; of one over `max_bytes` no more is read
    than shows that it is.
    """
    for file in files:
        path = Path(file.path)
        data, unreadable, modified_at = b"", None, None
        try:
            with path.open("rb") as handle:
                data = handle.read(max_bytes + 1)
            modified_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError as error:
            unreadable = error.strerror or type(error).__name__
        yield DocumentSource(
            id=document_id_for(SOURCE, path.as_posix()),
            uri=file.uri,
            name=path.name,
            data=data,
            source=SOURCE,
            collection=attributes.collection,
            labels=attributes.labels,
            metadata=attributes.metadata,
            modified_at=modified_at,
            unreadable=unreadable,
        )


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path
