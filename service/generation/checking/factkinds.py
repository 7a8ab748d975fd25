"""What an exact fact is: its kind, its value as it is compared, and its place in a text.

How facts are found is left to `quantities` and `facts`, what a missing one means to `exactness`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class FactKind(StrEnum):
    NUMBER = "numbers"
    DATE = "dates"
    TIME = "times"
    VERSION = "versions"
    ADDRESS = "addresses"
    IDENTIFIER = "identifiers"
    FLAG = "flags"
    COMMAND = "commands"
    NAME = "names"


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` is normalised and compared; `shape` says which facts exclude one another (GH-5021, GH-5022: `gh-0`).

    The shape of a number is its unit. `numeral` is the number as written, `bound` the side on which it limits: `>` for
    "at least", `<` for "at most". Neither takes part in equality.
    """

    kind: FactKind
    value: str
    shape: str
    numeral: str = field(default="", compare=False)
    bound: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A fact at `text[start:end]`."""

    start: int
    end: int
    fact: Fact
