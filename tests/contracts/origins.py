"""The worlds that the contract of origins is run on: real places, each changed as its own users change it.

A new kind of origin joins with a class like `FolderWorld` and one line in `WORLDS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from ingestion.settings import SourcesSettings
from ingestion.sources.definitions import FolderOrigin, GitOrigin, OriginDefinition, WebOrigin
from ingestion.sources.folder import Folder
from ingestion.sources.git import Git
from ingestion.sources.origin import End, Fetched, Gone, KnownItem, Origin, Sighting, Unavailable, Unchanged
from ingestion.sources.web import Web
from tests.contracts.sql_world import sql_world, sqlite_world
from tests.ingestion.sources.repositories import GitRepository
from tests.ingestion.sources.servers import Reply, SiteServer, page, running_site, sitemap

SUFFIXES = frozenset({".md", ".txt", ".html"})
MAX_BYTES = 1_000_000


class World(Protocol):
    """A place that documents come from, with a plain name for each of them, such as `a/one`."""

    has_token: bool
    """Whether `Origin.token` gives one."""

    @property
    def origin(self) -> OriginDefinition:
        """The place as a source's definition names it."""
        ...

    def put(self, name: str, text: str) -> None:
        """The document exists from now on and holds the text."""
        ...

    def put_all(self, documents: Mapping[str, str]) -> None:
        """Many at once."""
        ...

    def delete(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None:
        """The same content under another key, the old key gone."""
        ...

    def key(self, name: str) -> str:
        """The key under which the origin meets the document."""
        ...

    def broken(self) -> AbstractContextManager[None]:
        """For a while nothing can be listed, as when a share is not mounted or a server does not answer."""
        ...

    def open(self) -> Origin:
        """The origin as a fresh process opens it. The caller closes it."""
        ...


class Memory:
    """`Known` as a sync keeps it: what was fetched, less what is gone. Counts how it is asked."""

    def __init__(self) -> None:
        self.items: dict[str, KnownItem] = {}
        self.largest_question = 0

    def get(self, keys: Collection[str]) -> dict[str, KnownItem]:
        self.largest_question = max(self.largest_question, len(keys))
        return {key: self.items[key] for key in keys if key in self.items}

    def sample(self) -> KnownItem | None:
        return next(iter(self.items.values()), None)

    def learn(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """The sightings of one scan, remembered; in the end nothing is left of what the scan says is gone."""
        seen: list[Sighting] = []
        met: set[str] = set()
        for sighting in sightings:
            seen.append(sighting)
            match sighting:
                case Fetched(key, _, revision, state):
                    met.add(key)
                    self.items[key] = KnownItem(key, revision, state)
                case Unchanged(key) | Unavailable(key):
                    met.add(key)
                case Gone(key):
                    self.items.pop(key, None)
                case End(complete):
                    if complete:
                        self.items = {key: item for key, item in self.items.items() if key in met}
        return seen


def later() -> int:
    """A clock that is a minute ahead: no file is so fresh that its times can't be trusted."""
    return time.time_ns() + 60_000_000_000


class FolderWorld:
    has_token = False

    def __init__(self, base: Path) -> None:
        self._root = base / "docs"
        self._root.mkdir()

    @property
    def origin(self) -> FolderOrigin:
        return FolderOrigin(path=self._root)

    def put(self, name: str, text: str) -> None:
        path = self._root / self.key(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def put_all(self, documents: Mapping[str, str]) -> None:
        for name, text in documents.items():
            self.put(name, text)

    def delete(self, name: str) -> None:
        (self._root / self.key(name)).unlink()

    def rename(self, old: str, new: str) -> None:
        target = self._root / self.key(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        (self._root / self.key(old)).rename(target)

    def key(self, name: str) -> str:
        return f"{name}.md"

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Under another folder of the same name, as the mount point is once the share is gone."""
        aside = self._root.with_name("aside")
        self._root.rename(aside)
        self._root.mkdir()
        yield
        self._root.rmdir()
        aside.rename(self._root)

    def open(self) -> Origin:
        return Folder(self.origin, SUFFIXES, MAX_BYTES, clock=later)


class GitWorld:
    """A repository with a work tree, each change a commit."""

    has_token = True

    def __init__(self, base: Path) -> None:
        self.repository = GitRepository(base / "manual")
        self._workspace = base / "workspace"

    @property
    def origin(self) -> GitOrigin:
        return GitOrigin(url=str(self.repository.path))

    def put(self, name: str, text: str) -> None:
        self.put_all({name: text})

    def put_all(self, documents: Mapping[str, str]) -> None:
        self.repository.commit({self.key(name): text for name, text in documents.items()})

    def delete(self, name: str) -> None:
        self.repository.run("rm", "--quiet", "--", self.key(name))
        self.repository.commit({}, "deleted")

    def rename(self, old: str, new: str) -> None:
        (self.repository.path / self.key(new)).parent.mkdir(parents=True, exist_ok=True)
        self.repository.run("mv", "--", self.key(old), self.key(new))
        self.repository.commit({}, "renamed")

    def key(self, name: str) -> str:
        return f"{name}.md"

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The host does not have the repository for a while."""
        aside = self.repository.path.with_name("aside")
        self.repository.path.rename(aside)
        yield
        aside.rename(self.repository.path)

    def open(self) -> Origin:
        return Git(
            self.origin,
            workspace=self._workspace,
            suffixes=SUFFIXES,
            max_bytes=MAX_BYTES,
            timeout_s=60,
        )


class WebWorld:
    """A site that names its pages in a sitemap, or links them from a start page that is no document itself."""

    has_token = False

    def __init__(self, site: SiteServer, *, by_links: bool) -> None:
        self._site = site
        self._start = "/index.html" if by_links else "/sitemap.xml"
        self._by_links = by_links
        self._publish()

    @property
    def origin(self) -> WebOrigin:
        return WebOrigin(url=self._site.url(self._start), include=("*.md",), delay_s=0)

    def put(self, name: str, text: str) -> None:
        self.put_all({name: text})

    def put_all(self, documents: Mapping[str, str]) -> None:
        headers = {"Content-Type": "text/markdown; charset=utf-8"}
        self._site.pages |= {f"/{name}.md": Reply(text.encode(), headers=headers) for name, text in documents.items()}
        self._publish()

    def delete(self, name: str) -> None:
        del self._site.pages[f"/{name}.md"]
        self._publish()

    def rename(self, old: str, new: str) -> None:
        self._site.pages[f"/{new}.md"] = self._site.pages[f"/{old}.md"]
        self.delete(old)

    def key(self, name: str) -> str:
        return self._site.url(f"/{name}.md")

    @contextmanager
    def broken(self) -> Iterator[None]:
        """The server is overloaded for a while."""
        pages = self._site.pages
        self._site.pages = {path: Reply(status=503) for path in pages}
        yield
        self._site.pages = pages

    def open(self) -> Origin:
        return Web(
            self.origin,
            settings=SourcesSettings(allowed_hosts=("127.0.0.1",)),
            max_bytes=MAX_BYTES,
            pause=lambda seconds: None,
        )

    def _publish(self) -> None:
        named = [path for path in self._site.pages if path.endswith(".md")]
        self._site.pages[self._start] = page(*named) if self._by_links else sitemap(map(self._site.url, named))


@contextmanager
def folder_world(base: Path) -> Iterator[World]:
    yield FolderWorld(base)


@contextmanager
def git_world(base: Path) -> Iterator[World]:
    yield GitWorld(base)


@contextmanager
def web_links_world(_: Path) -> Iterator[World]:
    with running_site() as site:
        yield WebWorld(site, by_links=True)


@contextmanager
def web_sitemap_world(_: Path) -> Iterator[World]:
    with running_site() as site:
        yield WebWorld(site, by_links=False)


WORLDS: dict[str, Callable[[Path], AbstractContextManager[World]]] = {
    "folder": folder_world,
    "git": git_world,
    "sql-sqlite": sqlite_world,
    "web-links": web_links_world,
    "web-sitemap": web_sitemap_world,
}

SERVER_WORLDS: dict[str, Callable[[str], AbstractContextManager[World]]] = {"postgres": sql_world, "mariadb": sql_world}
"""By the server that each needs: opened with the address of an empty database, the fixture `<server>_url`."""
