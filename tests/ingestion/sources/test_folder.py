"""What a folder source takes, leaves out and keeps when it can't look; the contract itself is in tests/contracts."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import RejectionCode, SourceUnavailable
from ingestion.sources.definitions import FolderOrigin
from ingestion.sources.folder import Folder
from ingestion.sources.listing import key_of, path_of, readable
from ingestion.sources.origin import End, Fetched, Gone, Sighting, Unavailable
from tests.contracts.origins import MAX_BYTES, SUFFIXES, Memory, later


def opened(root: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Folder:
    return Folder(FolderOrigin(path=root, include=include, exclude=exclude), SUFFIXES, MAX_BYTES, clock=later)


def keys(sightings: list[Sighting]) -> set[str]:
    return {sighting.key for sighting in sightings if isinstance(sighting, Fetched)}


def write(root: Path, *names: str, text: str = "text") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    return root


def test_kinds_that_are_not_read_and_hidden_files_are_left_out(root: Path) -> None:
    write(root, "a.md", "B.MD", "c.png", "Makefile", ".d.md", ".git/e.md", "f/.g/h.md", "f/i.txt")
    assert keys(Memory().learn(opened(root).scan(Memory()))) == {"a.md", "B.MD", "f/i.txt"}


def test_a_glob_that_names_files_takes_them_whatever_their_kind(root: Path) -> None:
    write(root, "a.md", "b.cfg", "sub/LICENSE", "sub/c.cfg", "sub/d.md")
    assert keys(list(opened(root, include=("*.cfg", "LICENSE")).scan(Memory()))) == {
        "b.cfg",
        "sub/c.cfg",
        "sub/LICENSE",
    }
    assert keys(list(opened(root, include=("sub/**",)).scan(Memory()))) == {"sub/d.md"}


def test_what_is_excluded_is_not_even_listed(root: Path) -> None:
    write(root, "a.md", "old/b.md", "old/deep/c.md", "new/old.md")
    seen = list(opened(root, exclude=("old/**",)).scan(Memory()))
    assert keys(seen) == {"a.md", "new/old.md"}


def test_the_uri_starts_at_the_name_of_the_folder_and_the_date_is_the_files(root: Path) -> None:
    write(root, "sub/a.md")
    os.utime(root / "sub/a.md", (1_700_000_000, 1_700_000_000))
    (sighting, _) = list(opened(root).scan(Memory()))
    assert isinstance(sighting, Fetched)
    assert sighting.document.uri == "docs/sub/a.md"
    assert sighting.document.name == "a.md"
    assert sighting.document.modified_at is not None
    assert sighting.document.modified_at.timestamp() == 1_700_000_000


def test_a_fresh_file_is_fetched_again_since_its_times_prove_nothing(root: Path) -> None:
    write(root, "a.md")
    fresh = Folder(FolderOrigin(path=root), SUFFIXES, MAX_BYTES, clock=lambda: (root / "a.md").stat().st_mtime_ns)
    memory = Memory()
    memory.learn(fresh.scan(memory))
    assert memory.items["a.md"].revision is None
    assert keys(memory.learn(opened(root).scan(memory))) == {"a.md"}
    assert keys(memory.learn(opened(root).scan(memory))) == set()


def test_an_edit_that_keeps_size_and_date_is_seen(root: Path) -> None:
    write(root, "a.md", text="one")
    times = (root / "a.md").stat()
    memory = Memory()
    memory.learn(opened(root).scan(memory))
    (root / "a.md").write_text("two")
    os.utime(root / "a.md", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert keys(memory.learn(opened(root).scan(memory))) == {"a.md"}


def test_of_a_huge_file_no_more_is_read_than_shows_that_it_is(root: Path) -> None:
    with (root / "huge.md").open("wb") as huge:
        huge.truncate(50 * 1_000_000_000)  # sparse: takes no room on the disk
    (sighting, _) = list(opened(root).scan(Memory()))
    assert isinstance(sighting, Fetched)
    assert len(sighting.document.data) == MAX_BYTES + 1


def test_links_are_followed_to_files_inside_and_nowhere_else(root: Path, tmp_path: Path) -> None:
    write(root, "real/a.md", "..data-1/b.md")
    write(tmp_path, "outside.md", "outside/c.md")
    (root / "inside.md").symlink_to("real/a.md")
    (root / "mounted.md").symlink_to("..data-1/b.md")  # as Kubernetes mounts a ConfigMap
    (root / "outside.md").symlink_to(tmp_path / "outside.md")
    (root / "relative.md").symlink_to("../outside.md")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to("real")
    (root / "loop").symlink_to(".")
    (root / "loop.md").symlink_to("loop.md")
    (root / "dangling.md").symlink_to("nowhere.md")
    seen = list(opened(root).scan(Memory()))
    assert keys(seen) == {"real/a.md", "inside.md", "mounted.md"}
    assert seen[-1] == End(complete=True)


def test_a_file_that_became_a_link_to_the_outside_after_it_was_listed_is_not_read(root: Path, tmp_path: Path) -> None:
    write(root, "a.md", "b/c.md")
    write(tmp_path, "secret.md", "elsewhere/c.md", text="secret")

    class Swapping(Memory):
        """Asked between listing and reading: just then the files are swapped."""

        def get(self, asked):  # type: ignore[no-untyped-def]
            (root / "a.md").unlink()
            (root / "a.md").symlink_to(tmp_path / "secret.md")
            (root / "b").rename(tmp_path / "b")
            (root / "b").symlink_to(tmp_path / "elsewhere")
            return super().get(asked)

    seen = list(opened(root).scan(Swapping()))
    assert seen == [Gone("a.md"), Gone("b/c.md"), End(complete=True)]


def test_pipes_sockets_and_devices_do_not_stop_the_scan(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.md")
    os.mkfifo(root / "pipe.md")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.md")
        assert keys(list(opened(root).scan(Memory()))) == {"a.md"}


def test_names_that_are_not_utf_8_or_hold_line_ends_are_read_like_others(root: Path) -> None:
    odd = [b"caf\xe9.md", b"line\nend.md", b"caf%E9.md", "schön 日本.md".encode(), b"sub\xff/a.md", b"sub\xfe/a.md"]
    for name in odd:
        path = root / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name)
    memory = Memory()
    seen = memory.learn(opened(root).scan(memory))
    assert {sighting.document.data for sighting in seen if isinstance(sighting, Fetched)} == set(odd)
    for sighting in seen:
        if isinstance(sighting, Fetched):
            assert path_of(sighting.key) == sighting.document.data
            assert sighting.key.encode()
            assert "\n" not in sighting.document.uri + sighting.document.name
            assert sighting.document.uri.encode()
    assert keys(memory.learn(opened(root).scan(memory))) == set()


segments = st.binary(min_size=1, max_size=8).filter(lambda part: not {0, 47} & set(part) and part not in (b".", b".."))


@given(st.lists(segments, min_size=1, max_size=3).map(b"/".join))
def test_every_path_has_a_key_of_its_own(path: bytes) -> None:
    assert path_of(key_of(path)) == path
    assert key_of(path).encode()
    assert len(readable(path).splitlines()) == 1


@pytest.fixture
def deep() -> Iterator[Path]:
    """A folder for a tree that is too deep for Python to remove."""
    base = Path(tempfile.mkdtemp())
    yield base
    subprocess.run(["rm", "-r", str(base)], check=True)


def test_an_absurdly_deep_tree_is_read_to_its_end(deep: Path) -> None:
    descriptor = os.open(deep, os.O_RDONLY)
    for _ in range(1010):  # deeper than Python recurses, and longer than a path may be
        os.mkdir("below", dir_fd=descriptor)
        below = os.open("below", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    with os.fdopen(os.open("a.md", os.O_WRONLY | os.O_CREAT, dir_fd=descriptor), "w") as file:
        file.write("at the bottom")
    os.close(descriptor)
    seen = list(opened(deep).scan(Memory()))
    assert [sighting.document.data for sighting in seen if isinstance(sighting, Fetched)] == [b"at the bottom"]
    assert seen[-1] == End(complete=True)


def test_a_root_that_is_missing_or_a_file_is_unavailable(root: Path) -> None:
    write(root, "a.md")
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(opened(root / "missing").scan(Memory()))
    with pytest.raises(SourceUnavailable, match="is not a folder"):
        list(opened(root / "a.md").scan(Memory()))


def test_an_empty_root_in_another_place_is_an_unmounted_share(root: Path) -> None:
    write(root, "a.md")
    memory = Memory()
    memory.learn(opened(root).scan(memory))
    root.rename(root.with_name("share"))
    root.mkdir()
    with pytest.raises(SourceUnavailable, match=r"not mounted.*put any file into it"):
        memory.learn(opened(root).scan(memory))
    assert memory.items
    (root / ".keep").touch()
    assert memory.learn(opened(root).scan(memory)) == [End(complete=True)]
    assert memory.items == {}


def test_an_empty_root_of_which_nothing_is_known_is_just_empty(root: Path) -> None:
    assert list(opened(root).scan(Memory())) == [End(complete=True)]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else for a while")


@contextmanager
def as_nobody() -> Iterator[None]:
    """What is forbidden is forbidden: root itself may read everything."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anyone can reach, which is not so of a test's own."""
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        root = Path(base, "docs")
        root.mkdir()
        yield root


@needs_root
def test_an_unreadable_file_is_unavailable_and_the_others_go_on(shared: Path) -> None:
    write(shared, "a.md", "b.md", "c.md")
    (shared / "b.md").chmod(0)
    with as_nobody():
        seen = list(opened(shared).scan(Memory()))
    assert keys(seen) == {"a.md", "c.md"}
    assert Unavailable("b.md", "docs/b.md", RejectionCode.UNREADABLE, "could not be read: Permission denied") in seen
    assert seen[-1] == End(complete=True)


@needs_root
def test_a_folder_that_cannot_be_listed_keeps_what_is_in_it(shared: Path) -> None:
    write(shared, "a.md", "closed/b.md", "closed/c.md", "open/d.md")
    memory = Memory()
    memory.learn(opened(shared).scan(memory))
    (shared / "closed").chmod(0)
    with as_nobody():
        seen = memory.learn(opened(shared).scan(memory))
        without = list(opened(shared, exclude=("closed/**",)).scan(Memory()))
    assert seen[-1] == End(complete=False)
    (reported,) = [sighting for sighting in seen if isinstance(sighting, Unavailable)]
    assert reported.uri == "docs/closed/"
    assert "exclude it" in reported.detail
    assert len(memory.items) == 4
    assert without[-1] == End(complete=True)


@needs_root
def test_a_root_that_cannot_be_listed_is_unavailable(shared: Path) -> None:
    write(shared, "a.md")
    shared.chmod(0o311)
    with as_nobody(), pytest.raises(SourceUnavailable, match="Permission denied"):
        list(opened(shared).scan(Memory()))


def test_a_file_that_vanishes_between_listing_and_reading_is_gone(root: Path) -> None:
    write(root, "a.md", "b/c.md")

    class Deleting(Memory):
        def get(self, asked):  # type: ignore[no-untyped-def]
            (root / "a.md").unlink()
            (root / "b/c.md").unlink()
            (root / "b").rmdir()
            (root / "b").touch()
            return super().get(asked)

    assert list(opened(root).scan(Deleting())) == [Gone("a.md"), Gone("b/c.md"), End(complete=True)]


def test_a_share_cannot_be_unmounted_halfway_unnoticed(root: Path, tmp_path: Path) -> None:
    """The root is swapped for an empty folder after the first batch: the scan goes on in the one that it opened."""
    write(root, *(f"{number:03}/a.md" for number in range(600)))
    memory = Memory()
    scan = opened(root).scan(memory)
    first = next(scan)
    root.rename(tmp_path / "share")
    root.mkdir()
    seen = [first, *scan]
    assert len(keys(seen)) == 600
    assert seen[-1] == End(complete=False)


def test_no_descriptor_is_left_open(root: Path) -> None:
    write(root, *(f"{number}/a.md" for number in range(20)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    list(opened(root).scan(Memory()))
    given_up = opened(root).scan(Memory())
    next(given_up)
    given_up.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
