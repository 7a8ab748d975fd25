"""What a git source takes and fetches, commit by commit; the contract itself is in tests/contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.definitions import GitOrigin
from ingestion.sources.git import Git
from ingestion.sources.listing import path_of
from ingestion.sources.origin import End, Fetched, Sighting, Unavailable
from tests.contracts.origins import MAX_BYTES, SUFFIXES, Memory
from tests.ingestion.sources.git_server import served
from tests.ingestion.sources.repositories import GitRepository, blobs_in


def opened(url: object, workspace: Path, **origin: Any) -> Git:
    return Git(
        GitOrigin(url=str(url), **origin), workspace=workspace, suffixes=SUFFIXES, max_bytes=MAX_BYTES, timeout_s=60
    )


def keys(sightings: list[Sighting]) -> set[str]:
    return {sighting.key for sighting in sightings if isinstance(sighting, Fetched)}


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "manual")
    repository.commit({"README.md": "read me", "docs/a.md": "text a", "docs/deep/b.md": "text b", "logo.png": b"\x89"})
    return repository


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def test_a_commit_costs_what_it_changed(repository: GitRepository, workspace: Path) -> None:
    repository.commit({f"many/{number}.md": f"text {number}" for number in range(50)})
    memory = Memory()
    assert len(keys(memory.learn(opened(repository.path.as_uri(), workspace).scan(memory)))) == 53
    assert blobs_in(workspace / "mirror.git") == 53, "the picture was fetched though nobody reads it"
    repository.run("mv", "many/1.md", "many/one.md")
    repository.run("rm", "--quiet", "many/2.md")
    repository.commit({"many/3.md": "text 3, edited", "many/new.md": "text new"})
    seen = memory.learn(opened(repository.path.as_uri(), workspace).scan(memory))
    assert keys(seen) == {"many/one.md", "many/3.md", "many/new.md"}
    assert blobs_in(workspace / "mirror.git") == 55, "the renamed file was fetched though its content was here"
    assert len(memory.items) == 53


@pytest.mark.parametrize("address", ["path", "file", "http"])
@pytest.mark.parametrize("filtered", [True, False])
def test_any_address_will_do_and_any_server(
    repository: GitRepository, workspace: Path, address: str, filtered: bool
) -> None:
    repository.run("config", "uploadpack.allowFilter", "true" if filtered else "false")
    with served(repository.path.parent) as server:
        url = {
            "path": str(repository.path),
            "file": repository.path.as_uri(),
            "http": f"{server}/{repository.path.name}/.git",
        }[address]
        memory = Memory()
        assert keys(memory.learn(opened(url, workspace).scan(memory))) == {"README.md", "docs/a.md", "docs/deep/b.md"}
        repository.commit({"docs/a.md": "edited"})
        assert keys(memory.learn(opened(url, workspace).scan(memory))) == {"docs/a.md"}


def test_the_token_names_branch_and_commit(repository: GitRepository, workspace: Path) -> None:
    commit = repository.run("rev-parse", "HEAD")
    assert opened(repository.path, workspace).token() == f"HEAD:{commit}"
    repository.run("branch", "release/1.0")
    repository.commit({"docs/a.md": "edited"})
    assert opened(repository.path, workspace, branch="release/1.0").token() == f"release/1.0:{commit}"
    assert opened(repository.path, workspace).token() == f"HEAD:{repository.run('rev-parse', 'HEAD')}"
    assert not workspace.exists(), "a look needs no mirror"


def test_a_branch_is_read_and_no_other(repository: GitRepository, workspace: Path) -> None:
    repository.run("checkout", "--quiet", "-b", "next")
    repository.commit({"docs/new.md": "only in next"})
    repository.run("checkout", "--quiet", "main")
    assert "docs/new.md" not in keys(list(opened(repository.path, workspace).scan(Memory())))
    assert "docs/new.md" in keys(list(opened(repository.path, workspace, branch="next").scan(Memory())))


def test_the_default_branch_may_get_another_name(repository: GitRepository, workspace: Path) -> None:
    memory = Memory()
    token = opened(repository.path, workspace).token()
    memory.learn(opened(repository.path, workspace).scan(memory))
    repository.run("branch", "--move", "main", "trunk")
    assert opened(repository.path, workspace).token() == token
    repository.commit({"docs/a.md": "edited"})
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == {"docs/a.md"}


def test_a_rewritten_history_is_read_as_it_is_now(repository: GitRepository, workspace: Path) -> None:
    first = repository.run("rev-parse", "HEAD")
    repository.commit({"docs/a.md": "a secret", "docs/c.md": "more secrets"})
    memory = Memory()
    memory.learn(opened(repository.path, workspace).scan(memory))
    repository.run("reset", "--quiet", "--hard", first)
    repository.commit({"docs/d.md": "clean"})
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == {"docs/a.md", "docs/d.md"}
    assert set(memory.items) == {"README.md", "docs/a.md", "docs/deep/b.md", "docs/d.md"}


def test_a_branch_that_is_deleted_deletes_nothing(repository: GitRepository, workspace: Path) -> None:
    repository.run("branch", "release")
    memory = Memory()
    memory.learn(opened(repository.path, workspace, branch="release").scan(memory))
    repository.run("branch", "-D", "release")
    origin = opened(repository.path, workspace, branch="release")
    for look in (origin.token, lambda: list(origin.scan(memory))):
        with pytest.raises(SourceUnavailable, match="has no branch 'release'"):
            look()
    assert len(memory.items) == 3


def test_a_head_that_names_no_branch_is_told(repository: GitRepository, workspace: Path) -> None:
    repository.run("symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(SourceUnavailable, match="set `branch`"):
        opened(repository.path, workspace).token()


def test_a_repository_without_commits_is_empty_unless_it_had_some(tmp_path: Path, workspace: Path) -> None:
    repository = GitRepository(tmp_path / "fresh")
    origin = opened(repository.path, workspace)
    assert origin.token() is None
    assert list(origin.scan(Memory())) == [End(complete=True)]
    repository.commit({"a.md": "text"})
    memory = Memory()
    memory.learn(origin.scan(memory))
    repository.run("update-ref", "-d", "refs/heads/main")
    with pytest.raises(SourceUnavailable, match="has no commits"):
        list(origin.scan(memory))


def test_a_subpath_is_the_root_of_keys_but_not_of_uris(repository: GitRepository, workspace: Path) -> None:
    seen = list(opened(repository.path, workspace, subpath="docs").scan(Memory()))
    assert {sighting.key: sighting.document.uri for sighting in seen if isinstance(sighting, Fetched)} == {
        "a.md": "manual/docs/a.md",
        "deep/b.md": "manual/docs/deep/b.md",
    }


@pytest.mark.parametrize("subpath", ["dosc", "docs/a.md"])
def test_a_subpath_that_never_was_is_a_typing_error(repository: GitRepository, workspace: Path, subpath: str) -> None:
    with pytest.raises(SourceUnavailable, match="correct the subpath"):
        list(opened(repository.path, workspace, subpath=subpath).scan(Memory()))


def test_a_subpath_that_was_removed_is_a_deletion(repository: GitRepository, workspace: Path) -> None:
    memory = Memory()
    memory.learn(opened(repository.path, workspace, subpath="docs").scan(memory))
    repository.run("rm", "-r", "--quiet", "docs")
    repository.commit({})
    assert memory.learn(opened(repository.path, workspace, subpath="docs").scan(memory)) == [End(complete=True)]
    assert memory.items == {}


def test_links_submodules_hidden_and_other_files_are_left_out(repository: GitRepository, workspace: Path) -> None:
    (repository.path / "link.md").symlink_to("README.md")
    (repository.path / "outside.md").symlink_to("/etc/passwd")
    (repository.path / "folder").symlink_to("docs")
    inner = GitRepository(repository.path / "module.md")
    inner.commit({"x.md": "of another repository"})
    repository.commit({".github/hidden.md": "hidden", "run.cfg": "a = 1", "run.sh": "true"})
    assert keys(list(opened(repository.path, workspace).scan(Memory()))) == {
        "README.md",
        "docs/a.md",
        "docs/deep/b.md",
    }
    named = opened(repository.path, workspace, include=("*.cfg", "docs/*"), exclude=("b.md",))
    assert keys(list(named.scan(Memory()))) == {"run.cfg", "docs/a.md"}


def test_what_lfs_keeps_elsewhere_is_unavailable(repository: GitRepository, workspace: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    repository.commit({"docs/a.md": pointer, "docs/about.md": f"A pointer looks like this:\n\n{pointer}"})
    seen = list(opened(repository.path, workspace).scan(Memory()))
    (lacking,) = [sighting for sighting in seen if isinstance(sighting, Unavailable)]
    assert (lacking.key, lacking.code) == ("docs/a.md", RejectionCode.UNREADABLE)
    assert "Git LFS" in lacking.detail
    assert "docs/about.md" in keys(seen)


def test_of_a_huge_file_no_more_is_kept_than_shows_that_it_is(repository: GitRepository, workspace: Path) -> None:
    repository.commit({"docs/a.md": b"x" * (3 * MAX_BYTES), "docs/z.md": "after it"})
    seen = {s.key: s.document.data for s in opened(repository.path, workspace).scan(Memory()) if isinstance(s, Fetched)}
    assert len(seen["docs/a.md"]) == MAX_BYTES + 1
    assert seen["docs/z.md"] == b"after it"


def test_names_that_are_not_utf_8_or_hold_line_ends_are_read_like_others(
    repository: GitRepository, workspace: Path
) -> None:
    odd = [b"caf\xe9.md", b"line\nend.md", b'quo"te\\.md', "schön 日本.md".encode(), b"-dash.md", b":colon*.md"]
    for name in odd:
        path = repository.path / "docs" / name.decode("utf-8", "surrogateescape")
        path.write_bytes(name)
    repository.commit({}, date=1_700_000_000)
    memory = Memory()
    seen = memory.learn(opened(repository.path, workspace, subpath="docs").scan(memory))
    found = {s.document.data: s for s in seen if isinstance(s, Fetched) and s.key not in ("a.md", "deep/b.md")}
    assert set(found) == set(odd)
    for name, sighting in found.items():
        assert path_of(sighting.key) == name
        assert sighting.document.modified_at is not None, name
        assert "\n" not in sighting.document.uri
    assert keys(memory.learn(opened(repository.path, workspace, subpath="docs").scan(memory))) == set()


def test_two_files_of_the_same_content_are_two_documents(repository: GitRepository, workspace: Path) -> None:
    repository.commit({"docs/copy.md": "text a"})
    assert {"docs/a.md", "docs/copy.md"} <= keys(list(opened(repository.path, workspace).scan(Memory())))


def test_a_file_is_as_old_as_the_commit_that_changed_it(tmp_path: Path, workspace: Path) -> None:
    repository = GitRepository(tmp_path / "dated")
    repository.commit({"a.md": "one", "b.md": "one"}, date=1_600_000_000)
    repository.commit({"b.md": "two"}, date=1_700_000_000)
    repository.run("checkout", "--quiet", "-b", "side")
    repository.commit({"c.md": "on the side"}, date=1_650_000_000)
    repository.run("checkout", "--quiet", "main")
    repository.run("merge", "--quiet", "--no-ff", "--no-edit", "side", date=1_750_000_000)
    dates = {
        sighting.key: sighting.document.modified_at.timestamp()
        for sighting in opened(repository.path, workspace).scan(Memory())
        if isinstance(sighting, Fetched) and sighting.document.modified_at
    }
    assert dates == {"a.md": 1_600_000_000, "b.md": 1_700_000_000, "c.md": 1_750_000_000}


def test_a_repository_of_sha_256_hashes_is_read_too(tmp_path: Path, workspace: Path) -> None:
    repository = GitRepository(tmp_path / "modern", hashes="sha256")
    repository.commit({"a.md": "text"})
    memory = Memory()
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == {"a.md"}
    assert keys(memory.learn(opened(repository.path, workspace).scan(memory))) == set()
