"""How often a sentence finds its passage: `python -m benchmarks.attribution [--golden FILE ...]`. No model is called.

For each golden question over sample_docs/ the passages that an answer would be written from are fetched. Every sentence
and list item of theirs is then judged as if a model had written it without a citation, twice:

    all        with all passages shown: its own passage should be found, or another that says the same
    without    with its own passage taken away: mostly none should be found; what is, is printed, to be judged by eye
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.answers import ingest
from benchmarks.corpora import REPO, SCOPE
from ingestion.corpus.records import IndexedChunk
from service.generation.answers import AnswerQuery
from service.generation.checking.attribution import Attributor
from service.generation.checking.entailment.entailment import open_entailment
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import scorers
from service.generation.checking.sentences import UnitKind, units_of
from service.generation.citations import CitedSentence, leads_in
from service.quality.golden import load_golden
from service.runtime import open_reading, retriever
from service.settings import ServiceSettings

LEAST_STEMS = 4
"""Shorter sentences say too little to belong to one passage."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    golden = REPO / "tests" / "golden"
    defaults = [golden / "sample_docs.jsonl", golden / "sample_docs_more.jsonl"]
    parser.add_argument("--golden", type=Path, nargs="+", default=defaults)
    questions = [case.question for path in parser.parse_args().golden for case in load_golden(path)]
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings(data_dir=Path(folder))
        ingest(settings)
        shown = asyncio.run(retrieve(settings, questions))
    report(questions, shown)


async def retrieve(settings: ServiceSettings, questions: Sequence[str]) -> list[list[IndexedChunk]]:
    """The passages for each question."""
    async with open_reading(settings) as reading:
        find = retriever(reading.searcher, settings)
        results = [await asyncio.to_thread(find, SCOPE, AnswerQuery(question)) for question in questions]
    return [
        [passage.indexed for passage in result.passages[: settings.retrieval.answer_passages]] for result in results
    ]


def report(questions: Sequence[str], shown: Sequence[Sequence[IndexedChunk]]) -> None:
    """Print counts, and the passages found for sentences whose own was taken away."""
    reader = Reader()
    make_scorer = scorers(open_entailment())
    counts: Counter[str] = Counter()
    doubtful: dict[str, str] = {}
    started = perf_counter()
    for question, passages in zip(questions, shown, strict=True):
        evidence = [Evidence.of(reader, passage) for passage in passages]
        scorer = make_scorer(reader, evidence)
        everything = Attributor(reader, scorer, evidence, question)
        for at, text in _sentences(reader, evidence):
            sources = everything.judge(CitedSentence(text, "", ())).sources
            counts["all: none" if not sources else "all: own" if sources[0][0] == at else "all: other"] += 1
            rest = [other for index, other in enumerate(evidence) if index != at]
            sources = Attributor(reader, scorer, rest, question).judge(CitedSentence(text, "", ())).sources
            counts["without: found" if sources else "without: none"] += 1
            if sources:
                doubtful[text] = " ".join(unit.text for unit in sources[0][1].units)
    judged = counts.total()
    print(f"{judged // 2} sentences, {(perf_counter() - started) / max(1, judged) * 1000:.1f} ms for each judgement")
    for name, count in sorted(counts.items()):
        print(f"  {name:<16} {count:>5}  {2 * count / judged:.1%}")
    for sentence, found in doubtful.items():
        print(f"\n  {sentence}\n  -> {' '.join(found.split())}")


def _sentences(reader: Reader, evidence: Sequence[Evidence]) -> Iterator[tuple[int, str]]:
    """Each sentence and list item with the number of its passage."""
    for at, passage in enumerate(evidence):
        for unit in units_of(passage.text):
            text = " ".join(passage.text[unit.start : unit.end].split())
            said = unit.kind in (UnitKind.PROSE, UnitKind.ITEM) and not leads_in(text)
            if said and len(reader.stems(text)) >= LEAST_STEMS:
                yield at, text


if __name__ == "__main__":
    main()
