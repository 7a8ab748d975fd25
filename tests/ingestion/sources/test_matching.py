"""Globs take the paths that their reader expects, folders that can hold none are not entered, and no glob is slow."""

from __future__ import annotations

import pytest

from ingestion.sources.definitions import FolderOrigin
from ingestion.sources.matching import FileMatcher, PathMatcher


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.md", ["a.md", "x/y/a.md"], ["a.MD", "a.md.txt", "a.mdx"]),
        ("docs/*.md", ["docs/a.md"], ["docs/x/a.md", "x/docs/a.md"]),
        ("docs/**/*.md", ["docs/a.md", "docs/x/y/a.md"], ["a.md", "docs/a.txt"]),
        ("/docs/**", ["docs/a.md", "docs/x/y.txt"], ["x/docs/a.md"]),
        ("docs/", ["docs/a.md", "docs/x/a.md"], ["docs2/a.md", "x/docs/a.md"]),
        ("docs", ["docs/a.md", "x/docs/a.md", "docs"], ["docs2/a.md", "docs.md"]),
        ("*.{md,rst}", ["a.md", "x/a.rst"], ["a.txt"]),
        ("run-?[0-9].md", ["run-x1.md"], ["run-1.md"]),
        ("**/old/**", ["old/a.md", "x/old/y/a.md"], ["older/a.md"]),
    ],
)
def test_a_glob_takes_these_and_leaves_those(pattern: str, taken: list[str], left: list[str]) -> None:
    matcher = PathMatcher((pattern,), ())
    assert [path for path in taken + left if matcher.takes(path)] == taken
    for path in taken:
        folders = path.split("/")[:-1]
        assert all(matcher.enters("/".join(folders[: depth + 1])) for depth in range(len(folders))), path


@pytest.mark.parametrize("pattern", ["node_modules", "node_modules/", "node_modules/**", "**/node_modules/**"])
def test_an_excluded_folder_is_not_entered(pattern: str) -> None:
    matcher = PathMatcher((), (pattern,))
    assert not matcher.enters("node_modules")
    assert not matcher.takes("node_modules/x/a.md")
    assert matcher.enters("modules")
    assert matcher.takes("a.md")


def test_a_folder_outside_of_all_included_ones_is_not_entered() -> None:
    matcher = PathMatcher(("docs/guides/*.md", "runbooks/**"), ())
    entered = ["docs", "docs/guides", "runbooks", "runbooks/x"]
    assert [folder for folder in [*entered, "src", "docs/api", "src/docs"] if matcher.enters(folder)] == entered


def test_exclude_wins_over_include() -> None:
    matcher = PathMatcher(("*.md",), ("draft-*",))
    assert matcher.takes("x/a.md")
    assert not matcher.takes("x/draft-a.md")


def test_kinds_and_names_and_hidden_files() -> None:
    files = FileMatcher(("docs/**", "*.cfg", "Makefile"), (), {".md"})
    names = [b"docs/a.md", b"docs/A.MD", b"x.cfg", b"x/Makefile"]
    others = [b"docs/a.png", b"a.md", b".x.cfg", b"docs/.hidden/a.md"]
    assert [name for name in names + others if files.takes(name)] == names


@pytest.mark.parametrize(
    "pattern", ["", "/", "x" * 501, "*a*a*a*a*b", "**/a/**/b/**/c/**/d", "**/**", "{1..100000}", "{a,b}{a,b}{a,b}{a,b}"]
)
def test_a_glob_that_could_take_minutes_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"glob|\*\*"):
        FolderOrigin(path="/srv/docs", include=(pattern,))


@pytest.mark.parametrize("pattern", ["*a*a*a", "**/*a*b*c", "{*a*,b}", "[", "[z-a]", "a{b,c", "(?", "\\", "{" * 3])
def test_any_other_glob_comes_to_an_end(pattern: str) -> None:
    matcher = PathMatcher(FolderOrigin(path="/srv/docs", include=(pattern,)).include, (pattern,))
    assert isinstance(matcher.takes("a" * 255 + "/" + "a" * 255), bool)
    assert isinstance(matcher.enters("a" * 255), bool)


@pytest.mark.parametrize("pattern", ["**/a/**/a/**/b", "**/*a*a*b/**/*a*a*b/**/*b"])
def test_a_path_of_thousands_of_folders_holds_no_glob_up(pattern: str) -> None:
    matcher = PathMatcher((pattern,), ())
    for depth in (99, 2000):
        assert not matcher.takes("a/" * depth + "a")
        assert isinstance(matcher.enters("a/" * depth + "a"), bool)
