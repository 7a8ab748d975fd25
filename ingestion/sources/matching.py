"""Which paths a source takes, by globs."""

from __future__ import annotations

from collections.abc import Sequence

from wcmatch import glob

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.FORCEUNIX


class PathMatcher:
    """Paths that match one of `include` (all, if there is none) and none of `exclude`.

    `*` stays within one folder, `**` crosses them, `{md,rst}` gives a choice. A glob without a slash is matched with
    the last part of the path alone, as in a `.gitignore`.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = tuple(map(_anywhere, include))
        self._exclude = tuple(map(_anywhere, exclude))

    def takes(self, path: str) -> bool:
        """`path` has forward slashes and no leading one."""
        if self._include and not glob.globmatch(path, self._include, flags=_FLAGS):
            return False
        return not (self._exclude and glob.globmatch(path, self._exclude, flags=_FLAGS))


def _anywhere(pattern: str) -> str:
    pattern = pattern.removeprefix("/")
    return pattern if "/" in pattern else f"**/{pattern}"
