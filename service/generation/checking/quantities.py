"""Quantities, dates and times of day in a text, each with its place.

Different ways to write one quantity give one value: 2 minutes = 120 s = two minutes, 1 1/2 h = 5400 s, $1,200 = 1200
dollars, 17 Feb 2026 = 2026-02-17, 2 pm = 14:00. Names of machines are left to `facts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.generation.checking.factkinds import Fact, FactKind, Found

_EXACT_UNITS: dict[str, tuple[str, float]] = {
    "ms": ("s", 0.001), "millisecond": ("s", 0.001),
    "s": ("s", 1), "sec": ("s", 1), "second": ("s", 1),
    "m": ("s", 60), "min": ("s", 60), "minute": ("s", 60),
    "h": ("s", 3600), "hr": ("s", 3600), "hour": ("s", 3600),
    "d": ("s", 86400), "day": ("s", 86400), "week": ("s", 604800), "fortnight": ("s", 1209600),
    "month": ("month", 1), "year": ("month", 12), "yr": ("month", 12), "decade": ("month", 120),
    "b": ("b", 1), "byte": ("b", 1),
    "kb": ("b", 1e3), "mb": ("b", 1e6), "gb": ("b", 1e9), "tb": ("b", 1e12),
    "kilobyte": ("b", 1e3), "megabyte": ("b", 1e6), "gigabyte": ("b", 1e9), "terabyte": ("b", 1e12),
    "kib": ("b", 2**10), "mib": ("b", 2**20), "gib": ("b", 2**30), "tib": ("b", 2**40),
    "mi": ("b", 2**20), "gi": ("b", 2**30),
    "%": ("%", 1), "percent": ("%", 1), "per cent": ("%", 1),
    "eur": ("eur", 1), "euro": ("eur", 1), "usd": ("usd", 1), "dollar": ("usd", 1), "cent": ("usd", 0.01),
    "gbp": ("gbp", 1), "pound sterling": ("gbp", 1), "chf": ("chf", 1),
}  # fmt: skip
"""Unit to what it is compared in, and how many of these it is."""
_MEASURES: dict[str, tuple[str, float]] = {
    "km": ("length", 1000), "kilometer": ("length", 1000), "kilometre": ("length", 1000),
    "meter": ("length", 1), "metre": ("length", 1), "cm": ("length", 0.01), "centimeter": ("length", 0.01),
    "centimetre": ("length", 0.01), "mm": ("length", 0.001), "millimeter": ("length", 0.001),
    "inch": ("length", 0.0254), "inches": ("length", 0.0254), "in.": ("length", 0.0254), "ft": ("length", 0.3048),
    "foot": ("length", 0.3048), "feet": ("length", 0.3048), "yard": ("length", 0.9144), "mile": ("length", 1609.344),
    "kg": ("mass", 1), "kilogram": ("mass", 1), "g": ("mass", 0.001), "gram": ("mass", 0.001),
    "mg": ("mass", 1e-6), "milligram": ("mass", 1e-6), "lb": ("mass", 0.45359237), "pound": ("mass", 0.45359237),
    "oz": ("mass", 0.028349523), "ounce": ("mass", 0.028349523),
    "mph": ("speed", 1.609344), "miles per hour": ("speed", 1.609344), "km/h": ("speed", 1), "kph": ("speed", 1),
}  # fmt: skip
"""Unit to its dimension and factor. Compared in their own unit; another one counts if it converts, rounding aside."""
_SPELLING = {
    "kilometer": "km", "kilometre": "km", "metre": "meter", "centimeter": "cm", "centimetre": "cm",
    "millimeter": "mm", "inches": "inch", "in.": "inch", "foot": "ft", "feet": "ft", "kilogram": "kg", "gram": "g",
    "milligram": "mg", "pound": "lb", "ounce": "oz", "miles per hour": "mph", "kph": "km/h",
}  # fmt: skip
_ROUNDING = 0.02
_DEGREES_ROUNDING = 5.0
"""Of a temperature converted for the reader: 400 F are 204 C, and told as 200."""
_CURRENCY = {"$": "usd", "us$": "usd", "\u20ac": "eur", "\u00a3": "gbp", "eur": "eur", "usd": "usd", "gbp": "gbp",
             "chf": "chf"}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12}
_ONES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17, "eighteenth": 18, "nineteenth": 19,
}  # fmt: skip
"""Without `one`, which is a pronoun more often than a number."""
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "twentieth": 20,
}
_GLYPHS = {"\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3", "\u215b": "1/8"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_MONTH = r"(?P<m>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_YEAR = r"(?:,?\s+(?P<y>(?:1[5-9]|20)\d\d))?"
_DATES = (
    re.compile(r"(?<![\w-])(?P<y>(?:19|20)\d\d)-(?P<mn>\d\d)-(?P<d>\d\d)(?![\w-])"),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}{_YEAR}\b", re.I),
    re.compile(rf"\b{_MONTH}\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]){_YEAR}\b", re.I),
)
_TIME = re.compile(
    r"(?<![\w.:/-])(?:(?P<h>[01]?\d|2[0-4]):(?P<mi>[0-5]\d)(?::[0-5]\d)?(?:\s?(?P<ap>[ap])\.?m\b\.?)?"
    r"|(?P<h2>1[0-2]|0?[1-9])\s?(?P<ap2>[ap])\.?m\b\.?)(?!\w|:\d)",
    re.I,
)
_UNIT = "|".join(
    sorted((re.escape(unit) + ("" if unit in ("%", "in.", "km/h") or len(unit) < 3 else "s?")
            for unit in (*_EXACT_UNITS, *_MEASURES)), key=len, reverse=True)
) + r"|hrs|mins|secs|yrs|lbs"  # fmt: skip
_DEGREES = r"(?:\u00b0|\u00ba|degrees?)[ ]?(?:[cf](?:ahrenheit|elsius|entigrade)?\b)?|[cf](?=\b)"
_SCALE = "|".join(_SCALES)
_CUR = r"(?P<cur>us\$|[$\u20ac\u00a3]|\b(?:eur|usd|gbp|chf)[ \u00a0])?"
_TAIL = (
    rf"(?:[ -](?P<scale>{_SCALE})s?\b)?"
    rf"(?:(?:[ \u00a0*-]{{0,3}}(?P<u>{_UNIT})(?![\w/]|\.\w))|[ \u00a0-]?(?P<deg>{_DEGREES})(?!\w))?"
)
_NUMERAL = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_FRACTION = r"[1-9]\d?[/\u2044](?:1[026]|2|3|4|5|6|8|32)"
_QUANTITY = re.compile(
    rf"(?<![\w.,:/=@#\u00a7-])(?P<sign>(?:(?<=[\s(])|^)[-\u2212])?{_CUR}v?"
    rf"(?P<n>(?:\d{{1,3}}(?:[ -]| and ))?{_FRACTION}(?!\d|[/.]\d)|(?<![\d.]){_NUMERAL})(?P<k>k\b)?{_TAIL}"
    r"(?:st|nd|rd|th)?(?!\w|-\w*\d)(?:(?<=[a-z%\u00b0])|(?![.:,/@]\w))",
    re.I,
)
_WORD = "|".join((*_ONES, *_TENS))
_NUMBER_WORD = re.compile(
    rf"\b(?P<n>(?:one|a)(?=[ -](?:{_SCALE})\b)|(?:{'|'.join(_TENS)})-(?:one|{'|'.join(_ONES)})|{_WORD})\b{_TAIL}", re.I
)
_MORE = "more|longer|later|older|higher|larger|greater|bigger"
_LESS = "less|fewer|lower|smaller|shorter|younger|earlier"
_NOT = "(?:no|not) "
_BOUNDS = (
    (
        re.compile(
            rf"(?:{_NOT}(?:{_MORE}) than|(?:must|may|should|can|do|does) not exceed|at (?:the )?most|up to|within"
            rf"|(?<!no )(?<!not )(?:{_LESS}) than|below|under|maximum(?: of)?)\W*$",
            re.IGNORECASE,
        ),
        "<",
    ),
    (
        re.compile(
            rf"(?:{_NOT}(?:{_LESS}) than|at (?:the )?least|minimum(?: of)?|(?:{_MORE}) than|above|over"
            r"|exceed(?:s|ing)?)\W*$",
            re.IGNORECASE,
        ),
        ">",
    ),
)
_BOUND_PEEK = 24
_DIGIT = re.compile(r"\d")
_DECADE = re.compile(r"(?:\bmid-)?(?<!\w)'?(?P<n>(?:1[5-9]|20)?\d0)s\b(?=\W|$)")
_SPREAD = re.compile(
    rf"(?<![\w.,:/-])(?P<cur>[$\u20ac\u00a3])?(?P<a>{_NUMERAL})[ ]?(?P<c>-|\u2013|\u2014|\bto\b|\band\b|\bor\b)[ ]?"
    rf"(?P<cur2>[$\u20ac\u00a3])?(?P<b>{_NUMERAL})(?![\w]|[.:,/@]\w)(?:[ ](?P<scale>{_SCALE})\b)?"
    rf"(?:[ -]?(?P<u>{_UNIT}|{_DEGREES})(?![\w/]))?",
    re.I,
)
"""Two numbers with one unit: 5-6 minutes, between 10 and 12 percent."""


def quantities_of(text: str) -> Iterator[Found]:
    """Dates, times and numbers, disjoint, in no order. Text that is none of these must have been blanked before."""
    if _DIGIT.search(text) is None:
        for match in _NUMBER_WORD.finditer(text):
            yield Found(match.start(), match.end(), _number(match, match.group("n")))
        return
    plain = text
    for pattern in _DATES:
        for match in pattern.finditer(plain):
            if (fact := _date(match)) is not None:
                yield Found(match.start(), match.end(), fact)
                plain = _blanked(plain, match)
    for match in _TIME.finditer(plain):
        yield Found(match.start(), match.end(), _time(match))
        plain = _blanked(plain, match)
    for match in _DECADE.finditer(plain):
        if len(match.group("n")) == 4 or "mid-" in match.group() or "'" in match.group():
            yield Found(match.start(), match.end(), Fact(FactKind.NUMBER, match.group("n"), "", match.group("n")))
            plain = _blanked(plain, match)
    for match in _SPREAD.finditer(plain):
        for name in ("a", "b"):
            fact = _number(match, match.group(name), scale=match.group("scale") or "", cur=match.group("cur") or "")
            yield Found(match.start(name), match.end() if name == "b" else match.end(name), fact)
        plain = _blanked(plain, match)
    for pattern in (_QUANTITY, _NUMBER_WORD):
        for match in pattern.finditer(plain):
            yield Found(match.start(), match.end(), _number(match, match.group("n")))
            plain = _blanked(plain, match)


def converts(one: Fact, other: Fact) -> bool:
    """Whether two measures in different units are the same, rounding aside: 6 inches and 15 cm, 400 F and 200 C."""
    if one.shape == other.shape:
        return False
    first, second = float(one.value.split()[0]), float(other.value.split()[0])
    if {one.shape, other.shape} <= {"c", "f", "degree"}:
        celsius, fahrenheit = (first, second) if one.shape == "c" or other.shape == "f" else (second, first)
        return abs(celsius - (fahrenheit - 32) / 1.8) <= _DEGREES_ROUNDING
    if one.shape not in _MEASURES or other.shape not in _MEASURES:
        return False
    (dimension, factor), (other_dimension, other_factor) = _MEASURES[one.shape], _MEASURES[other.shape]
    return (
        dimension == other_dimension
        and abs(first * factor - second * other_factor) <= _ROUNDING * second * other_factor
    )


def same_day(one: str, other: str) -> bool:
    """Whether two dates agree; one of them may leave the year out."""
    return one[-5:] == other[-5:] and (one[0] == "?" or other[0] == "?" or one == other)


def same_time(one: Fact, other: Fact) -> bool:
    """Whether two times of day agree; `2:30` is both 02:30 and 14:30."""
    if one.value == other.value:
        return True
    vague = "time?" in (one.shape, other.shape)
    return vague and one.value[2:] == other.value[2:] and (int(one.value[:2]) - int(other.value[:2])) % 12 == 0


def _blanked(text: str, match: re.Match[str]) -> str:
    return text[: match.start()] + " " * (match.end() - match.start()) + text[match.end() :]


def _date(match: re.Match[str]) -> Fact | None:
    groups = match.groupdict()
    month = groups.get("mn") or f"{_MONTHS.index(groups['m'][:3].casefold()) + 1:02d}"
    day = int(groups["d"])
    if not 1 <= day <= 31:
        return None
    return Fact(FactKind.DATE, f"{groups.get('y') or '?'}-{month}-{day:02d}", "date")


def _time(match: re.Match[str]) -> Fact:
    written = match.group("h") or match.group("h2")
    half = (match.group("ap") or match.group("ap2") or "").casefold()
    hour = int(written)
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    vague = not half and hour <= 12 and not written.startswith("0")
    return Fact(FactKind.TIME, f"{hour:02d}:{match.group('mi') or '00'}", "time?" if vague else "time")


def _number(match: re.Match[str], written: str, scale: str | None = None, cur: str | None = None) -> Fact:
    groups = match.groupdict()
    number = _value(written)
    scale = (groups.get("scale") or "").casefold() if scale is None else scale.casefold()
    number *= _SCALES.get(scale, 1)
    if groups.get("k"):
        number *= 1000
    numeral = _plain(number)
    unit = (groups.get("u") or "").casefold()
    unit = _singular(unit)
    currency = _CURRENCY.get(((groups.get("cur") if cur is None else cur) or "").casefold().strip(), "")
    degrees = (groups.get("deg") or "").casefold()
    if degrees or unit[:1] in ("\u00b0", "\u00ba") or unit.startswith("degree"):
        shape = _degrees(degrees or unit)
    elif unit in _EXACT_UNITS:
        shape, factor = _EXACT_UNITS[unit]
        number *= factor
    else:
        shape = _SPELLING.get(unit, unit) or currency
    sign = "-" if groups.get("sign") else ""
    bound = _bound(match.string[max(0, match.start() - _BOUND_PEEK) : match.start()])
    return Fact(FactKind.NUMBER, f"{sign}{_plain(number)} {shape}".rstrip(), shape, f"{sign}{numeral}", bound)


def _degrees(written: str) -> str:
    letter = written.lstrip("\u00b0\u00ba ").removeprefix("degrees").removeprefix("degree").strip()[:1]
    return letter or "degree"


def _singular(unit: str) -> str:
    for known in (unit, unit.removesuffix("s")):
        if known in _EXACT_UNITS or known in _MEASURES:
            return known
    return unit


def _bound(before: str) -> str:
    return next((side for pattern, side in _BOUNDS if pattern.search(before)), "")


def _value(written: str) -> float:
    folded = written.casefold()
    if folded in ("one", "a"):
        return 1.0
    if folded[0].isalpha():
        tens, _, ones = folded.partition("-")
        return float(_TENS.get(tens, 0) + {**_ONES, "one": 1}.get(ones or tens, 0))
    parts = re.split(r"[ -]| and ", folded)
    if re.fullmatch(_FRACTION, parts[-1]):
        top, bottom = (int(part) for part in re.split(r"[/\u2044]", parts[-1]))
        whole = float(parts[0]) if len(parts) > 1 else 0.0
        return whole + (top / bottom if bottom else 0.0)
    return float(folded.replace(",", ""))


def _plain(number: float) -> str:
    rounded = round(number, 6)
    return str(int(rounded)) if rounded == int(rounded) else repr(rounded)


def spelled(text: str) -> str:
    """The text with fractions in plain figures and without the backslashes of Markdown."""
    if "\\" in text:
        text = re.sub(r"\\([_*#\[\]()~$])", r"\1", text)
    if not text.isascii():
        for glyph, plain in _GLYPHS.items():
            text = re.sub(rf"(?<=\d){glyph}", f" {plain}", text).replace(glyph, plain)
    return text
