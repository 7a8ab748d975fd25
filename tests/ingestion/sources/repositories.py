"""A real git repository with a work tree, for tests; of git's configuration on this machine nothing is used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def blobs_in(repository: Path) -> int:
    """How many files' contents the repository holds itself."""
    listed = ["git", "--git-dir", str(repository), "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"]
    return subprocess.run(listed, capture_output=True, check=True).stdout.split().count(b"blob")


class GitRepository:
    """`path` is the work tree, on branch `main`. Its server side can leave files out of a clone."""

    def __init__(self, path: Path, *, hashes: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.run("init", "--quiet", "--initial-branch=main", f"--object-format={hashes}")
        self.run("config", "uploadpack.allowFilter", "true")

    def run(self, *arguments: str, given: bytes = b"", date: int | None = None) -> str:
        """The output of a git command in the work tree. `date`: seconds since 1970, for a commit."""
        dates = {} if date is None else {"GIT_COMMITTER_DATE": f"@{date} +0000", "GIT_AUTHOR_DATE": f"@{date} +0000"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=given,
            capture_output=True,
            check=False,
            env={**os.environ, **_IDENTITY, **dates},
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def commit(self, files: Mapping[str, str | bytes], message: str = "changed", date: int | None = None) -> str:
        """The hash of a new commit with these files as given and everything else as it lies in the work tree."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.run("add", "--all")
        self.run("commit", "--quiet", "--allow-empty", f"--message={message}", date=date)
        return self.run("rev-parse", "HEAD")
