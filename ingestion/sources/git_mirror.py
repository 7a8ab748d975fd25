"""A local copy of one branch of a repository: brought up to date, made anew if it is damaged, used by one at a time.

It holds commits and folders of the whole history, and of the files only those that were asked for, where the server
can leave the others out (`--filter=blob:none`; most can). What is read from it is left to `git`.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from ingestion.errors import SourceUnavailable
from ingestion.sources.git_program import GitProgram, without_credentials

_TIP = "refs/plumbline/tip"
_SHA256_HEX = 64
_PLAIN = "config.plain"
_TEMPORARY = ("new-", "old-")
_LOCKS = ("*.lock", "refs/**/*.lock", "objects/*.lock", "objects/info/**/*.lock")


@dataclass(frozen=True, slots=True)
class Look:
    """What a repository says of a branch: the ref, and its commit or None in a repository without any."""

    ref: str
    commit: str | None


class Mirror:
    """`mirror.git` in the workspace, beside a lock. `url` may name a folder of this machine."""

    def __init__(self, program: GitProgram, url: str, workspace: Path) -> None:
        self._program = program
        self._url = url
        self._shown = without_credentials(url)
        self._workspace = workspace
        self._folder = workspace / "mirror.git"

    def look(self, branch: str | None) -> Look:
        """The commit of the branch, or of the default branch, as the repository itself says it.

        Raises: SourceUnavailable if it can't be reached, or has commits but not this branch.
        """
        ref = "HEAD" if branch is None else f"refs/heads/{branch}"
        named = self._advertised(ref)
        if ref in named:
            return Look(ref, named[ref])
        if not self._advertised():
            return Look(ref, None)
        what = "default branch (its HEAD names none): set `branch`" if branch is None else f"branch {branch!r}"
        raise SourceUnavailable(f"{self._shown} has no {what}; what was read of it is kept")

    @contextmanager
    def held(self) -> Iterator[None]:
        """While nobody else uses the mirror. The lock goes with the process, however it ends.

        Raises: SourceUnavailable if another scan is at it, or the workspace can't be written.
        """
        try:
            self._workspace.mkdir(parents=True, exist_ok=True)
            lock = (self._workspace / "lock").open("ab")
        except OSError as error:
            raise SourceUnavailable(f"cannot write to {self._workspace}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SourceUnavailable(f"another scan of {self._shown} is still running") from error
            self._sweep()
            yield

    def bring(self, ref: str, commit: str) -> str:
        """The commit, now in the mirror; the branch's newer one if it is gone already. Call while it is held.

        A mirror that is damaged, of another address, or can't take the commit is replaced by a new clone, once that
        is complete. Raises: SourceUnavailable.
        """
        if self._is_sound():
            tip = self._commit(self._folder, _TIP)
            if tip == commit:
                return commit
            complaint = self._fetch(self._folder, ref)
            if complaint is None:
                return self._commit(self._folder, commit) or self._tip()
            structlog.get_logger().info("git_mirror_renewed", url=self._shown, reason=complaint)
        self._renew(ref, commit)
        return self._commit(self._folder, commit) or self._tip()

    def discard(self) -> None:
        """Removes the mirror: the next scan clones it again."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def need(self, blobs: Sequence[str]) -> None:
        """Fetches what the mirror lacks of these blobs, in one go. Raises: SourceUnavailable."""
        wanted = "".join(f"{blob}\n" for blob in blobs).encode()
        here = self._program.ask(self.on("cat-file", "--batch-check=%(objecttype)"), given=wanted)
        if here.status == 0 and b"missing" not in here.output:
            return
        # What git does itself for a blob that it lacks, but for many at once.
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin", "origin")
        answer = self._program.ask(self.on("-c", "fetch.negotiationAlgorithm=noop", *fetch), given=wanted, network=True)
        _make_plain(self._folder)
        if answer.status != 0:
            raise SourceUnavailable(f"{self._shown}: files could not be fetched: {answer.complaint}")

    def on(self, *arguments: str) -> tuple[str, ...]:
        """The arguments of a git command on the mirror."""
        return ("--git-dir", str(self._folder), *arguments)

    def _advertised(self, *refs: str) -> dict[str, str]:
        answer = self._program.ask(("ls-remote", "--quiet", "--", self._url, *refs), network=True)
        if answer.status != 0:
            raise SourceUnavailable(f"{self._shown} can't be read: {answer.complaint or 'git gave no reason'}")
        lines = (line.split("\t", 1) for line in answer.output.decode("utf-8", "replace").splitlines() if "\t" in line)
        return {ref: commit for commit, ref in lines}

    def _is_sound(self) -> bool:
        if not self._folder.is_dir():
            return False
        url = self._program.ask(self.on("config", "--get", "remote.origin.url"))
        tree = self._program.ask(self.on("rev-parse", "--verify", "--quiet", f"{_TIP}^{{tree}}"))
        read = self._program.ask(self.on("cat-file", "-e", f"{_TIP}^{{tree}}"))
        return url.output.decode("utf-8", "replace").strip() == self._url and tree.status == read.status == 0

    def _renew(self, ref: str, commit: str) -> None:
        new, old = (Path(tempfile.mkdtemp(prefix=name, dir=self._workspace)) for name in _TEMPORARY)
        algorithm = ["--object-format=sha256"] if len(commit) == _SHA256_HEX else []
        made = self._program.ask(("init", "--quiet", "--bare", "--template=", *algorithm, "--", str(new)))
        named = self._program.ask(("--git-dir", str(new), "config", "remote.origin.url", self._url))
        if made.status or named.status:
            raise SourceUnavailable(
                f"no repository can be made in {self._workspace}: {made.complaint or named.complaint}"
            )
        shutil.copyfile(new / "config", new / _PLAIN)
        complaint = self._fetch(new, ref)
        if complaint is not None:
            shutil.rmtree(new, ignore_errors=True)
            raise SourceUnavailable(f"{self._shown} can't be cloned: {complaint}")
        if self._folder.exists():
            self._folder.rename(old / "mirror.git")
        new.rename(self._folder)
        shutil.rmtree(old, ignore_errors=True)

    def _fetch(self, folder: Path, ref: str) -> str | None:
        """Why the branch could not be fetched; None if it was. The history may have been rewritten."""
        fetch = ("fetch", "--quiet", "--force", "--no-tags", "--filter=blob:none", "origin", f"+{ref}:{_TIP}")
        answer = self._program.ask(("--git-dir", str(folder), *fetch), network=True)
        _make_plain(folder)
        return None if answer.status == 0 else answer.complaint or "git gave no reason"

    def _commit(self, folder: Path, name: str) -> str | None:
        found = self._program.ask(
            ("--git-dir", str(folder), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        )
        return found.output.decode().strip() if found.status == 0 else None

    def _tip(self) -> str:
        tip = self._commit(self._folder, _TIP)
        if tip is None:
            raise SourceUnavailable(f"the copy of {self._shown} in {self._folder} has no commit")
        return tip

    def _sweep(self) -> None:
        """Removes what a scan left that was killed: half a clone, and git's lock files, which only it could hold."""
        for name in _TEMPORARY:
            for leftover in self._workspace.glob(f"{name}*"):
                shutil.rmtree(leftover, ignore_errors=True)
        if self._folder.is_dir():
            for where in _LOCKS:
                for lock in self._folder.glob(where):
                    lock.unlink(missing_ok=True)
            _make_plain(self._folder)


def _make_plain(folder: Path) -> None:
    """Takes back that a fetch noted in the configuration where lacking files are to be had.

    With that note each local command would try to fetch what it misses, one by one, and in a damaged mirror start
    itself again without end (seen with git 2.39). Without it, what is missing is missing.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        shutil.copyfile(folder / _PLAIN, folder / "config.new")
        (folder / "config.new").replace(folder / "config")
