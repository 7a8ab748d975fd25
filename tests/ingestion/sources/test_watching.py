"""Watched folders: each change is reported once it is quiet, and roots may come, go and come back."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.sources.watching import FolderWatcher

PATIENCE_S = 60.0
"""Far more than needed: only a test that fails waits so long."""


class Reports:
    """What `changed` was called with."""

    def __init__(self) -> None:
        self._keys: queue.Queue[str] = queue.Queue()

    def __call__(self, key: str) -> None:
        self._keys.put(key)

    def next(self) -> str:
        return self._keys.get(timeout=PATIENCE_S)

    def none_yet(self) -> bool:
        return self._keys.empty()


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def watcher(reports: Reports) -> Iterator[FolderWatcher[str]]:
    with FolderWatcher(reports, quiet_s=0.1, missing_s=0.05) as opened:
        yield opened


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def begin(watcher: FolderWatcher[str], reports: Reports, roots: dict[str, Path], new: set[str]) -> None:
    """From here on the folders are watched: that is what the first report of each new one says."""
    watcher.keep(roots)
    assert {reports.next() for _ in new} == new


def test_writing_renaming_and_deleting_are_reported(
    watcher: FolderWatcher[str], reports: Reports, tmp_path: Path
) -> None:
    root = folder(tmp_path / "docs")
    begin(watcher, reports, {"docs": root}, {"docs"})
    (root / "a.md").write_text("one")
    assert reports.next() == "docs"
    (root / "a.md").rename(root / "b.md")
    assert reports.next() == "docs"
    (root / "b.md").unlink()
    assert reports.next() == "docs"


def test_a_new_folder_below_is_watched_too(watcher: FolderWatcher[str], reports: Reports, tmp_path: Path) -> None:
    root = folder(tmp_path / "docs")
    begin(watcher, reports, {"docs": root}, {"docs"})
    deep = folder(root / "x" / "y")
    assert reports.next() == "docs"
    (deep / "a.md").write_text("one")
    assert reports.next() == "docs"


def test_many_writes_make_one_report(reports: Reports, tmp_path: Path) -> None:
    docs, other = folder(tmp_path / "docs"), folder(tmp_path / "other")
    with FolderWatcher(reports, quiet_s=0.5) as watcher:
        begin(watcher, reports, {"docs": docs, "other": other}, {"docs", "other"})
        for number in range(200):
            (docs / f"{number}.md").write_text("text")
        assert reports.next() == "docs"
        (other / "a.md").write_text("text")
        assert reports.next() == "other", "the burst was reported more than once"


def test_hidden_files_are_not_reported(watcher: FolderWatcher[str], reports: Reports, tmp_path: Path) -> None:
    docs, other = folder(tmp_path / "docs"), folder(tmp_path / "other")
    begin(watcher, reports, {"docs": docs, "other": other}, {"docs", "other"})
    (folder(docs / ".git") / "index").write_text("x")
    (docs / ".a.md.swp").write_text("x")
    (other / "a.md").write_text("text")
    assert reports.next() == "other"
    (docs / "a.md").write_text("text")
    assert reports.next() == "docs"
    assert reports.none_yet()


def test_folders_join_and_leave_while_others_are_watched(
    watcher: FolderWatcher[str], reports: Reports, tmp_path: Path
) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    begin(watcher, reports, {"one": one}, {"one"})
    begin(watcher, reports, {"one": one, "two": two}, {"two"})
    watcher.keep({"two": two})
    (one / "a.md").write_text("nobody looks")
    (two / "a.md").write_text("text")
    assert reports.next() == "two"
    assert reports.none_yet()


def test_a_root_that_vanishes_and_comes_back_is_reported_and_watched_again(
    watcher: FolderWatcher[str], reports: Reports, tmp_path: Path
) -> None:
    root = folder(tmp_path / "docs")
    begin(watcher, reports, {"docs": root}, {"docs"})
    shutil.rmtree(root)
    assert reports.next() == "docs"
    folder(root)
    assert reports.next() == "docs"
    (root / "a.md").write_text("text")
    assert reports.next() == "docs"


def test_a_root_that_is_replaced_is_watched_in_its_new_place(
    watcher: FolderWatcher[str], reports: Reports, tmp_path: Path
) -> None:
    root, next_one = folder(tmp_path / "docs"), folder(tmp_path / "next")
    begin(watcher, reports, {"docs": root}, {"docs"})
    root.rename(tmp_path / "old")
    next_one.rename(root)
    assert reports.next() == "docs"
    (root / "a.md").write_text("text")
    assert reports.next() == "docs"


def test_a_root_that_is_not_there_yet_is_waited_for(
    watcher: FolderWatcher[str], reports: Reports, tmp_path: Path
) -> None:
    watcher.keep({"docs": tmp_path / "docs"})
    assert reports.next() == "docs"
    folder(tmp_path / "docs")
    assert reports.next() == "docs"


def test_after_closing_no_thread_is_left_and_nothing_is_reported(reports: Reports, tmp_path: Path) -> None:
    root = folder(tmp_path / "docs")
    before = set(threading.enumerate())
    with FolderWatcher(reports, quiet_s=0.1) as watcher:
        begin(watcher, reports, {"docs": root, "missing": tmp_path / "missing"}, {"docs", "missing"})
    assert set(threading.enumerate()) <= before
    (root / "a.md").write_text("text")
    assert reports.none_yet()
