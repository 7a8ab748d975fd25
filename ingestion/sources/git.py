"""A Git repository as an origin: the files of one commit. What is fetched and kept of it is left to `git_mirror`.

A blob's hash is its revision, so that a new commit costs no more than what it changed. Limits: files that Git LFS
keeps elsewhere can't be had; the date of a file is known if one of the last `_MOST_COMMITS` commits touched it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.definitions import GitOrigin
from ingestion.sources.git_mirror import Mirror
from ingestion.sources.git_program import GitFailed, GitProgram, without_credentials
from ingestion.sources.listing import Listed, key_of, path_of, readable, sightings
from ingestion.sources.matching import FileMatcher
from ingestion.sources.origin import End, Fetched, Gone, Known, OriginDocument, Sighting, Unavailable

_BATCH = 2048
"""Files fetched from the server in one round trip, and looked for in one walk over the history."""
_MOST_COMMITS = 5000
_REGULAR = (b"100644", b"100755", b"100664")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LFS_POINTER_BYTES = 1024
_PIECE = 1 << 16


class Git:
    """The files of a branch below a folder of the repository. Keeps a mirror in `workspace`, which it owns alone.

    Taken are files with one of `suffixes`, and those that a glob of `include` names. Hidden files, links and
    submodules are left out. `timeout_s` bounds each command that talks to the server.
    """

    def __init__(
        self, definition: GitOrigin, *, workspace: Path, suffixes: Collection[str], max_bytes: int, timeout_s: float
    ) -> None:
        self._definition = definition
        self._shown = without_credentials(definition.url)
        self._program = GitProgram(timeout_s)
        self._mirror = Mirror(self._program, definition.url, workspace)
        self._files = FileMatcher(definition.include, definition.exclude, suffixes)
        self._max_bytes = max_bytes
        self._name = PurePosixPath(definition.url.replace(":", "/").rstrip("/")).name.removesuffix(".git")
        self._above = f"{definition.subpath}/".lstrip("/").encode()

    def token(self) -> str | None:
        """`branch:commit`, at the cost of one request; None in a repository without commits.

        Raises: SourceUnavailable if the repository can't be reached or has no such branch.
        """
        look = self._mirror.look(self._definition.branch)
        return f"{self._definition.branch or 'HEAD'}:{look.commit}" if look.commit else None

    def scan(self, known: Known) -> Iterator[Sighting]:
        """See `Origin.scan`. A branch whose history was rewritten is read as it is now.

        Raises: SourceUnavailable, also for a folder that the branch does not have and from which nothing was read
        before (a typing error, not a deletion), and for a repository that lost all its commits.
        """
        with self._mirror.held():
            look = self._mirror.look(self._definition.branch)
            if look.commit is None:
                if known.sample() is not None:
                    raise SourceUnavailable(f"{self._shown} has no commits; what was read of it is kept")
                yield End(complete=True)
                return
            commit = self._mirror.bring(look.ref, look.commit)
            try:
                tree = self._tree(commit, known)
                if tree is not None:
                    yield from sightings(self._listed(tree), known, partial(self._fetch, commit), batch=_BATCH)
            except GitFailed as error:
                self._mirror.discard()
                raise SourceUnavailable(
                    f"the local copy of {self._shown} was damaged and is removed; "
                    f"the next sync clones it again ({error.detail})"
                ) from error
            yield End(complete=True)

    def close(self) -> None:
        """Nothing is held between scans; the mirror stays."""

    def _tree(self, commit: str, known: Known) -> str | None:
        """The folder's tree; None if the branch no longer has the folder."""
        subpath = self._definition.subpath
        name = f"{commit}:{subpath}" if subpath else f"{commit}^{{tree}}"
        found = self._program.ask(self._mirror.on("rev-parse", "--verify", "--quiet", "--end-of-options", name))
        tree = found.output.decode().strip()
        if found.status == 0:
            kind = self._program.ask(self._mirror.on("cat-file", "-t", tree))
            if kind.output.strip() == b"tree":
                return tree
        if known.sample() is None:
            branch = self._definition.branch or "the default branch"
            raise SourceUnavailable(f"{self._shown} has no folder {subpath!r} in {branch}: correct the subpath")
        return None

    def _listed(self, tree: str) -> Iterator[Listed]:
        with self._program.reading(self._mirror.on("ls-tree", "-r", "-z", tree)) as output:
            for entry in _until_nul(output):
                about, _, path = entry.partition(b"\t")
                mode, _, blob = about.split(b" ")
                if mode in _REGULAR and self._files.takes(path):
                    yield Listed(key_of(path), blob.decode())

    def _fetch(self, commit: str, items: Sequence[Listed]) -> Iterator[Fetched | Unavailable | Gone]:
        blobs = [item.revision for item in items if item.revision is not None]
        self._mirror.need(blobs)
        dates = self._dates(commit, {self._above + path_of(item.key) for item in items})
        wanted = "".join(f"{blob}\n" for blob in blobs).encode()
        with self._program.reading(self._mirror.on("cat-file", "--batch"), given=wanted) as output:
            for item in items:
                path = self._above + path_of(item.key)
                yield self._sighted(item, path, self._blob(output), dates.get(path))

    def _sighted(self, item: Listed, path: bytes, data: bytes, modified_at: datetime | None) -> Fetched | Unavailable:
        uri = f"{self._name}/{readable(path)}"
        if len(data) <= _LFS_POINTER_BYTES and data.startswith(_LFS_POINTER):
            return Unavailable(
                item.key,
                uri,
                RejectionCode.UNREADABLE,
                "Git LFS keeps its content outside the repository, and plumbline does not fetch it from there: "
                "exclude it, or make a folder source of a checkout",
            )
        document = OriginDocument(uri, PurePosixPath(uri).name, data, modified_at=modified_at)
        return Fetched(item.key, document, item.revision)

    def _blob(self, output: IO[bytes]) -> bytes:
        """The next blob of `cat-file --batch`, or as much of it as shows that it is too large."""
        header = output.readline().split()
        if len(header) != 3:  # "<blob> missing", or nothing
            raise GitFailed(b" ".join(header).decode("utf-8", "replace") or "git ended early")
        size = int(header[2])
        data = output.read(min(size, self._max_bytes + 1))
        left = size - len(data) + 1  # and the line's end
        while left > 0:
            piece = output.read(min(left, _PIECE))
            if not piece:
                raise GitFailed("git ended early")
            left -= len(piece)
        return data

    def _dates(self, commit: str, paths: set[bytes]) -> dict[bytes, datetime]:
        """When the branch got the present state of these files, as far as the last commits tell."""
        log = ("log", "-z", "--first-parent", "-m", "--name-only", "--no-renames", "--format=tformat:/%ct")
        within = ("--", self._definition.subpath) if self._definition.subpath else ()
        command = self._mirror.on(*log, f"--max-count={_MOST_COMMITS}", commit, *within)
        dates: dict[bytes, datetime] = {}
        moment: datetime | None = None
        with self._program.reading(command, to_the_end=False) as output:
            for entry in _until_nul(output):
                # A path never begins with a slash; the first one of a commit follows a line's end.
                if entry.startswith(b"/"):
                    moment = _moment(entry[1:])
                    continue
                for path in (entry, entry.removeprefix(b"\n")):
                    if path in paths and moment is not None:
                        dates.setdefault(path, moment)
                if len(dates) == len(paths):
                    break
        return dates


def _until_nul(output: IO[bytes]) -> Iterator[bytes]:
    """What stands between the NULs of the output."""
    rest = b""
    while piece := output.read(_PIECE):
        *entries, rest = (rest + piece).split(b"\0")
        yield from entries
    if rest:
        yield rest


def _moment(seconds: bytes) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None
