"""Sentences with one thing changed: a command, number, unit, version, name, negation and so on.

Every change comes from the given random numbers. A change that may leave the sentence true is not made:
`changed_by_chance` says by which exact rule. What a checker makes of them is left to its callers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

CODE = re.compile(r"(?:```|~~~)[^\n]*\n(?P<block>.*?)\n(?:```|~~~)|`(?P<inline>[^`\n]+)`", re.DOTALL)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS = {
    "seconds": "minutes", "second": "minute", "minutes": "hours", "minute": "hour", "hours": "days", "hour": "day",
    "days": "weeks", "day": "week", "weeks": "days", "week": "month", "months": "weeks", "years": "months", "s": "ms",
    "ms": "s", "MB": "GB", "GB": "MB", "TB": "GB", "KB": "MB", "kB": "MB", "%": "GB", "percent": "days",
}  # fmt: skip
_COMPARISONS = (
    ("more than", "less than"), ("at least", "at most"), ("before", "after"), ("higher", "lower"), ("above", "below"),
    ("over", "under"), ("older", "newer"), ("or more", "or less"), ("or later", "or earlier"), ("longer", "shorter"),
    ("larger", "smaller"), ("faster", "slower"), ("within", "after"), ("earlier", "later"), ("first", "last"),
)  # fmt: skip
_OPPOSITES = (
    ("start", "stop"), ("starts", "stops"), ("started", "stopped"), ("enable", "disable"), ("enabled", "disabled"),
    ("open", "close"), ("opens", "closes"), ("allow", "forbid"), ("allowed", "forbidden"), ("add", "remove"),
    ("increase", "decrease"), ("raise", "lower"), ("raised", "lowered"), ("always", "never"), ("succeeds", "fails"),
    ("on", "off"), ("accept", "reject"), ("accepted", "rejected"), ("lock", "unlock"), ("drain", "undrain"),
    ("up", "down"), ("all", "none"), ("fails", "succeeds"), ("failed", "succeeded"), ("automatic", "manual"),
)  # fmt: skip
_NEGATABLE = re.compile(r"\b(?:is|are|was|were|must|may|can|should|will|has|does|did|do)\b(?! not)(?= \w)(?=[^?]*$)")
_NEGATION = re.compile(r"\b(?:do not|does not|did not|don't|doesn't|didn't) |\bnot |\bnever ", re.IGNORECASE)
_IMPERATIVE = re.compile(
    r"^(?P<lead>(?:\d{1,2}[.)]|[-*])?\s*)(?P<verb>Add|Ask|Call|Check|Close|Create|Delete|Drain|Look|Make|Open|Raise|"
    r"Read|Restart|Run|Say|Send|Set|Start|Stop|Take|Tell|Turn|Use|Wait|Watch|Write)\b"
)
_SUBCOMMANDS = ("delete", "describe", "apply", "restart", "purge", "list")
_FLAGS = ("--force", "--all", "--dry-run", "-y", "--no-wait")
_TARGETS = ("sort", "wc -l", "sh", "tee out.txt")


@dataclass(frozen=True, slots=True)
class Mutation:
    """`text` is the sentence with `old` changed to `new`."""

    kind: str
    text: str
    old: str
    new: str


def mutations(sentence: str, names: Sequence[str], random: Random, each: int = 2) -> Iterator[Mutation]:
    """Up to `each` changes of every kind that the sentence allows. `names` are names to put for others."""
    for kind, make in KINDS.items():
        made = [
            Mutation(kind, sentence[:start] + new + sentence[end:], sentence[start:end], new)
            for start, end, new in make(sentence, names, random)
        ]
        made = [one for one in dict.fromkeys(made) if not changed_by_chance(sentence, one)]
        yield from random.sample(made, min(each, len(made)))


def changed_by_chance(sentence: str, mutation: Mutation) -> bool:
    """Whether the change may leave the sentence true: nothing differs, or the new value stands in the sentence too."""
    if _flat(mutation.text) == _flat(sentence):
        return True
    if mutation.kind in _WHOLE_STATEMENTS:
        return False
    return re.search(rf"(?<![\w.]){re.escape(mutation.new)}(?![\w]|\.\w)", sentence) is not None


def _flat(text: str) -> str:
    return " ".join(text.split())


Spans = Iterator[tuple[int, int, str]]


def _command(sentence: str, _: Sequence[str], random: Random) -> Spans:
    for match in CODE.finditer(sentence):
        group = "inline" if match.group("inline") else "block"
        start, text = match.start(group), match.group(group)
        words = list(re.finditer(r"[^\s|]+", text))
        if len(words) < 2 or not re.match(r"[a-z./$]", text.strip()) or "#" in text or "://" in words[0].group():
            continue
        plain = [word for word in words[1:] if re.fullmatch(r"[\w./:@,-]*[A-Za-z]{2}[\w./:@,-]*", word.group())]
        flags = [word for word in plain if word.group().startswith("-")]
        arguments = [word for word in plain if not word.group().startswith("-")]
        if arguments:
            first, last = arguments[0], arguments[-1]
            yield start + first.start(), start + first.end(), random.choice(_SUBCOMMANDS)
            yield start + last.start(), start + last.end(), last.group()[:-1] + random.choice("xyz")
        for one, two in pairwise(arguments):
            if one.group() != two.group():
                between = text[one.end() : two.start()]
                yield start + one.start(), start + two.end(), two.group() + between + one.group()
        for flag in flags:
            yield start + flag.start(), start + flag.end(), ""
            yield start + flag.start(), start + flag.end(), random.choice(_FLAGS)
        yield start + len(text), start + len(text), f" {random.choice(_FLAGS)}"
        pipe = re.search(r"\| *(\w[^|]*)$", text)
        if pipe:
            yield start + pipe.start(1), start + pipe.end(1), random.choice(_TARGETS)


_NUMBER = re.compile(r"(?<![\w.,:/#@+=-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w:@]|[.,/-]\w)")
_VERSION = re.compile(
    r"(?<![\w.:/-])v?\d+(?:\.\d+){2,}(?![\w-]|\.\w)|(?<=[a-z] )\d{1,2}\.\d{1,2}"
    r"(?![\w%]|\.\d| ?%| [a-zA-Z]{1,2}\b| (?:second|minute|hour|million))"
)
_DATE = re.compile(r"\b(?P<iso>20\d\d-\d\d-\d\d)\b|\b(?P<day>\d{1,2})\s(?P<month>[A-Z][a-z]{2,8})(?P<year> 20\d\d)?\b")
_TIME = re.compile(r"(?<![\w:.-])(?P<h>[0-2]\d):(?P<m>[0-5]\d)(?![\w:])")
_HOST = re.compile(r"(?<![\w./@-])[a-z][\w-]*(?:\.[a-z][\w-]*){2,}(?![\w-])|(?<![\w-])[a-z]{2,4}-\d{1,2}\b")
_IP = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_PORT = re.compile(r"(?<=[a-z]:)\d{2,5}\b|(?<=port )\d{2,5}\b")
_PATH = re.compile(r"(?<![\w./:])(?:/(?:[\w.-]+/)*[\w.-]*\w|(?:[\w.-]+/){2,}[\w-]+|(?:[\w.-]+/)+[\w-]+\.\w+)(?![\w/])")
_CODE = re.compile(r"\b[A-Z]{2,5}-\d{3,5}\b")
_IDENTIFIER = re.compile(r"(?<=`)[A-Za-z][\w-]*[_.-][\w.-]*(?=`)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*\b")


def _numbers(sentence: str) -> Iterator[re.Match[str]]:
    taken = [match.span() for pattern in (_DATE, _TIME, _VERSION, _IP, CODE) for match in pattern.finditer(sentence)]
    marker = re.match(r"\s*(?:#+\s*)?\d+[.)](?=\s)", sentence)
    for match in _NUMBER.finditer(sentence):
        if marker and match.start() < marker.end():
            continue
        if not any(start < match.end() and match.start() < end for start, end in taken):
            yield match


def _number(sentence: str, _: Sequence[str], random: Random) -> Spans:
    for match in _numbers(sentence):
        text = match.group().replace(",", "")
        at = random.randrange(len(text))
        digit = random.choice([c for c in "123456789" if c != text[at]])
        changed = text[:at] + digit + text[at + 1 :] if text[at] != "." else text.replace(".", "")
        whole = text.isdigit()
        options = [changed, f"{text}0", *([] if sentence[: match.start()].rstrip()[-1:].isdigit() else [f"-{text}"])]
        options += [str(int(text) + 1), str(max(0, int(text) - 1)), f"{text}.5"] if whole else [text.replace(".", "")]
        for option in options:
            if float(option) != float(text):
                yield match.start(), match.end(), option


def _unit(sentence: str, _: Sequence[str], random: Random) -> Spans:
    for match in re.finditer(rf"(?<=\d)\**[ -]?(?P<u>{'|'.join(_UNITS)})(?![\w])", sentence):
        if not any(start <= match.start() < end for start, end in (m.span() for m in CODE.finditer(sentence))):
            yield match.start("u"), match.end("u"), _UNITS[match.group("u")]


def _digits(pattern: re.Pattern[str], group: int | str = 0) -> Callable[[str, Sequence[str], Random], Spans]:
    """A change of each of the digits."""

    def make(sentence: str, _: Sequence[str], random: Random) -> Spans:
        for match in pattern.finditer(sentence):
            places = [at for at in range(match.start(group), match.end(group)) if sentence[at].isdigit()]
            at = random.choice(places)
            new = random.choice([c for c in "123456789" if c != sentence[at]])
            yield (
                match.start(group),
                match.end(group),
                sentence[match.start(group) : at] + new + sentence[at + 1 : match.end(group)],
            )

    return make


def _date(sentence: str, _: Sequence[str], random: Random) -> Spans:
    for match in _DATE.finditer(sentence):
        if match.group("iso"):
            year, month, day = match.group("iso").split("-")
            yield match.start(), match.end(), f"{year}-{month}-{int(day) % 28 + 1:02}"
            yield match.start(), match.end(), f"{year}-{int(month) % 12 + 1:02}-{day}"
            yield match.start(), match.end(), f"{int(year) + random.choice((-1, 1))}-{month}-{day}"
        elif match.group("month") in _MONTHS or match.group("month") in {name[:3] for name in _MONTHS}:
            yield match.start("day"), match.end("day"), str(int(match.group("day")) % 28 + 1)
            others = [name for name in _MONTHS if name[:3] != match.group("month")[:3]]
            yield match.start("month"), match.end("month"), random.choice(others)
            if match.group("year"):
                yield match.start("year"), match.end("year"), f" {int(match.group('year')) + random.choice((-1, 1))}"


def _time(sentence: str, _: Sequence[str], random: Random) -> Spans:
    for match in _TIME.finditer(sentence):
        yield match.start(), match.end(), f"{(int(match.group('h')) + 1) % 24:02}:{match.group('m')}"
        yield match.start(), match.end(), f"{match.group('h')}:{(int(match.group('m')) + 5) % 60:02}"


def _letters(pattern: re.Pattern[str]) -> Callable[[str, Sequence[str], Random], Spans]:
    """A change of one digit or of one part of a name of machines."""

    def make(sentence: str, _: Sequence[str], random: Random) -> Spans:
        for match in pattern.finditer(sentence):
            parts = list(re.finditer(r"[A-Za-z]{2,}|\d+", match.group()))
            if not parts:
                continue
            part = random.choice(parts)
            new = str(int(part.group()) + 1) if part.group().isdigit() else part.group()[:-1] + random.choice("qzx")
            text = match.group()
            yield match.start(), match.end(), text[: part.start()] + new + text[part.end() :]

    return make


def _name(sentence: str, names: Sequence[str], random: Random) -> Spans:
    for match in _NAME.finditer(sentence):
        if match.group() in names and match.group() not in _MONTHS:
            yield match.start(), match.end(), random.choice([name for name in names if name[:4] != match.group()[:4]])


def _negation(sentence: str, _: Sequence[str], random: Random) -> Spans:
    outside = CODE.sub(lambda match: " " * len(match.group()), sentence)
    for match in _NEGATION.finditer(outside):
        yield match.start(), match.end(), ""
    imperative = _IMPERATIVE.match(outside)
    if imperative:
        verb = imperative.group("verb")
        yield imperative.start("verb"), imperative.end("verb"), f"Do not {verb.lower()}"
        yield imperative.start("verb"), imperative.end("verb"), f"Never {verb.lower()}"
    for match in _NEGATABLE.finditer(outside):
        if not _NEGATION.search(outside):
            yield match.end(), match.end(), " not"


def _swapped(pairs: Sequence[tuple[str, str]]) -> Callable[[str, Sequence[str], Random], Spans]:
    def make(sentence: str, _: Sequence[str], random: Random) -> Spans:
        outside = CODE.sub(lambda match: " " * len(match.group()), sentence)
        for one, two in (*pairs, *((two, one) for one, two in pairs)):
            for match in re.finditer(rf"(?<![\w-]){one}(?![\w-])", outside):
                yield match.start(), match.end(), two

    return make


KINDS: dict[str, Callable[[str, Sequence[str], Random], Spans]] = {
    "command": _command,
    "number": _number,
    "version": _digits(_VERSION),
    "unit": _unit,
    "date": _date,
    "time": _time,
    "host": _letters(_HOST),
    "ip": _digits(_IP),
    "port": _digits(_PORT),
    "path": _letters(_PATH),
    "error code": _digits(_CODE),
    "identifier": _letters(_IDENTIFIER),
    "name": _name,
    "negation": _negation,
    "comparison": _swapped(_COMPARISONS),
    "opposite": _swapped(_OPPOSITES),
}
_WHOLE_STATEMENTS = frozenset({"command", "negation", "comparison", "opposite"})
"""Kinds of which the changed part means something only where it stands."""
