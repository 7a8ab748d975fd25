"""Places that documents come from, edited at random as their users do, with a ledger of what was there and when."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email.message import EmailMessage
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy import text as sql

from ingestion.settings import Settings, SourcesSettings
from ingestion.sources.definitions import SourceDefinition
from tests.contracts.origins import FolderWorld, World, folder_world, git_world, web_sitemap_world
from tests.contracts.sql_world import SqlWorld, sql_world
from tests.embeddings_endpoint import Endpoint
from tests.ingestion.syncing.parts import quick_settings

FEWEST, FIRST, MOST = 4, 10, 14
"""Documents in one place: at least, at first, at most."""
_WORDS = [
    "gateway",
    "rollback",
    "certificate",
    "queue",
    "replica",
    "shard",
    "index",
    "tenant",
    "ledger",
    "budget",
    "latency",
    "socket",
    "drain",
    "restart",
    "failover",
    "backup",
    "quota",
    "alert",
    "probe",
    "token",
]
_NAMES = [f"{folder}{name}" for folder in ("", "deep/", "deep/er/") for name in "abcdefg"]


class MailWorld(FolderWorld):
    """A folder of e-mails. Each has a file attached, whose name and content come from the text."""

    def put(self, name: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["Subject"] = "ops@example.org", f"About {name.rpartition('/')[2]}"
        message.set_content(text)
        paragraphs = text.split("\n\n")
        attached = "\n\n".join(paragraphs[:1]) + "\n"
        file = "notes.txt" if len(text) % 2 else "log.txt"
        message.add_attachment(attached.encode(), maintype="text", subtype="plain", filename=file)
        super().put(name, message.as_string())

    def key(self, name: str) -> str:
        return f"{name}.eml"


class Place:
    """One source: its world, and a ledger by the number of the edit, over all places."""

    def __init__(self, id_: str, world: World, chance: random.Random) -> None:
        self.id = id_
        self.world = world
        self.texts: dict[str, str] = {}
        self.past: list[str] = []
        """Texts that were there before."""
        self.since: dict[str, int] = {}
        """Words of the texts that are there, with the last edit that placed, moved or copied one of them."""
        self.gone: dict[str, int] = {}
        """Words of texts that are there no more, with the edit that removed the last of them."""
        self.edits = 0
        self._chance = chance

    @property
    def definition(self) -> SourceDefinition:
        return SourceDefinition(id=self.id, origin=self.world.origin, collection="docs")

    def begin(self, new_text: Callable[[], str]) -> None:
        """Fill the empty place."""
        names = self._chance.sample(_NAMES, FIRST)
        self.world.put_all({name: self.texts.setdefault(name, new_text()) for name in names})
        self._note(0, *self.texts.values())

    def edit(self, number: int, new_text: Callable[[], str], kind: str | None = None) -> None:
        """One edit, of any kind if none is named."""
        chance = self._chance
        free = [name for name in _NAMES if name not in self.texts]
        name = chance.choice(sorted(self.texts))
        kinds = ["change"] * 4 + ["back"] * 3 + ["delete"] * 3 + ["add"] * 3 + ["rename"] * 2 + ["swap", "copy", "same"]
        kind = kind or chance.choice(kinds)
        if kind == "delete" and len(self.texts) <= FEWEST:
            kind = "add"
        elif kind in ("add", "copy") and len(self.texts) >= MOST:
            kind = "delete"
        match kind:
            case "change":
                self._put(number, name, new_text())
            case "back":
                self._put(number, name, chance.choice(self.past or [new_text()]))
            case "delete":
                self.world.delete(name)
                self._note(number, self.texts.pop(name))
            case "add":
                self._put(number, chance.choice(free), chance.choice([new_text(), *self.past[-2:]]))
            case "rename":
                self._rename(number, name, chance.choice(free))
            case "swap":
                other, aside = chance.choice(sorted(self.texts)), chance.choice(free)
                if other != name:
                    for old, new in ((name, aside), (other, name), (aside, other)):
                        self._rename(number, old, new)
            case "copy":
                self._put(number, chance.choice(free), self.texts[name])
            case "same":
                self._put(number, name, self.texts[name])
        self.edits += 1

    def _put(self, number: int, name: str, text: str) -> None:
        before = self.texts.get(name)
        self.world.put(name, text)
        self.texts[name] = text
        self._note(number, text, *([] if before is None else [before]))

    def _rename(self, number: int, old: str, new: str) -> None:
        self.world.rename(old, new)
        self.texts[new] = self.texts.pop(old)
        self._note(number, self.texts[new])

    def _note(self, number: int, *touched: str) -> None:
        there = set(self.texts.values())
        for text in touched:
            word = word_of(text)
            if text in there:
                self.since[word] = number
                self.gone.pop(word, None)
            else:
                self.gone[word] = number
                self.since.pop(word, None)
                self.past.append(text)


class Texts:
    """Makes texts: each has a word of its own in all of its paragraphs."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made = 0

    def new(self) -> str:
        self._made += 1
        word = f"zq{self._made}"
        paragraphs = [
            f"{' '.join(self._chance.choices(_WORDS, k=self._chance.randint(8, 40))).capitalize()} {word}."
            for _ in range(self._chance.randint(1, 3))
        ]
        if self._chance.random() < 0.3:
            # A heading of its own, so that there are several chunks of which some stay the same.
            paragraphs.insert(1, f"# Then {word}")
        return "\n\n".join(paragraphs) + "\n"


def word_of(text: str) -> str:
    return next(word.strip(".") for word in text.split() if word.startswith("zq"))


@contextmanager
def open_worlds(folder: Path, servers: dict[str, str]) -> Iterator[dict[str, World]]:
    """A world of each kind by the name of its source. `servers`: addresses of servers of databases, by their kind."""
    with ExitStack() as stack:
        places = {name: folder / name for name in ("folder", "mail", "git", "web", "sqlite")}
        for place in places.values():
            place.mkdir(parents=True)
        worlds: dict[str, World] = {
            "folder": stack.enter_context(folder_world(places["folder"])),
            "mail": MailWorld(places["mail"]),
            "git": stack.enter_context(git_world(places["git"])),
            "web": stack.enter_context(web_sitemap_world(places["web"])),
            "sqlite": stack.enter_context(sql_world(f"sqlite:///{places['sqlite'] / 'shop.db'}", "sqlite")),
        }
        for kind, address in servers.items():
            worlds[kind] = stack.enter_context(sql_world(stack.enter_context(new_database(address)), kind))
        yield worlds


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The address of an empty database of its own on that server."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"nothing_lost_{uuid.uuid4().hex}"
    try:
        with admin.connect() as connection:
            connection.execute(sql(f"CREATE DATABASE {name}"))
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            forced = " WITH (FORCE)" if admin.dialect.name == "postgresql" else ""
            connection.execute(sql(f"DROP DATABASE {name}{forced}"))
    finally:
        admin.dispose()


def settings_of(worlds: dict[str, World], data_dir: Path, endpoint: Endpoint, **changed: object) -> Settings:
    """Settings with which these places may be read, with the quick embedder."""
    databases = {name: world.address for name, world in worlds.items() if isinstance(world, SqlWorld)}
    sources = SourcesSettings(databases=databases, allowed_hosts=("127.0.0.1",))
    return quick_settings(data_dir, endpoint, sources=sources, **changed)
