"""Which paths a source takes: by globs, and for files by kind too."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from wcmatch import glob

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.FORCEUNIX
_MAGIC = re.compile(r"[*?\[{\\]")
_EVERYTHING = re.compile(r"[*?]+")
_MAX_LENGTH = 500
_MAX_STARS = 3
_MAX_DEPTH = 100
_MAX_BRACES = 3
_MAX_COMMAS = 20


class PathMatcher:
    """Paths that match one of `include` (all, if there is none) and none of `exclude`.

    `*` stays within one folder, `**` crosses them, `{md,rst}` gives a choice. A glob without a slash is matched with
    the last part of the path alone, as in a `.gitignore`. One that excludes a folder, or includes one by its plain
    name, means all that lies below. Upper and lower case differ. No glob takes what lies deeper than `_MAX_DEPTH`
    folders: `**` would try for minutes.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        taken, left = tuple(map(_anywhere, include)), tuple(map(_anywhere, exclude))
        named = [pattern for pattern in taken if not _MAGIC.search(_last(pattern))]
        self._include = _compiled([*taken, *map(_below, named)])
        self._exclude = _compiled([*left, *map(_below, left)])
        self._naming = _compiled([pattern for pattern in taken if not _EVERYTHING.fullmatch(_last(pattern))])
        self._closed = _compiled([pattern.removesuffix("/**") for pattern in left])
        self._starts = tuple(map(_literal_start, taken))

    def takes(self, path: str) -> bool:
        """`path` has forward slashes and no leading one."""
        if path.count("/") > _MAX_DEPTH and (self._include is not None or self._exclude is not None):
            return False
        if self._include is not None and not self._include.match(path):
            return False
        return self._exclude is None or not self._exclude.match(path)

    def names(self, path: str) -> bool:
        """Whether a glob of `include` says which files it means (`*.cfg`, `LICENSE`), not only where (`docs/**`)."""
        return self._naming is not None and self._naming.match(path)

    def enters(self, folder: str) -> bool:
        """False only if nothing below the folder is taken, whatever lies there."""
        if folder.count("/") > _MAX_DEPTH and (self._include is not None or self._exclude is not None):
            return False
        if self._closed is not None and self._closed.match(folder):
            return False
        parts = folder.split("/")
        return not self._starts or any(
            all(ours == theirs for ours, theirs in zip(start, parts, strict=False)) for start in self._starts
        )


class FileMatcher:
    """Files of a kind that is read (`suffixes`), or that a glob names, but no hidden ones. Paths as their bytes."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str], suffixes: Collection[str]) -> None:
        self._paths = PathMatcher(include, exclude)
        self._suffixes = frozenset(suffixes)

    def takes(self, path: bytes) -> bool:
        if _is_hidden(path):
            return False
        name = path.decode("utf-8", "replace")
        if not self._paths.takes(name):
            return False
        return PurePosixPath(name).suffix.lower() in self._suffixes or self._paths.names(name)

    def enters(self, folder: bytes) -> bool:
        """False only if nothing below the folder is taken, whatever lies there."""
        return not _is_hidden(folder) and self._paths.enters(folder.decode("utf-8", "replace"))


def checked(pattern: str) -> str:
    """The glob, if it can be used.

    Raises: ValueError for one that stands for hundreds of globs, or so many stars that one path could take minutes.
    """
    if not pattern.strip("/") or len(pattern) > _MAX_LENGTH:
        raise ValueError(f"a glob has 1 to {_MAX_LENGTH} characters")
    parts = pattern.split("/")
    if sum(part == "**" for part in parts) > _MAX_STARS or any(
        part.count("*") > _MAX_STARS for part in parts if part != "**"
    ):
        raise ValueError(f"a glob has at most {_MAX_STARS} `**`, and {_MAX_STARS} stars between two slashes")
    if any(first == second == "**" for first, second in pairwise(parts)):
        raise ValueError("`**/**` means no more than `**`")
    if pattern.count("{") > _MAX_BRACES or pattern.count(",") > _MAX_COMMAS or ".." in pattern:
        raise ValueError(f"a glob has at most {_MAX_BRACES} choices in braces with {_MAX_COMMAS} commas, and no `..`")
    return pattern


def _compiled(patterns: Sequence[str]) -> glob.WcMatcher[str] | None:
    return glob.compile(patterns, flags=_FLAGS) if patterns else None


def _anywhere(pattern: str) -> str:
    pattern = pattern.removeprefix("/")
    if pattern.endswith("/"):
        pattern += "**"
    return pattern if "/" in pattern else f"**/{pattern}"


def _last(pattern: str) -> str:
    return pattern.rsplit("/", 1)[-1]


def _below(pattern: str) -> str:
    return pattern if pattern.endswith("/**") else f"{pattern}/**"


def _literal_start(pattern: str) -> tuple[str, ...]:
    """The folders that every match of the pattern lies in."""
    start: list[str] = []
    for part in pattern.split("/")[:-1]:
        if _MAGIC.search(part):
            break
        start.append(part)
    return tuple(start)


def _is_hidden(path: bytes) -> bool:
    return path.startswith(b".") or b"/." in path
