"""What becomes of a git source when the server, the mirror or the scan itself breaks, and what it never does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ingestion.errors import SourceUnavailable
from ingestion.sources.definitions import GitOrigin
from ingestion.sources.git import Git
from ingestion.sources.origin import End, Fetched, Sighting
from tests.conftest import REPO
from tests.contracts.origins import MAX_BYTES, SUFFIXES, Memory
from tests.ingestion.sources.git_server import served, silent
from tests.ingestion.sources.repositories import GitRepository, blobs_in


def opened(url: object, workspace: Path, *, timeout_s: float = 60.0) -> Git:
    """Without the checks of a definition, so that what they refuse is seen to be refused below them too."""
    definition = GitOrigin.model_construct(url=str(url), branch=None, subpath="", include=(), exclude=())
    return Git(definition, workspace=workspace, suffixes=SUFFIXES, max_bytes=MAX_BYTES, timeout_s=timeout_s)


def keys(sightings: list[Sighting]) -> set[str]:
    return {sighting.key for sighting in sightings if isinstance(sighting, Fetched)}


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "manual")
    repository.commit({"a.md": "text a", "b.md": "text b"})
    return repository


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def truncate_packs(mirror: Path) -> None:
    for pack in mirror.glob("objects/pack/*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:40])


def remove_objects(mirror: Path) -> None:
    for path in mirror.glob("objects/*/*"):
        path.unlink()


def remove_config(mirror: Path) -> None:
    (mirror / "config").unlink()


def empty_the_tip(mirror: Path) -> None:
    (mirror / "refs/plumbline/tip").write_text("")


def make_it_a_file(mirror: Path) -> None:
    mirror.rename(mirror.with_name("aside"))
    mirror.write_text("not a folder")


def leave_locks(mirror: Path) -> None:
    for name in ("refs/plumbline/tip.lock", "packed-refs.lock", "config.lock", "shallow.lock", "HEAD.lock"):
        (mirror / name).touch()


@pytest.mark.parametrize(
    "damage", [truncate_packs, remove_objects, remove_config, empty_the_tip, make_it_a_file, leave_locks]
)
def test_a_damaged_mirror_is_made_anew(
    repository: GitRepository, workspace: Path, damage: Callable[[Path], None]
) -> None:
    memory = Memory()
    memory.learn(opened(repository.path, workspace).scan(memory))
    damage(workspace / "mirror.git")
    repository.commit({"b.md": "edited", "c.md": "new"})
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == {"b.md", "c.md"}
    assert len(memory.items) == 3


def test_a_mirror_whose_files_are_damaged_is_removed_and_the_next_scan_clones_again(
    repository: GitRepository, workspace: Path
) -> None:
    repository.run("config", "uploadpack.allowFilter", "false")
    repository.commit({"noise.md": random.Random(1).randbytes(500_000)})
    list(opened(repository.path, workspace).scan(Memory()))
    (pack,) = workspace.glob("mirror.git/objects/pack/*.pack")
    pack.chmod(0o644)
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    pack.write_bytes(damaged)
    memory = Memory()
    with pytest.raises(SourceUnavailable, match="was damaged and is removed"):
        memory.learn(opened(repository.path, workspace).scan(memory))
    memory.learn(opened(repository.path, workspace).scan(memory))
    assert set(memory.items) == {"a.md", "b.md", "noise.md"}


def test_files_that_a_mirror_lost_are_fetched_again(repository: GitRepository, workspace: Path) -> None:
    list(opened(repository.path, workspace).scan(Memory()))
    packs = sorted(workspace.glob("mirror.git/objects/pack/*.pack"), key=lambda path: path.stat().st_mtime_ns)
    for path in packs[-1].parent.glob(f"{packs[-1].stem}.*"):
        path.unlink()
    assert blobs_in(workspace / "mirror.git") == 0
    assert keys(list(opened(repository.path, workspace).scan(Memory()))) == {"a.md", "b.md"}


def test_another_address_in_the_same_workspace_is_cloned_anew(
    repository: GitRepository, workspace: Path, tmp_path: Path
) -> None:
    list(opened(repository.path, workspace).scan(Memory()))
    other = GitRepository(tmp_path / "other")
    other.commit({"z.md": "text z"})
    assert keys(list(opened(other.path, workspace).scan(Memory()))) == {"z.md"}


_KILLED_IN_THE_CLONE = """
import os, signal, sys
from pathlib import Path
from ingestion.sources.git_mirror import Mirror
from ingestion.sources.git_program import GitProgram

class Dying(Mirror):
    def _fetch(self, folder, ref):
        (folder / "objects" / "pack" / "tmp_pack_x").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

mirror = Dying(GitProgram(60), sys.argv[1], Path(sys.argv[2]))
with mirror.held():
    look = mirror.look(None)
    mirror.bring(look.ref, look.commit)
"""


def test_a_clone_that_was_killed_leaves_nothing_in_the_way(repository: GitRepository, workspace: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_IN_THE_CLONE, str(repository.path), str(workspace)], cwd=REPO, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path for path in workspace.iterdir() if path.name != "lock"], "nothing was left to clean up"
    assert keys(list(opened(repository.path, workspace).scan(Memory()))) == {"a.md", "b.md"}
    assert {path.name for path in workspace.iterdir()} == {"lock", "mirror.git"}


def test_two_scans_at_once_do_not_share_a_mirror(repository: GitRepository, workspace: Path) -> None:
    first = opened(repository.path, workspace).scan(Memory())
    seen = [next(first)]
    with pytest.raises(SourceUnavailable, match="still running"):
        list(opened(repository.path, workspace).scan(Memory()))
    seen += first
    assert keys(seen) == {"a.md", "b.md"}
    assert keys(list(opened(repository.path, workspace).scan(Memory()))) == {"a.md", "b.md"}


def test_a_server_that_never_answers_is_given_up(workspace: Path) -> None:
    with silent() as url, pytest.raises(SourceUnavailable, match="PLUMBLINE_SOURCES__GIT_TIMEOUT_S"):
        opened(f"{url}/x.git", workspace, timeout_s=0.5).token()


def test_nothing_is_left_running_after_a_time_out(workspace: Path) -> None:
    with silent() as url:
        with pytest.raises(SourceUnavailable):
            opened(f"{url}/x.git", workspace, timeout_s=0.5).token()
        commands = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(process.read_bytes())
            except OSError:
                continue
        assert not [command for command in commands if url.encode() in command]


def test_a_password_is_neither_asked_for_nor_told(repository: GitRepository, workspace: Path) -> None:
    with served(repository.path.parent, password=True) as server:
        with pytest.raises(SourceUnavailable, match="could not read Username"):
            opened(f"{server}/manual/.git", workspace).token()
        with pytest.raises(SourceUnavailable) as failed:
            opened(f"{server.replace('://', '://ada:hunter2@')}/manual/.git", workspace).token()
    assert "hunter2" not in failed.value.detail


def test_a_redirect_is_not_followed_but_told(repository: GitRepository, workspace: Path) -> None:
    with (
        served(repository.path.parent) as real,
        served(repository.path.parent, moved_to=real) as moved,
        pytest.raises(SourceUnavailable, match="redirects"),
    ):
        opened(f"{moved}/manual/.git", workspace).token()


def test_an_address_that_is_a_command_is_not_run(workspace: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for url in (f"ext::touch {proof}", f"--upload-pack=touch {proof}", f"ssh://-oProxyCommand=touch${{IFS}}{proof}/x"):
        with pytest.raises(SourceUnavailable):
            opened(url, workspace).token()
    assert not proof.exists()


def test_no_hook_runs_and_nothing_that_the_repository_configures(
    repository: GitRepository, workspace: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    memory = Memory()
    memory.learn(opened(repository.path, workspace).scan(memory))
    hooks = workspace / "mirror.git" / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {proof}\n")
        (hooks / name).chmod(0o755)
    repository.run("config", "filter.run.smudge", f"touch {proof}")
    repository.run("config", "filter.run.textconv", f"touch {proof}")
    repository.commit({".gitattributes": "*.md filter=run diff=run\n", "a.md": "edited"})
    proof.unlink(missing_ok=True)
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == {"a.md"}
    assert not proof.exists()


def test_a_repository_that_does_not_exist_is_unavailable(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="does not appear to be a git repository"):
        opened(tmp_path / "nowhere", workspace).token()


def test_without_the_program_it_says_so(
    repository: GitRepository, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceUnavailable, match="git is not installed"):
        opened(repository.path, workspace).token()


def test_a_hook_that_calls_plumbline_does_not_lend_it_its_repository(
    repository: GitRepository, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = GitRepository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    seen = list(opened(repository.path, workspace).scan(Memory()))
    assert keys(seen) == {"a.md", "b.md"}
    assert seen[-1] == End(complete=True)


def test_no_process_and_no_descriptor_is_left_of_a_scan_that_was_given_up(
    repository: GitRepository, workspace: Path
) -> None:
    repository.commit({f"{number}.md": f"text {number}" for number in range(3000)})
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    scan = opened(repository.path, workspace).scan(Memory())
    next(scan)
    scan.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert not [child for child in psutil.Process().children(recursive=True) if "git" in child.name()]
