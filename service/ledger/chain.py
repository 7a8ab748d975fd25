"""The hash chain of the audit log: the bytes of an entry, its hash, and where a chain does not fit together.

Where chains are kept is left to `service.ledger.audit`. Nothing here needs a database: an exported file is enough.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ingestion.errors import InvalidRequest

GENESIS = "0" * 64
"""What stands for the hash before the first entry of a chain."""
CUT = "audit.cut"
"""Action of the entry that says that the old end was cut off: `detail` has the last `n` that is gone and its hash."""

_AT = "%Y-%m-%dT%H:%M:%S.%fZ"
_HASHED = ("tenant", "n", "at", "actor", "action", "subject", "detail")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `at` is RFC 3339 in UTC with six digits after the point; `previous` is the hash before it."""

    tenant: str
    n: int
    at: str
    actor: str
    action: str
    subject: str | None
    detail: Mapping[str, Any]
    previous: str
    hash: str = ""

    def sealed(self) -> str:
        """The hash that belongs to its content: SHA-256 over `previous`, a line feed and the canonical JSON, in hex.

        Canonical: the keys `action actor at detail n subject tenant` and those inside `detail` in order, no white
        space, ASCII only with `\\u` escapes. `detail` holds no floats: languages write them in different ways.
        """
        facts = {name: getattr(self, name) for name in _HASHED}
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(f"{self.previous}\n{text}".encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """As it is exported."""
        return {name: getattr(self, name) for name in (*_HASHED, "previous", "hash")}


def moment(at: datetime) -> str:
    """A time as entries have it."""
    return at.astimezone(UTC).strftime(_AT)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a chain at some time. Noted elsewhere, it shows a tail that was cut or written anew."""

    hash: str
    n: int | None = None

    @classmethod
    def parse(cls, text: str) -> Head:
        """From `HASH` or `N:HASH`. Raises: InvalidRequest."""
        n, colon, hash_ = text.strip().rpartition(":")
        if len(hash_) != 64 or set(hash_) - set("0123456789abcdef") or (colon and not n.isdecimal()):
            raise InvalidRequest(f"not the head of an audit chain: {text!r}; it is HASH or N:HASH as the log has it")
        return cls(hash_, int(n) if colon else None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out. `fault` says what does not fit, `at` the number of the entry where; None: all of it fits."""

    entries: int
    first: int | None
    last: Head | None
    fault: str | None = None
    at: int | None = None

    @property
    def holds(self) -> bool:
        return self.fault is None


@dataclass(slots=True)
class _Walk:
    """What is known while the entries go by."""

    head: Head | None
    count: int = 0
    first: Entry | None = None
    last: Entry | None = None
    cuts: dict[int, str] = field(default_factory=dict)
    seen_head: bool = False

    def fault_of(self, entry: Entry) -> str | None:
        last = self.last
        if last is not None and entry.tenant != last.tenant:
            return f"it belongs to the chain of {entry.tenant!r}, the one before to that of {last.tenant!r}"
        if last is not None and entry.n != last.n + 1:
            return f"it follows entry {last.n}: entries are missing, repeated or out of order"
        if last is not None and entry.previous != last.hash:
            return "its previous hash is not the hash of the entry before it"
        if entry.n == 1 and entry.previous != GENESIS:
            return "it is the first of its chain and still refers to one before it"
        return "its content does not fit its hash" if entry.sealed() != entry.hash else None

    def take(self, entry: Entry) -> None:
        self.count += 1
        self.first = self.first or entry
        self.last = entry
        if entry.action == CUT:
            self.cuts[entry.detail["n"]] = entry.detail["hash"]
        if self.head is not None and entry.hash == self.head.hash:
            self.seen_head = self.head.n in (None, entry.n)

    def verdict(self, fault: str | None = None, at: int | None = None) -> Verdict:
        last = None if self.last is None else Head(self.last.hash, self.last.n)
        return Verdict(self.count, None if self.first is None else self.first.n, last, fault, at)


def verify(entries: Iterable[Entry], *, head: Head | None = None, whole: bool = True) -> Verdict:
    """Whether the entries of one chain fit together, in order; the first that does not fit is named.

    `head` was noted earlier in another place: an entry with that hash must be there. `whole`: the chain must begin
    with entry 1, or where one of its own entries says that it was cut; else it may begin anywhere, as a part does.
    """
    walk = _Walk(head)
    for entry in entries:
        if (fault := walk.fault_of(entry)) is not None:
            return walk.verdict(fault, entry.n)
        walk.take(entry)
    first = walk.first
    cut = first is not None and first.n > 1 and (whole or first.n - 1 in walk.cuts)
    if first is not None and cut and walk.cuts.get(first.n - 1) != first.previous:
        return walk.verdict("the entries before it are gone, and none says that they were cut", first.n)
    if head is not None and not walk.seen_head:
        return walk.verdict(_missing(head, walk), None)
    return walk.verdict()


def _missing(head: Head, walk: _Walk) -> str:
    if head.n is not None and walk.first is not None and head.n < walk.first.n:
        return f"entry {head.n}, noted elsewhere, is older than what is here: it can't be checked"
    if head.n is not None and (walk.last is None or head.n > walk.last.n):
        return f"entry {head.n}, noted elsewhere, is missing: the tail was cut off"
    return "the head that was noted elsewhere is not in this chain: its tail was cut off, or all was written anew"


def read_lines(lines: Iterable[str | bytes]) -> Iterator[Entry]:
    """The entries of an exported file. Raises: InvalidRequest that names the line that is none."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = entry_of(json.loads(line, object_pairs_hook=_once))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidRequest(f"line {number} is not an entry of an audit log") from error
        yield entry


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A name that comes twice could show one value to a reader and another to a program."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def entry_of(facts: Mapping[str, Any]) -> Entry:
    """What `Entry.facts` told. Raises: KeyError, TypeError, ValueError."""
    if set(facts) != {*_HASHED, "previous", "hash"}:
        raise KeyError("not the fields of an entry")
    strings = ("tenant", "at", "actor", "action", "previous", "hash")
    if type(facts["n"]) is not int or not isinstance(facts["detail"], dict):
        raise TypeError("not an entry")
    if not all(isinstance(facts[name], str) for name in strings):
        raise TypeError("not an entry")
    if facts["action"] == CUT and {type(facts["detail"].get("n")), type(facts["detail"].get("hash"))} != {int, str}:
        raise TypeError("not an entry")
    return Entry(**facts)
