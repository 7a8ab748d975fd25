"""What may be said about a folder or a repository, and what is refused before anything is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ingestion.sources.definitions import FolderOrigin, GitOrigin


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/example/manual.git",
        "http://git.example.org:8080/manual",
        "ssh://git@git.example.org:22/manual.git",
        "ssh://[::1]/manual",
        "git@github.com:example/manual",
        "host:manual",
        "/srv/git/manual",
        "file:///srv/git/manual",
    ],
)
def test_addresses_of_repositories(url: str) -> None:
    assert GitOrigin(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "git://example.org/manual",
        "ftp://example.org/manual",
        "file://host/manual",
        "--upload-pack=touch",
        "-oProxyCommand=x:y",
        "ssh://-oProxyCommand=x/y",
        "host:-x",
        "./manual",
        "../manual",
        "manual",
        "https://example.org/a b",
        "https://example.org/a\nb",
        "https://ada:hunter2@example.org/manual",
        "https://ghp_token@example.org/manual",
        "HTTPS://ghp_token@example.org/manual",
        "ssh://ada:hunter2@example.org/manual",
    ],
)
def test_what_is_no_address_or_carries_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        GitOrigin(url=url)


@pytest.mark.parametrize("branch", ["main", "release/1.0", "fix-#12", "übung", "a@b"])
def test_branches(branch: str) -> None:
    assert GitOrigin(url="/srv/git", branch=branch).branch == branch


@pytest.mark.parametrize(
    "branch", ["", "-x", "/x", "x/", "a..b", "a b", "a:b", "a^", "a~1", "a*", "x.lock", "@{u}", ".x", "refs/heads/x"]
)
def test_what_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(ValidationError):
        GitOrigin(url="/srv/git", branch=branch)


def test_subpaths_stay_inside_and_lose_their_last_slash() -> None:
    assert GitOrigin(url="/srv/git", subpath="docs/guides/").subpath == "docs/guides"
    for subpath in ("/docs", "../docs", "docs/../.."):
        with pytest.raises(ValidationError):
            GitOrigin(url="/srv/git", subpath=subpath)


@pytest.mark.parametrize("path", ["docs", "./docs", "/srv/../etc", "~/docs"])
def test_a_folder_is_a_whole_path(path: str) -> None:
    with pytest.raises(ValidationError):
        FolderOrigin(path=path)
