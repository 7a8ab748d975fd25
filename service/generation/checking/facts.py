"""Exact facts of a text: quantities, dates, times, versions, addresses, hosts, paths, identifiers, flags and commands.

Two texts state the same fact when it reads the same after normalising. Quantities are read by `quantities`, commands
compared by `commands`. Whether the sentence around a fact means the same is left to `exactness` and `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_interface

from service.generation.checking.commands import CODE_SPAN, CommandText, code_lines, flat
from service.generation.checking.factkinds import Fact, FactKind, Found
from service.generation.checking.quantities import converts, quantities_of, same_day, same_time, spelled

__all__ = ["CODE_SPAN", "Fact", "FactKind", "FactText", "facts_of", "is_technical", "read_facts"]

_VERSION = re.compile(r"(?<![\w./:-])v?(?P<v>\d+(?:\.\d+){2,}(?:-[\w.]+)?(?::\d+)?(?:/\d+)?)(?![\w-]|\.\w)", re.I)
_TOKEN = re.compile(r"[^\s`\"\u201c\u201d\u00ab\u00bb<>|(){}\[\];\u00b0]+")
_LIST_NUMBER = re.compile(
    r"^[ \t>*_#]*(?:(?:step|method|option|part|tip|phase|question|way|q) ?)?\d{1,3}[.):][*_]*(?:[ \t]+|$)",
    re.MULTILINE | re.IGNORECASE,
)
_STEPS = re.compile(r"\bsteps?\s+\d{1,2}(?:(?:\s*[,&\u2013-]\s*|\s+(?:and|or|to|through)\s+)\d{1,2})*\b", re.IGNORECASE)
_COUNTED = re.compile(r"\b(?:two|three|four|five|\d)\s+(?:\w+\s+)?(?:passages|excerpts)\b", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\(?\b(?:passages?|excerpts?)\s+\d{1,2}(?::\d+)?(?:(?:\s*[,&-]\s*|\s+(?:and|or|to)\s+|\s*,\s*(?:and|or)\s+)"
    r"(?:passages?\s+)?\d{1,2}(?::\d+)?)*\)?",
    re.IGNORECASE,
)
"""`(Passage 2)`, `passages 1 and 3`: which text says it is no fact of the text."""
_SPLIT_CODE = re.compile(r"\b([A-Za-z]{1,4})[- ](\d{1,4})\b")
_SAID_OTHERWISE = (
    (re.compile(r"\b(?:an?|one|single|once|every|each|per)\b", re.I), "1"),
    (re.compile(r"\b(?:both|twice|double[sd]?|pair|couple|second)\b", re.I), "2"),
    (re.compile(r"\b(?:thrice|triple[sd]?|third)\b", re.I), "3"),
    (re.compile(r"\bhal(?:f|ves|ved)\b", re.I), "0.5"),
    (re.compile(r"\b(?:quarters?)\b", re.I), "0.25"),
    (re.compile(r"\b(?:dozen)\b", re.I), "12"),
    (re.compile(r"\b(?:entire|all|fully|completely)\b", re.I), "100 %"),
    (re.compile(r"\b(?:half)\b", re.I), "50 %"),
)
"""Words of evidence that state a number: "an hour" is 1 hour. A sentence to be checked owes no number for them."""
_WORD_UNITS = {"hour": "3600 s", "minute": "60 s", "second": "1 s", "day": "86400 s", "daily": "86400 s",
               "week": "604800 s", "weekly": "604800 s", "month": "1 month", "monthly": "1 month",
               "year": "12 month", "yearly": "12 month", "annual": "12 month"}  # fmt: skip
_WORD_UNIT = re.compile(
    r"\b(?:(?:an?|one|every|each|per)[ -](?P<u>hour|minute|second|day|week|month|year)|(?P<half>half)(?: an?|-)?[ -]?"
    r"(?P<hu>hour|minute|day|year)|(?P<ly>daily|weekly|monthly|yearly|annual))",
    re.I,
)
_PORT_DIGITS = 3
_TRAILING = ".,:!?'*\u2019"


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """The facts of a text with their places in `text`: the one given, fractions in figures, without names of passages.

    `references` are numbers of steps: a copy must have the same, but no other sentence owes them to its source.
    """

    text: str
    found: tuple[Found, ...]
    references: tuple[Found, ...] = ()


def facts_of(text: str) -> frozenset[Fact]:
    """The facts that a sentence states. A command is one fact, whole; what stands inside it is not taken apart."""
    return frozenset(found.fact for found in read_facts(text).found)


def read_facts(text: str) -> ReadFacts:
    """The facts that a sentence states, in the order of their places."""
    text = spelled(text)
    found: list[Found] = []
    prose = text
    for match in CODE_SPAN.finditer(text):
        found += [Found(match.start(), match.end(), _code_fact(line)) for line in code_lines(match)]
        prose = _blanked(prose, match.start(), match.end(), "\x00")
    references: list[Found] = []
    said = text
    for pattern in (_LIST_NUMBER, _REFERENCE, _COUNTED):
        for match in pattern.finditer(prose):
            prose = _blanked(prose, match.start(), match.end())
            if pattern is not _LIST_NUMBER:
                said = _blanked(said, match.start(), match.end())
    for match in _STEPS.finditer(prose):
        for number in re.finditer(r"\d+", match.group()):
            start = match.start() + number.start()
            fact = Fact(FactKind.NUMBER, number.group(), "step", number.group())
            references.append(Found(start, start + len(number.group()), fact))
        prose = _blanked(prose, match.start(), match.end())
    for match in _VERSION.finditer(prose):
        found.append(Found(match.start(), match.end(), _version(match.group("v"))))
        prose = _blanked(prose, match.start(), match.end(), "\x00")
    for quantity in quantities_of(prose):
        found.append(quantity)
        prose = _blanked(prose, quantity.start, quantity.end, "\x00")
    found += _tokens(prose)
    return ReadFacts(said, _in_order(found), _in_order(references))


def _in_order(found: list[Found]) -> tuple[Found, ...]:
    return tuple(sorted(found, key=lambda one: (one.start, one.end, str(one.fact))))


def _tokens(prose: str) -> Iterator[Found]:
    """The names of machines in prose from which everything else was blanked."""
    for match in _TOKEN.finditer(prose):
        if "\x00" in match.group():
            continue
        bare = match.group().rstrip(_TRAILING).lstrip("'*\u2018")
        bare = re.sub(r"['\u2019]s$", "", bare)
        if is_technical(bare):
            start = match.start() + match.group().index(bare)
            yield Found(start, start + len(bare), _token_fact(bare))


def _blanked(text: str, start: int, end: int, by: str = " ") -> str:
    return text[:start] + by * (end - start) + text[end:]


def is_technical(token: str) -> bool:
    """Whether a token is a name of machines rather than a word: a flag, path, host, code or variable."""
    if token.isalpha() and token[1:].islower():  # an ordinary word, as most are
        return False
    if len(token) < 2 or not any(character.isalnum() for character in token):
        return False
    if re.match(r"--?[A-Za-z]", token) or token[0] in "/~#@$":
        return True
    if any(character.isdigit() for character in token):
        return True
    if re.search(r"[_=@\\]|://|\w{2}\.\w{2}|\w:\w|\w/[\w.-]+/\w", token):
        return True
    if re.search(r"[a-z][A-Z]", token):
        return True
    return len(token) >= 5 and token.isupper() and token.isalpha()


_NEVER_LEFT_OUT = frozenset({"%", "usd", "eur", "gbp"})
"""Units without which a number counts something else: "10 % of the users" are not 10 flags."""


class FactText:
    """A stretch of evidence, prepared to be asked for facts.

    `code`: it is a line of code without its fence; `facts`: those of the text, where they are known already.
    """

    def __init__(self, text: str, *, code: bool = False, facts: frozenset[Fact] | None = None) -> None:
        self._flat = flat(text)
        self._folded = self._flat.casefold()
        self._text = text
        self._code = code
        # a value in code is a value: `"120"` in a manifest supports "120 seconds"
        bare = re.sub(r"[`\"']", " ", text)
        self.facts = facts_of(text) if facts is None else facts
        if bare != text:
            self.facts |= {fact for fact in facts_of(bare) if fact.kind not in (FactKind.COMMAND, FactKind.FLAG)}
        self._values = {(fact.kind, fact.value) for fact in self.facts}
        self._numerals: dict[str, set[str]] = {}
        for fact in self.facts:
            if fact.kind is FactKind.NUMBER:
                self._numerals.setdefault(fact.numeral, set()).add(fact.shape)

    @cached_property
    def _commands(self) -> CommandText:
        return CommandText(self._text, code=self._code)

    @cached_property
    def _said(self) -> frozenset[str]:
        """Numbers that words state, as values of facts."""
        said = {value for pattern, value in _SAID_OTHERWISE if pattern.search(self._text)}
        for match in _WORD_UNIT.finditer(self._text):
            unit = (match.group("u") or match.group("ly") or match.group("hu")).casefold()
            number, _, shape = _WORD_UNITS[unit].partition(" ")
            said.add(f"{float(number) / (2 if match.group('half') else 1):g} {shape}")
        return frozenset(said)

    def states(self, fact: Fact) -> bool:
        """Whether the fact is here."""
        if (fact.kind, fact.value) in self._values:
            return True
        match fact.kind:
            case FactKind.NUMBER:
                return self._states_number(fact)
            case FactKind.DATE:
                return any(known.kind is FactKind.DATE and same_day(known.value, fact.value) for known in self.facts)
            case FactKind.TIME:
                return any(known.kind is FactKind.TIME and same_time(known, fact) for known in self.facts)
            case FactKind.COMMAND:
                return self._commands.has(fact.value)
            case FactKind.FLAG:
                return occurs(fact.value, self._flat)
            case FactKind.IDENTIFIER:
                return occurs(fact.value, self._folded) or fact.value in self._joined
        return occurs(fact.value, self._folded)

    @cached_property
    def _joined(self) -> frozenset[str]:
        """`b12` where `B-12` is written."""
        return frozenset(f"{match[1]}{match[2]}".casefold() for match in _SPLIT_CODE.finditer(self._text))

    def _states_number(self, fact: Fact) -> bool:
        # "must read 120" supports "120 seconds": one of the two may leave the unit out, but not differ in it
        shapes = self._numerals.get(fact.numeral, set())
        if fact.shape == "":
            if shapes - _NEVER_LEFT_OUT:
                return True
        elif "" in shapes or (shapes and {fact.shape, *shapes} & {"degree"}):
            return True
        if fact.value in self._said or (fact.shape == "" and fact.numeral in self._said):
            return True
        if any(known.kind is FactKind.NUMBER and converts(fact, known) for known in self.facts):
            return True
        # a port stands in `localhost:8443`; shorter numbers would be found everywhere
        if fact.shape or len(fact.numeral) < _PORT_DIGITS:
            return False
        port = re.search(rf"\w:{re.escape(fact.numeral)}(?!\w)", self._folded)
        return port is not None or occurs(fact.numeral, self._folded)


def agree(one: Fact, other: Fact) -> bool:
    """Whether two facts of one kind may be the same: one leaves out a unit or a year, or they convert."""
    if one.kind is not other.kind:
        return False
    if one.value == other.value:
        return True
    if one.kind is FactKind.DATE:
        return same_day(one.value, other.value)
    if one.kind is FactKind.TIME:
        return same_time(one, other)
    if one.kind is FactKind.NUMBER:
        vague = "" in (one.shape, other.shape) or "degree" in (one.shape, other.shape)
        return (one.numeral == other.numeral and vague) or converts(one, other)
    return False


def occurs(needle: str, text: str) -> bool:
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
    if " " in line:
        return Fact(FactKind.COMMAND, line, line.split()[0])
    if re.fullmatch(r"\d+(?:\.\d+)?", line):
        return Fact(FactKind.NUMBER, line, "", line)
    if _VERSION.fullmatch(line):
        return _version(line.lstrip("vV"))
    return _token_fact(line)


def _token_fact(token: str) -> Fact:
    if re.match(r"--?[A-Za-z]", token):
        return Fact(FactKind.FLAG, token, "-")
    folded = token.casefold()
    if folded.count(":") >= 2 and (address := _address(folded)):
        return Fact(FactKind.ADDRESS, address, "address")
    return Fact(FactKind.IDENTIFIER, folded, re.sub(r"\d+", "0", folded))


def _version(written: str) -> Fact:
    folded = written.casefold()
    if folded.count(".") == 3 and _address(folded.partition(":")[0]):
        return Fact(FactKind.ADDRESS, folded, "address")
    return Fact(FactKind.VERSION, folded, ".")


def _address(text: str) -> str:
    """An IPv4 or IPv6 address, with its network if one is given, in one spelling; empty if it is none."""
    try:
        interface = ip_interface(text)
    except ValueError:
        return ""
    return str(interface) if "/" in text else str(interface.ip)
