"""What the classifier knows of a sentence from its words: how much of it the cited passages say, in what order.

Every number is about one sentence and the union of its cited passages: nothing of the writer, of the other sentences or
of how many passages there are. How the numbers make a probability is left to `model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.generation.checking.entailment.words import PassageWords, Words, beginning, runs_of
from service.generation.checking.exactness import Findings
from service.generation.checking.wording import NEGATORS

_LABEL = re.compile(r"[^:\n]{2,60}:\s\S")
_CUES = {
    "advises": r"\b(?:note|noting|important|essential|crucial|keep in mind|remember|consult|professional|doctor|expert"
    r"|recommend(?:ed)?|advice|seek)\b",
    "tells_of_passages": r"\bpassages?\b|\b(?:context|sources? provided|information provided)\b",
    "tells_of_absence": r"\b(?:unable|cannot|no (?:mention|information)|do(?:es)? not"
    r"|not (?:mention|provid|specif|contain|explicit)\w*)\b",
    "hedges": r"\b(?:may|might|could|can|possibly|likely|typically|usually|often|generally|sometimes|depending|vary)\b",
    "goes_on": r"^\W*(?:however|therefore|additionally|overall|in conclusion|in summary|it is|it's|this|these|also)\b",
    "talks": r"\b(?:i|i'm|my|me|sure|let me know|happy to help|here (?:are|is)|here's|based on|according to|following"
    r"|question|answer)\b",
    "lists": r"\b(?:for example|such as|e\.g|including|like|other)\b",
    "explains": r"\b(?:so that|because|since|as (?:it|this)|which|ensures?|helps?|to (?:prevent|avoid)|due to"
    r"|in order)\b",
}
"""Turns of phrase by which writers leave their sources: advice, talk, reasons of their own."""
_CUE_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _CUES.items()}

_HINTS = ("facts_elsewhere", "fact_context", "unknown_names", "copied")
"""What the exact stage finds likely but not certain."""

NAMES = (
    "content_words", "words", "characters", "said", "said_or_asked", "new", "new_unasked", "said_by_length",
    "new_letters", "best_unit", "second_unit", "best_two_units", "best_three_units", "best_passage",
    "pairs", "triples", "quadruples", "in_pairs", "in_triples", "longest_new", "longest_unphrased", "unphrased",
    "longest_outside_pairs", "longest_outside_triples", "longest_in_triples", "longest_in_pairs",
    "numbers", "new_numbers", "new_unasked_numbers", "names", "new_names", "new_families", "facts", "missing_facts",
    "contradicted", "names_passages", "better_elsewhere", "negators", "ends_in_colon", "asks", "brackets", "commas",
    "asked", "labelled", *_CUES, *_HINTS, "mentions", "said_once",
)  # fmt: skip
"""Names of the features, in the order of `lexical_features`."""


_LEAST_SAID = 0.35
_LEAST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence and what it is compared with. `asked` are the stems of the question, empty if it is not known.

    `named` are those of the passages shown that the sentence names in words ("passage 2 says").
    """

    text: str
    words: Words
    asked: frozenset[str]
    passages: tuple[PassageWords, ...]
    named: tuple[PassageWords, ...] = ()


def lexical_features(claim: Claim, found: Findings) -> list[float]:
    """One number for each of `NAMES`."""
    words = claim.words
    said = [any(stem in passage.stems for passage in claim.passages) for stem in words.stems]
    new = [not said[at] for at in words.content]
    unasked = [not said[at] and words.stems[at] not in claim.asked for at in words.content]
    return [
        *_coverage(words, new, unasked),
        *_units(words.meant, claim.passages),
        *_order(words, unasked, claim.passages),
        *_names(claim, said),
        float(found.facts),
        float(len(found.missing)),
        float(found.contradicted),
        *_attribution(claim),
        *_form(claim),
        *(float(len(pattern.findall(claim.text))) for pattern in _CUE_PATTERNS.values()),
        *(found.hints[name] for name in _HINTS),
        *_mentions(claim),
    ]


def is_strange(numbers: Sequence[float]) -> bool:
    """Whether passages and question hold few of the sentence's words, and it is no talk about the answer itself.

    Where most sentences are faithful a fitted probability stays high even then; no passage says such a sentence.
    """
    known = dict(zip(NAMES, numbers, strict=False))
    talk = known["talks"] + known["tells_of_passages"] + known["tells_of_absence"]
    return known["said_or_asked"] < _LEAST_SAID and known["content_words"] >= _LEAST_WORDS and not talk


def new_words(claim: Claim) -> list[str]:
    """The content words that neither the passages nor the question have."""
    words = claim.words
    strange = (at for at in words.content if words.stems[at] not in claim.asked)
    return [
        words.folded[at] for at in strange if not any(words.stems[at] in passage.stems for passage in claim.passages)
    ]


def _mentions(claim: Claim) -> list[float]:
    """How often the passages say a content word in the mean, and how many they say once."""
    stems = [claim.words.stems[at] for at in claim.words.content]
    counts = [sum(passage.counts.get(stem, 0) for passage in claim.passages) for stem in stems]
    return [sum(counts) / max(1, len(counts)), float(counts.count(1))]


def _coverage(words: Words, new: Sequence[bool], unasked: Sequence[bool]) -> list[float]:
    count = max(1, len(words.content))
    lengths = [len(words.folded[at]) for at in words.content]
    letters = sum(length for length, is_new in zip(lengths, new, strict=True) if is_new)
    return [
        float(len(words.content)),
        float(len(words.stems)),
        float(sum(map(len, words.written))),
        1 - sum(new) / count,
        1 - sum(unasked) / count,
        float(sum(new)),
        float(sum(unasked)),
        1 - letters / max(1, sum(lengths)),
        float(sum(length for length, is_new in zip(lengths, unasked, strict=True) if is_new)),
    ]


def _units(meant: frozenset[str], passages: Sequence[PassageWords]) -> list[float]:
    """Shares of the content stems in the best one, second, two and three neighbouring units, and the best passage."""
    count = max(1, len(meant))
    ones: list[float] = []
    best = {2: 0.0, 3: 0.0}
    whole = 0.0
    for passage in passages:
        shared = [meant & unit for unit in passage.units]
        ones += [len(each) / count for each in shared]
        whole = max(whole, len(frozenset().union(*shared)) / count)
        for size in best:
            joined = (frozenset().union(*shared[at : at + size]) for at in range(max(1, len(shared) - size + 1)))
            best[size] = max(best[size], max((len(each) / count for each in joined), default=0.0))
    ranked = [*sorted(ones, reverse=True), 0.0, 0.0]
    return [ranked[0], ranked[1], best[2], best[3], whole]


def _order(words: Words, unasked: Sequence[bool], passages: Sequence[PassageWords]) -> list[float]:
    """How much of the sentence stands in the passages in its own order, and how long the stretches are that don't."""
    held = {size: _held(words.stems, size, passages) for size in (2, 3, 4)}
    in_pairs = _covered(held[2], 2, len(words.stems))
    in_triples = _covered(held[3], 3, len(words.stems))
    unphrased = [not in_triples[at] for at in words.content]
    return [
        *(_share(held[size]) for size in (2, 3, 4)),
        _share(in_pairs),
        _share(in_triples),
        _longest(unasked),
        _longest(unphrased),
        float(sum(unphrased)),
        _longest(not held for held in in_pairs),
        _longest(not held for held in in_triples),
        _longest(in_triples),
        _longest(in_pairs),
    ]


def _held(stems: Sequence[str], size: int, passages: Sequence[PassageWords]) -> list[bool]:
    return [any(run in passage.runs for passage in passages) for run in runs_of(stems, size)]


def _covered(held: Sequence[bool], size: int, length: int) -> list[bool]:
    covered = [False] * length
    for at, holds in enumerate(held):
        if holds:
            covered[at : at + size] = [True] * size
    return covered


def _names(claim: Claim, said: Sequence[bool]) -> list[float]:
    """Numbers and capitalised words inside the sentence, and content words of a family that is nowhere."""
    words = claim.words
    numbers = [word for word in words.folded if any(character.isdigit() for character in word)]
    new = [word for word in numbers if not any(word in passage.folded for passage in claim.passages)]
    names = [at for at in words.content if at > 0 and words.written[at][0].isupper()]
    strange = [at for at in words.content if not said[at] and words.stems[at] not in claim.asked]
    families = (beginning(words.stems[at]) for at in strange)
    return [
        float(len(numbers)),
        float(len(new)),
        float(sum(word not in claim.asked for word in new)),
        float(len(names)),
        float(sum(at in strange for at in names)),
        float(sum(not any(family in passage.beginnings for passage in claim.passages) for family in families)),
    ]


def _attribution(claim: Claim) -> list[float]:
    """Whether the sentence names passages, and how much more of it than these hold another one holds."""
    meant = claim.words.meant
    if not claim.named or not meant:
        return [float(bool(claim.named)), 0.0]
    held = frozenset().union(*(meant & passage.stems for passage in claim.named))
    best = max(len(meant & passage.stems) for passage in (*claim.passages, *claim.named))
    return [1.0, (best - len(held)) / len(meant)]


def _form(claim: Claim) -> list[float]:
    words, text = claim.words, claim.text.rstrip()
    return [
        float(sum(word in NEGATORS or word.endswith("n't") for word in words.folded)),
        float(text.endswith(":")),
        float(text.endswith("?")),
        float(text.count("(")),
        float(text.count(",")),
        len(words.meant & claim.asked) / max(1, len(words.meant)),
        float(_LABEL.match(text) is not None),
    ]


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _longest(flags: Iterable[bool]) -> float:
    """Length of the longest run of true."""
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return float(best)
