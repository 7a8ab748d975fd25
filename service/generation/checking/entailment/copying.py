"""Whether a sentence stands in a passage word for word: then there is nothing to judge."""

from __future__ import annotations

from collections.abc import Sequence

from service.generation.checking.evidence import Evidence
from service.generation.checking.sentences import ITEM

_MARKS = str.maketrans("", "", "*")
_STOPS = ".!;: "
_MOST_UNITS = 4


def is_copied(sentence: str, cited: Sequence[Evidence]) -> bool:
    """Whether whole units of one passage read just so, marks of lists and of stress and the last stop aside.

    Part of a unit is no copy: "delete the pods" stands in "never delete the pods".
    """
    wanted = _plain(sentence)
    return bool(wanted) and any(_has(evidence, wanted) for evidence in cited)


def _has(evidence: Evidence, wanted: str) -> bool:
    units = [_plain(unit.text) for unit in evidence.units]
    for first, unit in enumerate(units):
        if not unit or not wanted.startswith(unit):
            continue
        for last in range(first + 1, min(first + _MOST_UNITS, len(units)) + 1):
            if wanted in (" ".join(units[first:last]), ". ".join(units[first:last])):
                return True
    return False


def _plain(text: str) -> str:
    marker = ITEM.match(text)
    body = text[marker.end() :] if marker else text
    return " ".join(body.translate(_MARKS).split()).rstrip(_STOPS)
