"""Exact facts of a text: quantities, dates, versions, hosts, identifiers, flags and commands.

Two texts state the same fact when it reads the same after normalising (2 minutes = 120 s, `17 Feb 2026` = 2026-02-17).
Whether the sentence around it means the same is left to `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

CODE_SPAN = re.compile(r"(`{3,}|~{3,})[^\n]*\n(?P<block>.*?)(?:\n[ \t>]*\1|\Z)|`(?P<inline>[^`\n]+)`", re.DOTALL)


class FactKind(StrEnum):
    NUMBER = "numbers"
    DATE = "dates"
    VERSION = "versions"
    IDENTIFIER = "identifiers"
    FLAG = "flags"
    COMMAND = "commands"


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` is normalised and compared; `shape` says which facts exclude one another (GH-5021, GH-5022: `gh-0`)."""

    kind: FactKind
    value: str
    shape: str


_SECONDS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
}  # fmt: skip
_UNITS = {
    "ms": "ms", "millisecond": "ms", "milliseconds": "ms", "%": "%", "percent": "%",
    "month": "month", "months": "month", "year": "year", "years": "year",
    "b": "b", "bytes": "b", "kb": "kb", "kib": "kib", "mb": "mb", "mib": "mib", "gb": "gb", "gib": "gib",
    "tb": "tb", "tib": "tib", "mi": "mib", "gi": "gib",
    "km": "km", "kg": "kg", "eur": "eur", "euro": "eur", "euros": "eur", "usd": "usd", "dollars": "usd",
}  # fmt: skip
_CURRENCY = {"$": "usd", "\u20ac": "eur", "\u00a3": "gbp"}
_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40",
    "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100",
}  # fmt: skip
"""Without `one`, which is a pronoun more often than a number."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_MONTH = r"(?P<{0}>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(r"(?<![\w-])(?P<y>(?:19|20)\d\d)-(?P<mn>\d\d)-(?P<d>\d\d)(?![\w-])"),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH.format('m')}(?:,?\s+(?P<y>(?:19|20)\d\d))?\b", re.I
    ),
    re.compile(
        rf"\b{_MONTH.format('m')}\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:])(?:,?\s+(?P<y>(?:19|20)\d\d))?\b", re.I
    ),
)
_VERSION = re.compile(r"(?<![\w./:-])v?(?P<v>\d+(?:\.\d+){2,}(?:-[\w.]+)?(?::\d+)?(?:/\d+)?)(?![\w-]|\.\w)", re.I)
_UNIT = "|".join(sorted(map(re.escape, (*_SECONDS, *_UNITS)), key=len, reverse=True))
_QUANTITY = re.compile(
    rf"(?<![\w.,:/=@#-])(?P<sign>[-\u2212]?)(?P<cur>[$\u20ac\u00a3]?)v?"
    rf"(?P<n>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:[ \u00a0-]?(?P<u>{_UNIT})(?![\w/]))?(?![\w]|[.:,/@-]\w)",
    re.I,
)
_NUMBER_WORD = re.compile(rf"\b(?P<n>{'|'.join(_WORDS)})\b(?:[ -](?P<u>{_UNIT})\b)?", re.I)
_TOKEN = re.compile(r"[^\s`\"“”«»<>|(){}\[\];]+")
_LIST_NUMBER = re.compile(r"^[ \t>]*(?:step )?\d{1,3}[.):][ \t]+", re.MULTILINE | re.IGNORECASE)
_RANGE = re.compile(r"(?<![\w.-])(\d[\d.]*)[-\u2013](\d)")
_TAKEN = " \x00 "
_TRAILING = ".,:!?'*"


def facts_of(text: str) -> frozenset[Fact]:
    """The facts that a sentence states. A command is one fact, whole; what stands inside it is not taken apart."""
    facts: set[Fact] = set()

    def code(match: re.Match[str]) -> str:
        block = match.group("block")
        for line in block.splitlines() if block is not None else (match.group("inline"),):
            if line.strip():
                facts.add(_code_fact(line))
        return _TAKEN

    prose = CODE_SPAN.sub(code, text)
    prose = _LIST_NUMBER.sub("", prose)
    for pattern in _DATES:
        prose = pattern.sub(_taken(facts, _date), prose)
    prose = _VERSION.sub(_taken(facts, _version), prose)
    prose = _RANGE.sub(r"\1 to \2", prose)
    prose = _QUANTITY.sub(_taken(facts, _quantity), prose)
    prose = _NUMBER_WORD.sub(_taken(facts, _quantity), prose)
    for token in _TOKEN.findall(prose):
        bare = token.rstrip(_TRAILING).lstrip("'*")
        if is_technical(bare):
            facts.add(_token_fact(bare))
    return frozenset(facts)


def _taken(facts: set[Fact], make: Callable[[re.Match[str]], Fact]) -> Callable[[re.Match[str]], str]:
    """A replacement that keeps the fact and takes it out of the text, so that no other pattern reads it again."""

    def take(match: re.Match[str]) -> str:
        facts.add(make(match))
        return _TAKEN

    return take


def is_technical(token: str) -> bool:
    """Whether a token is a name of machines rather than a word: a flag, path, host, code or variable."""
    if len(token) < 2 or not any(character.isalnum() for character in token):
        return False
    if re.match(r"--?[A-Za-z]", token) or token[0] in "/~#@$":
        return True
    if any(character.isdigit() for character in token):
        return True
    if re.search(r"[_=@\\]|://|\w{2}\.\w{2}|\w:\w", token):
        return True
    if re.search(r"[a-z][A-Z]", token):
        return True
    return len(token) >= 5 and token.isupper() and token.isalpha()


class FactText:
    """A stretch of evidence, prepared to be asked for facts."""

    def __init__(self, text: str) -> None:
        self._flat = _flat(text)
        self._folded = self._flat.casefold()
        # a value in code is a value: `"120"` in a manifest supports "120 seconds"
        bare = re.sub(r"[`\"']", " ", text)
        self.facts = facts_of(text) | {
            fact for fact in facts_of(bare) if fact.kind not in (FactKind.COMMAND, FactKind.FLAG)
        }
        self._values = {(fact.kind, fact.value) for fact in self.facts}
        self._numbers: dict[str, set[str]] = {}
        for fact in self.facts:
            if fact.kind is FactKind.NUMBER:
                self._numbers.setdefault(fact.value.partition(" ")[0], set()).add(fact.shape)

    def states(self, fact: Fact) -> bool:
        """Whether the fact is here."""
        if (fact.kind, fact.value) in self._values:
            return True
        if fact.kind is FactKind.NUMBER:
            # "must read 120" supports "120 seconds": one of the two may leave the unit out, but not differ in it
            shapes = self._numbers.get(fact.value.partition(" ")[0], set())
            if shapes and ("" in shapes or fact.shape == ""):
                return True
            # a port stands in `localhost:8443`; shorter numbers would be found everywhere
            return fact.shape == "" and len(fact.value) >= 3 and _occurs(fact.value, self._folded)
        if fact.kind is FactKind.DATE:
            return any(known.kind is FactKind.DATE and _same_day(known.value, fact.value) for known in self.facts)
        if fact.kind in (FactKind.COMMAND, FactKind.FLAG):
            return _occurs(fact.value, self._flat)
        return _occurs(fact.value, self._folded)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _occurs(needle: str, text: str) -> bool:
    """Whether the needle stands in the text as a whole: `--force` is not in `--force-with-lease`, 4.8 not in 4.8.1."""
    at = text.find(needle)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(needle) : at + len(needle) + 2]
        open_left = before == "" or not (before.isalnum() or before in "_-." or (needle[0] == "/" and before in "/:"))
        open_right = not after[:1] or not (
            after[0].isalnum()
            or after[0] == "_"
            or (after[0] in "-./:=@" and len(after) > 1 and (after[1].isalnum() or after[1] in "_-/"))
        )
        if open_left and open_right:
            return True
        at = text.find(needle, at + 1)
    return False


def _code_fact(line: str) -> Fact:
    flat = _flat(line)
    if " " in flat:
        return Fact(FactKind.COMMAND, flat, flat.split()[0])
    if re.fullmatch(r"\d+(?:\.\d+)?", flat):
        return Fact(FactKind.NUMBER, flat, "")
    return _token_fact(flat)


def _token_fact(token: str) -> Fact:
    if re.match(r"--?[A-Za-z]", token):
        return Fact(FactKind.FLAG, token, "-")
    folded = token.casefold()
    return Fact(FactKind.IDENTIFIER, folded, re.sub(r"\d+", "0", folded))


def _version(match: re.Match[str]) -> Fact:
    return Fact(FactKind.VERSION, match.group("v").casefold(), ".")


def _date(match: re.Match[str]) -> Fact:
    groups = match.groupdict()
    month = groups["mn"] if "mn" in groups else f"{_MONTHS.index(groups['m'][:3].casefold()) + 1:02d}"
    return Fact(FactKind.DATE, f"{groups.get('y') or '?'}-{month}-{int(groups['d']):02d}", "date")


def _same_day(one: str, other: str) -> bool:
    return one[-5:] == other[-5:] and (one[0] == "?" or other[0] == "?" or one == other)


def _quantity(match: re.Match[str]) -> Fact:
    groups = match.groupdict()
    number = groups["n"].casefold()
    number = _WORDS.get(number, number.replace(",", ""))
    unit = (groups.get("u") or "").casefold()
    if unit in _SECONDS:
        number = _plain(float(number) * _SECONDS[unit])
        unit = "s"
    else:
        unit = _UNITS.get(unit, _CURRENCY.get(groups.get("cur") or "", ""))
    sign = "-" if groups.get("sign") else ""
    return Fact(FactKind.NUMBER, f"{sign}{number} {unit}".rstrip(), unit)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
