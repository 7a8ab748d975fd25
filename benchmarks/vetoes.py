"""How often exact facts veto a human-read answer: `python -m benchmarks.vetoes [--part N] [--show KIND ...] [--wrong]`.

Over the sentences of grounding/ragtruth_qa_train with all passages of their question cited, as the models there saw
them. A sentence is wrong if it touches a span that a person marked, faithful if not. A veto is a missing fact, a
conflict or a flipped negation: what alone keeps a sentence from being `supported`. By kind: on how many
faithful sentences it is found, on how many wrong ones, and what share of its vetoes are on wrong ones.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.corpora import eval_data
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.exactness import Findings, examine
from service.generation.checking.sentences import units_of

_VETO = re.compile(r"(?P<kind>[a-z ]+):missing |(?P<other>conflict|negation):")


@dataclass(frozen=True, slots=True)
class Read:
    """A sentence with what was found, and whether a person marked a part of it."""

    text: str
    question: str
    wrong: bool
    findings: Findings


def read_all(reader: Reader, part: int | None) -> Iterator[Read]:
    """All sentences; with `part` those of every fifth question that has this remainder."""
    path = eval_data() / "grounding" / "ragtruth_qa_train.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            if part is not None and int(row["source_id"]) % 5 != part:
                continue
            evidence = [Evidence(reader, text) for text in row["passages"]]
            answer = row["response"]
            for unit in units_of(answer):
                text = answer[unit.start : unit.end]
                wrong = any(unit.start < label["end"] and label["start"] < unit.end for label in row["labels"])
                yield Read(
                    text,
                    row["question"],
                    wrong,
                    findings_of(reader, text, row["question"], evidence),
                )


def findings_of(reader: Reader, text: str, question: str, evidence: list[Evidence]) -> Findings:
    """What the exact checks find in a sentence that cites all of the evidence."""
    claim = reader.read(text)
    windows = [window for passage in evidence if (window := passage.best_window(claim))]
    return examine(claim, windows, evidence, question)


def vetoes(findings: Findings) -> set[str]:
    """The kinds of veto among the findings; empty where none keeps the sentence from being supported."""
    if not findings.missing and not findings.contradicted:
        return set()
    found = {match.group("kind") or match.group("other") for check in findings.checks if (match := _VETO.match(check))}
    return found - {"facts"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, choices=range(5), help="only this fifth of the questions")
    parser.add_argument("--show", nargs="*", default=[], help="kinds of veto to print")
    parser.add_argument("--wrong", action="store_true", help="print those on wrong sentences, not on faithful ones")
    chosen = parser.parse_args()
    started = time.perf_counter()
    read = list(read_all(Reader(), chosen.part))
    if not read:
        sys.exit("no sentences")
    totals = Counter(one.wrong for one in read)
    print(
        f"{len(read)} sentences, {totals[True]} wrong; {(time.perf_counter() - started) / len(read) * 1000:.2f} ms each"
    )
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for one in read:
        kinds = vetoes(one.findings)
        for kind in (*kinds, *(("any",) if kinds else ())):
            counts[kind][one.wrong] += 1
    print(f"{'veto':<14} {'on faithful':>16} {'on wrong':>16} {'precision':>10}")
    for kind, count in sorted(counts.items(), key=lambda item: -item[1].total()):
        faithful, wrong = count[False], count[True]
        print(
            f"{kind:<14} {faithful:>7} {faithful / totals[False]:>8.2%} {wrong:>7} {wrong / totals[True]:>8.2%}"
            f" {wrong / (wrong + faithful):>10.1%}"
        )
    for one in read:
        if one.wrong is chosen.wrong and vetoes(one.findings).intersection(chosen.show):
            print(f"\nQ: {one.question}\n  {' '.join(one.text.split())}\n  {one.findings.checks}")


if __name__ == "__main__":
    main()
