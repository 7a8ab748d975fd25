"""A folder of this machine as an origin. Which of its documents are new or gone is the sync's to conclude.

Everything is opened from the root downwards and no link is followed on the way, so that nobody who may write into the
folder can make the scan read outside of it. Limits: what lies behind links to folders is read only where it really
is; a share mounted below the root that goes away looks like an emptied folder (make such a share a source itself);
the names of one folder's entries are held in memory.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.definitions import FolderOrigin
from ingestion.sources.listing import Listed, key_of, path_of, readable, sightings
from ingestion.sources.matching import FileMatcher
from ingestion.sources.origin import End, Fetched, Gone, Known, OriginDocument, Sighting, Unavailable

_FRESH_NS = 2_000_000_000
"""A file that changed so recently may change again within one tick of its file system's clock (FAT: 2 s)."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Scan:
    """One pass: the root stays open, which also keeps a share from being unmounted meanwhile."""

    root: int
    identity: str
    complete: bool = True


class Folder:
    """The files below a folder. A revision is a file's times, size and inode, so that an unchanged one is not read.

    Taken are files with one of `suffixes`, and those that a glob of `include` names. Hidden files and folders, and
    links that lead outside or to a folder, are left out. A larger file than `max_bytes` is read only so far that it
    shows. `clock` gives nanoseconds since 1970.
    """

    def __init__(
        self,
        definition: FolderOrigin,
        suffixes: Collection[str],
        max_bytes: int,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path = definition.path
        self._files = FileMatcher(definition.include, definition.exclude, suffixes)
        self._max_bytes = max_bytes
        self._clock = clock

    def token(self) -> None:
        """None: nothing short of a look at every file tells whether one changed."""
        return

    def scan(self, known: Known) -> Iterator[Sighting]:
        """See `Origin.scan`. A folder below the root that can't be listed makes the scan incomplete.

        Raises: SourceUnavailable if the root can't be listed, or is empty all at once as an unmounted share looks:
        another folder than the one that was read before. If it is the same folder, its files were deleted.
        """
        with self._opened() as scan:
            if self._is_empty(scan) and not self._was_emptied(scan, known):
                raise SourceUnavailable(
                    f"{self._path} is empty, as a share that is not mounted would be; what was read of it is kept. "
                    "If it is meant to be empty, put any file into it, or delete the source"
                )
            yield from sightings(self._walk(scan), known, partial(self._fetch, scan))
            yield End(scan.complete and self._is_there(scan))

    def close(self) -> None:
        """Nothing is held between scans."""

    @contextmanager
    def _opened(self) -> Iterator[_Scan]:
        try:
            root = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unlisted(error) from error
        try:
            yield _Scan(root, _identity(os.fstat(root)))
        finally:
            os.close(root)

    def _is_empty(self, scan: _Scan) -> bool:
        try:
            with os.scandir(scan.root) as entries:
                return next(entries, None) is None
        except OSError as error:
            raise self._unlisted(error) from error

    def _is_there(self, scan: _Scan) -> bool:
        """False if the root was moved or removed during the scan, which may then have met half of it."""
        try:
            return _identity(self._path.stat()) == scan.identity
        except OSError:
            return False

    @staticmethod
    def _was_emptied(scan: _Scan, known: Known) -> bool:
        sample = known.sample()
        return sample is None or sample.state.get("root") == scan.identity

    def _walk(self, scan: _Scan) -> Iterator[Listed | Unavailable]:
        """What is taken, the files of each folder before its folders, both by name."""
        folders = [b""]
        while folders:
            folder = folders.pop()
            below: list[bytes] = []
            try:
                descriptor = _open(scan.root, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield self._unlisted_below(scan, folder, error)
                continue
            try:
                with os.scandir(descriptor) as entries:
                    found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
                for name, is_folder in found:
                    path = os.path.join(folder, os.fsencode(name))  # noqa: PTH118 (bytes)
                    if is_folder:
                        below.append(path)
                    elif self._files.takes(path):
                        yield from self._listed(scan, descriptor, path)
            except OSError as error:
                yield self._unlisted_below(scan, folder, error)
            finally:
                os.close(descriptor)
            folders.extend(path for path in reversed(below) if self._files.enters(path))

    def _listed(self, scan: _Scan, folder: int, path: bytes) -> Iterator[Listed]:
        """The file, unless it is none: a link that leads nowhere, outside or to a folder, a pipe, a device."""
        try:
            status = os.stat(os.path.basename(path), dir_fd=folder, follow_symlinks=False)  # noqa: PTH119
            if stat.S_ISLNK(status.st_mode):
                target = self._target(path)
                if target is None:
                    return
                status = os.stat(target, dir_fd=scan.root, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError:
            yield Listed(key_of(path), None)
            return
        if stat.S_ISREG(status.st_mode):
            yield Listed(key_of(path), self._revision(status))

    def _target(self, path: bytes) -> bytes | None:
        """Where in the root the link leads; None if it leads outside, nowhere or to itself. Raises: OSError."""
        root = os.path.realpath(os.fsencode(self._path))
        try:
            target = os.path.realpath(os.path.join(root, path), strict=True)  # noqa: PTH118 (bytes)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return None
            raise
        inside = os.path.join(root, b"")  # noqa: PTH118
        return target.removeprefix(inside) if target.startswith(inside) else None

    def _revision(self, status: os.stat_result) -> str | None:
        now = self._clock()
        if status.st_ctime_ns > now - _FRESH_NS or abs(now - status.st_mtime_ns) < _FRESH_NS:
            return None
        return f"{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_size}-{status.st_ino}"

    def _fetch(self, scan: _Scan, items: Sequence[Listed]) -> Iterator[Fetched | Unavailable | Gone]:
        for item in items:
            path = path_of(item.key)
            try:
                yield self._read(scan, item.key, path)
            except (FileNotFoundError, NotADirectoryError):
                yield Gone(item.key)
            except OSError as error:
                detail = f"could not be read: {_reason(error)}"
                yield Unavailable(item.key, self._uri(path), RejectionCode.UNREADABLE, detail)

    def _read(self, scan: _Scan, key: str, path: bytes) -> Fetched | Gone:
        try:
            descriptor = _open(scan.root, path, _READ)
        except OSError:
            target = self._target(path)
            if target is None:
                return Gone(key)
            descriptor = _open(scan.root, target, _READ)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return Gone(key)
            data = _read_up_to(file.read, self._max_bytes + 1)
            revision = self._revision(before)
            if self._revision(os.fstat(descriptor)) != revision:
                revision = None
        uri = self._uri(path)
        document = OriginDocument(uri, PurePosixPath(uri).name, data, modified_at=_moment(before.st_mtime))
        return Fetched(key, document, revision, {"root": scan.identity})

    def _uri(self, path: bytes) -> str:
        return f"{self._path.name}/{readable(path)}".lstrip("/")

    def _unlisted(self, error: OSError) -> SourceUnavailable:
        reason = {FileNotFoundError: "does not exist", NotADirectoryError: "is not a folder"}.get(
            type(error), f"can't be listed: {_reason(error)}"
        )
        return SourceUnavailable(f"{self._path} {reason}; what was read of it is kept")

    def _unlisted_below(self, scan: _Scan, folder: bytes, error: OSError) -> Unavailable:
        if not folder:
            raise self._unlisted(error) from error
        scan.complete = False
        detail = f"the folder can't be listed: {_reason(error)}; exclude it (`{readable(folder)}/**`) or let it be read"
        return Unavailable(f"{key_of(folder)}/", f"{self._uri(folder)}/", RejectionCode.UNREADABLE, detail)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}"


def _open(root: int, path: bytes, flags: int) -> int:
    """The file or folder at a path below the root, no link followed. Raises: OSError."""
    folder = root
    *above, name = path.split(b"/") if path else [b"."]
    try:
        for part in above:
            deeper = os.open(part, _PASS, dir_fd=folder)
            if folder != root:
                os.close(folder)
            folder = deeper
        return os.open(name, flags, dir_fd=folder)
    finally:
        if folder != root:
            os.close(folder)


def _read_up_to(read: Callable[[int], bytes | None], limit: int) -> bytes:
    parts = []
    while limit > 0 and (part := read(min(limit, 1 << 20))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
