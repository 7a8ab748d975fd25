"""One typing mistake in a query, as people make them; the same seed makes the same ones."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.quality.golden import GoldenCase

_LEAST = 4
"""Letters of a word that is worth a mistake: a shorter one may become another word."""
_WORD = re.compile(rf"[^\W\d_]{{{_LEAST},}}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Mistyped:
    """A case as it was, and with the mistake."""

    clean: GoldenCase
    typo: GoldenCase


def mistype(cases: Sequence[GoldenCase], limit: int, seed: int) -> list[Mistyped]:
    """At most `limit` of the cases that have an answer and a word that is long enough, drawn at random."""
    chance = random.Random(seed)
    able = [case for case in cases if not case.must_refuse and _WORD.search(case.question)]
    drawn = chance.sample(able, min(limit, len(able)))
    return [Mistyped(case, case.model_copy(update={"question": with_typo(case.question, chance)})) for case in drawn]


def with_typo(text: str, chance: random.Random) -> str:
    """The text with one letter of one of its longer words inserted, left out, replaced or swapped with the next.

    Every such word is as likely, and so is every place and kind; what comes out differs from the text.
    """
    words = list(_WORD.finditer(text))
    while words:
        word = chance.choice(words)
        changed = _changed(word.group(), chance)
        if changed != word.group():
            return text[: word.start()] + changed + text[word.end() :]
    return text


def _changed(word: str, chance: random.Random) -> str:
    place = chance.randrange(len(word))
    letter = chance.choice(_LETTERS)
    kind = chance.choice(("insert", "delete", "substitute", "transpose"))
    if kind == "insert":
        return word[:place] + letter + word[place:]
    if kind == "delete":
        return word[:place] + word[place + 1 :]
    if kind == "substitute":
        return word[:place] + letter + word[place + 1 :]
    place = min(place, len(word) - 2)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
