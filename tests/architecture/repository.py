"""What belongs to the repository: its files and its modules, with their sources."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PRODUCT = ("ingestion", "service")
CODE = (*PRODUCT, "benchmarks", "docs", "sample_docs", "tests")


@cache
def files() -> tuple[Path, ...]:
    """Every file under version control or about to be (untracked and not ignored), absolute and sorted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, check=True, timeout=60).stdout
    found = {REPO / name for name in listed.decode().split("\0") if name}
    return tuple(sorted(path for path in found if path.is_file()))


def sources(*folders: str) -> dict[str, str]:
    """Path relative to the repository -> source, for every Python module under these folders."""
    return {
        path.relative_to(REPO).as_posix(): path.read_text("utf-8")
        for path in files()
        if path.suffix == ".py" and path.relative_to(REPO).parts[0] in folders
    }
