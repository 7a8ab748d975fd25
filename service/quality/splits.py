"""Parts of a golden set, told by the ids of its cases: fit on one part, measure on the other."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestion.errors import InvalidRequest
from service.quality.golden import GoldenCase


class Part(StrEnum):
    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Split:
    """One of `folds` parts is the test part, the others together are the train part.

    Raises: InvalidRequest if there is no such fold.
    """

    part: Part
    folds: int = 5
    fold: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidRequest("a split has at least 2 folds")
        if not 0 <= self.fold < self.folds:
            raise InvalidRequest(f"there is no fold {self.fold}: the first is 0, the last {self.folds - 1}")


def fold_of(case_id: str, folds: int) -> int:
    """The fold of a case, from 0: by a hash of its id, so that it stays there whatever else is in the set."""
    return int.from_bytes(hashlib.sha256(case_id.encode()).digest()[:8], "big") % folds


def load_split(cases: Sequence[GoldenCase], split: Split) -> tuple[GoldenCase, ...]:
    """The cases of that part, in their order."""
    in_test = split.part is Part.TEST
    return tuple(case for case in cases if (fold_of(case.id, split.folds) == split.fold) is in_test)


def sample(cases: Sequence[GoldenCase], limit: int, seed: int) -> tuple[GoldenCase, ...]:
    """At most `limit` cases drawn at random, in their order; the same seed draws the same."""
    if len(cases) <= limit:
        return tuple(cases)
    drawn = sorted(random.Random(seed).sample(range(len(cases)), limit))  # noqa: S311 - a sample, not a secret
    return tuple(cases[position] for position in drawn)
