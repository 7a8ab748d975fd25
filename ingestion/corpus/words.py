"""Text to words: identifiers whole, in their parts and joined. Stems and weights are not known here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_LONGEST_WORD = 200
"""Longer runs (base64, hashes in a row) are cut: no one types them, and equal prefixes still match."""

# Letters, digits and underscores of any script, with the vowel signs and accents that `\\w` leaves out.
_W = r"[\w\u0300-\u036f\u064b-\u065f\u0900-\u0963\u0966-\u0dff]"
# Words with the characters that hold an identifier together: ORA-00060, src/main.py, db-1.eu.example.com:5432, C++.
_TOKEN = re.compile(rf"{_W}+(?:[-./:@+#]+{_W}+)*(?:\+\+|#)?")
_SEGMENT = re.compile(r"[^/:@]+")
_PART = re.compile(r"[^-./:@+#_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# gh5021 and 100ms: people write a space there, or a hyphen.
_UNIT = re.compile(r"([^\W\d_]{2,})(\d+)|(\d+)([^\W\d_]{2,})")
# What a `v` or `0x` introduces is also written without.
_INTRODUCED = re.compile(r"v(\d+(?:\.\d+)+.*)|0x([\da-f]{4,})", re.IGNORECASE)
# kube-prometheus, fail-over, get_user_by_id: one word to others. Not dates and ranges, which have no letter.
_HYPHENED = re.compile(r"(?=.*[^\W\d_])[^\W_]+(?:[-_]+[^\W_]+)+")
# Scripts written without spaces, and Korean, whose words carry their particles: pairs of characters are the terms.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_ACCENTS = re.compile(r"[\u0300-\u036f]")
# Runs of letters that no digit touches: what could be a word that somebody may spell wrongly.
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_]{3,40}(?![^\W_])")


def words(text: str) -> Iterator[str]:
    """Case-folded words in order; an identifier comes whole and then in parts of at least two characters."""
    for match in _TOKEN.finditer(normal(text)):
        token = match.group()[:_LONGEST_WORD]
        if token.islower() and token.isalpha() and token.isascii():
            yield token
        elif token.isascii():
            yield from dict.fromkeys(_identifier(token))
        else:
            yield from dict.fromkeys(_foreign(token))


def simple_words(text: str) -> list[list[str]]:
    """Case-folded tokens without parts, one list for each run of neighbours between which only white space stands."""
    runs: list[list[str]] = [[]]
    end = 0
    text = normal(text)
    for match in _TOKEN.finditer(text):
        if text[end : match.start()].strip():
            runs.append([])
        runs[-1].append(match.group()[:_LONGEST_WORD].casefold())
        end = match.end()
    return [run for run in runs if run]


def spelled_words(text: str) -> list[str]:
    """The words of letters only, 3 to 40 of them, as they are written; of scripts written without spaces none."""
    found = _SPELLED.findall(normal(text))
    return found if text.isascii() else [word for word in found if not _UNSPACED.search(word)]


def normal(text: str) -> str:
    """The text in the Unicode form that words are compared in (NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def plain(word: str) -> str:
    """The word without accents: who types `cafe` finds `café`."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", word)))


def _identifier(token: str) -> Iterator[str]:
    """The token, its segments (of a path or address), their parts, joined and single."""
    yield token.casefold()
    for segment in _SEGMENT.findall(token):
        pieces = [segment, *_groups(_INTRODUCED, segment)]
        if _HYPHENED.fullmatch(segment):
            pieces.append(segment.replace("-", "").replace("_", ""))
        for part in _PART.findall(segment):
            pieces += [part, *_HUMP.split(part), *_groups(_UNIT, part)]
        yield from (piece.casefold() for piece in pieces if len(piece) > 1)


def _groups(pattern: re.Pattern[str], text: str) -> list[str]:
    match = pattern.fullmatch(text)
    return [group for group in match.groups() if group] if match else []


def _foreign(token: str) -> Iterator[str]:
    for run in _UNSPACED.findall(token):
        yield from (run[start : start + 2] for start in range(max(1, len(run) - 1)))
    rest = _UNSPACED.sub(" ", token)
    for match in _TOKEN.finditer(rest):
        yield from _identifier(match.group())
