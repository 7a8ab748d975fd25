"""How many changed copies are caught: `python -m benchmarks.mutations [--each N] [--seed N] [--missed KIND]`. No model.

Sentences, list items, table rows and lines of code of sample_docs/, as the product parses and cuts them, are copied
with one thing changed, and judged twice: citing their own passage, and citing it with the five passages that share
most words with them, where the changed value may stand too. Caught is what is not `supported`. Copies without a change
that are not `supported` are false alarms. Left out are changes that leave the sentence as it was, whose value stands in
the same sentence, that deny what stands in a passage under a "not" or "never", or that give a sentence which the cited
passages hold word for word.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from random import Random

from benchmarks.corpora import sample_documents
from ingestion.chunking.chunker import Chunker
from ingestion.parsing import DocumentParser
from ingestion.settings import ChunkingSettings, ParsingSettings
from service.generation.answers import SupportLabel
from service.generation.checking.entailment.entailment import open_entailment
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer, scorers
from service.quality.answering.mutating import KINDS, Mutation, mutations
from service.quality.answering.probing import sentences, still_true

PASSAGES = 6
LONGEST = 600
"""Characters of a sentence; whole tables that a parser gave as one paragraph fall into their lines."""
_LEAST_WORDS = 3
_FORBIDS = re.compile(r"^.*\b(?:not|never)\b[^.\n]*$(?:\n\s*)+[-*]|^\W.*\b(?:not|never)\b.*'\W*$", re.MULTILINE)
"""A line above a list, or the last title, that says what not to do: below it a denial may be true."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A sentence that stands in passage `own`; `cited` are that one and the most similar others."""

    text: str
    own: Evidence
    cited: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Caught:
    """A changed copy with whether it is caught with its own passage cited, and with six."""

    mutation: Mutation
    copy: Copied
    own: bool
    six: bool


def passages(reader: Reader) -> list[Evidence]:
    """The chunks of sample_docs/; a token is counted as four characters."""
    chunker = Chunker(ChunkingSettings(), lambda texts: [len(text) // 4 + 1 for text in texts])
    found = []
    with DocumentParser(ParsingSettings()) as parser:
        for source in sample_documents():
            document = parser.parse(source)
            for chunk in chunker.chunk(document):
                found.append(Evidence(reader, chunk.text, about=(document.title, *chunk.heading_path)))
    return found


def copies(reader: Reader, evidence: Sequence[Evidence]) -> list[Copied]:
    """Every sentence of the passages with the passages that are cited for it."""
    words = [frozenset(reader.stems(" ".join((passage.text, *passage.titles)))) for passage in evidence]
    frequency = Counter(stem for passage in words for stem in passage)
    found = []
    for at, passage in enumerate(evidence):
        for text in _sentences(passage.text):
            stems = frozenset(reader.stems(text))
            score = [sum(log(len(words) / frequency[stem]) for stem in stems & other) for other in words]
            others = sorted((other for other in range(len(words)) if other != at), key=lambda other: -score[other])
            cited = (passage, *(evidence[other] for other in others[: PASSAGES - 1]))
            found.append(Copied(text, passage, cited))
    return found


def _sentences(text: str) -> Iterator[str]:
    for said in sentences(text):
        bare = said.removeprefix("```\n").removesuffix("\n```")
        if len(bare) <= LONGEST and len(re.findall(r"\w+", bare)) >= _LEAST_WORDS:
            yield said


def names_of(evidence: Sequence[Evidence]) -> list[str]:
    """Names of two or more words and single ones that never stand in small letters."""
    text = " ".join(passage.text for passage in evidence)
    small = set(re.findall(r"\b[a-z]{3,}\b", text))
    found = Counter(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*\b", text))
    return sorted(name for name in found if not all(word.casefold() in small for word in name.split()))


def judge(
    scorer: GroundingScorer, copied: Sequence[Copied], names: Sequence[str], seed: int, each: int
) -> Iterator[Caught]:
    """The changed copies, judged."""
    random = Random(seed)
    for copy in copied:
        for mutation in mutations(copy.text, names, random, each):
            if mutation.kind in ("negation", "opposite") and _FORBIDS.search(
                f"{copy.own.titles[-1:]}\n{copy.own.text}"
            ):
                continue
            if still_true(mutation, [passage.text for passage in copy.cited]):
                continue
            own = _supported(scorer, mutation.text, [copy.own])
            six = _supported(scorer, mutation.text, copy.cited)
            yield Caught(mutation, copy, not own, not six)


def false_alarms(scorer: GroundingScorer, copied: Sequence[Copied]) -> tuple[list[Copied], list[Copied]]:
    """Copies that are not supported by their own passage, and by the six."""
    own = [copy for copy in copied if not _supported(scorer, copy.text, [copy.own])]
    return own, [copy for copy in copied if not _supported(scorer, copy.text, copy.cited)]


def _supported(scorer: GroundingScorer, text: str, cited: Sequence[Evidence]) -> bool:
    return scorer.check(text, cited).support.label is SupportLabel.SUPPORTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=8, help="changes of each kind in a sentence")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--missed", nargs="*", default=[], help="kinds whose misses are printed; `copies` for these")
    chosen = parser.parse_args()
    reader = Reader()
    scorer = scorers(open_entailment())(reader, ())
    evidence = passages(reader)
    copied = copies(reader, evidence)
    started = time.perf_counter()
    results = list(judge(scorer, copied, names_of(evidence), chosen.seed, chosen.each))
    took = (time.perf_counter() - started) / max(1, 2 * len(results))
    print(f"{len(copied)} copies of {len(evidence)} passages, {len(results)} changes, {took * 1000:.2f} ms each\n")
    print(f"{'kind':<12} {'n':>6} {'own passage':>12} {'six passages':>13}")
    for kind in KINDS:
        of_kind = [result for result in results if result.mutation.kind == kind]
        if of_kind:
            own, six = (sum(hits) / len(of_kind) for hits in zip(*((r.own, r.six) for r in of_kind), strict=True))
            print(f"{kind:<12} {len(of_kind):>6} {own:>12.2%} {six:>13.2%}")
    own_alarms, six_alarms = false_alarms(scorer, copied)
    print(
        f"\nfalse alarms {len(copied):>6} {len(own_alarms) / len(copied):>12.2%} {len(six_alarms) / len(copied):>13.2%}"
    )
    for result in results:
        if result.mutation.kind in chosen.missed and not (result.own and result.six):
            which = "six" if result.own else "own"
            change = f"{result.mutation.old!r} -> {result.mutation.new!r}"
            print(f"\n{result.mutation.kind} ({which}): {change}\n  {' '.join(result.mutation.text.split())}")
    for copy in six_alarms if "copies" in chosen.missed else ():
        print(f"\ncopy: {' '.join(copy.text.split())}\n  {scorer.check(copy.text, copy.cited).support.checks}")


if __name__ == "__main__":
    main()
