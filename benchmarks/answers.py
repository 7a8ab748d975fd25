"""How good a model's answers are: `python -m benchmarks.answers [--golden FILE] [--raw] [ID ...]`.

Ingests sample_docs/ and asks the golden questions (all, or those named) of the endpoint in PLUMBLINE_LLM__BASE_URL,
__API_KEY and __MODEL; with none configured it measures the extracted answers. One row per question:

    outcome    answered, refused, or answered in a degraded way; `!` where the golden file wants the other
    document   whether a document that answers the question is cited
    facts      expected facts that the answer states, of how many
    verdicts   sentences supported / partial / unsupported / contradicted
    format     of the model's own answer, before anything is mended: whether it can be read, cites or refuses, and
               names no passage that it was not shown; `-` where no model was asked
    found      citations that the service added or corrected
    spans      whether every citation quotes its document to the character
    first      seconds of the call until the model had written the sentence that was shown first / until it was shown,
               verified; the search before the call is told apart, in the totals
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.corpora import REPO, SCOPE, sample_documents
from benchmarks.tapping import Call, RawAnswer, TappedModel, finished_s, raw_answer
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.telemetry import configure_logging
from service.generation.answering import Answerer
from service.generation.answers import (
    Answer,
    AnswerQuery,
    DoneEvent,
    GroundingLabel,
    RetrievalEvent,
    SentenceEvent,
    SupportLabel,
)
from service.generation.models.llm import Models
from service.generation.models.opening import open_chat_models
from service.quality.golden import GoldenCase, load_golden, names_document
from service.quality.stating import stated
from service.runtime import means_of, open_reading, retriever
from service.settings import ServiceSettings

HEADER = f"{'question':<28} {'outcome':<14} document facts  verdicts  format found spans  {'first':<11} seconds"
SLOWEST_RATIO = 1.15
"""How much later than the model's own the verified first sentence may come."""


@dataclass(frozen=True, slots=True)
class FirstSentence:
    """Seconds from the start of the model's call until it had written the sentence, and until that was shown."""

    raw_s: float
    verified_s: float

    @property
    def ratio(self) -> float:
        return self.verified_s / self.raw_s


@dataclass(frozen=True, slots=True)
class Row:
    """One question and what came of it. `facts` are (stated, expected); `verdicts` are counts by label."""

    case: GoldenCase
    answer: Answer
    right_document: bool
    facts: tuple[int, int]
    verdicts: Counter[SupportLabel]
    found: int
    exact: bool
    seconds: float
    raw: RawAnswer | None = None
    first: FirstSentence | None = None

    @property
    def as_wanted(self) -> bool:
        """Answered where there is an answer, refused where there is none."""
        return self.answer.answered is not self.case.must_refuse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", help="questions to ask; all if none is named")
    parser.add_argument("--golden", type=Path, default=REPO / "tests" / "golden" / "sample_docs.jsonl")
    parser.add_argument("--raw", action="store_true", help="print each answer too")
    arguments = parser.parse_args()
    cases = [case for case in load_golden(arguments.golden) if not arguments.ids or case.id in arguments.ids]
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings(data_dir=Path(folder))
        configure_logging(settings)
        ingest(settings)
        rows = asyncio.run(ask(settings, cases, raw=arguments.raw))
    report(rows)


def ingest(settings: ServiceSettings) -> None:
    """Put sample_docs/ into the corpus of these settings."""
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        pipeline = Pipeline(corpus, parser)
        rejected = [outcome for outcome in pipeline.ingest(SCOPE, sample_documents()) if outcome.code is not None]
    assert not rejected, rejected


async def ask(settings: ServiceSettings, cases: Sequence[GoldenCase], *, raw: bool) -> list[Row]:
    """One question after the other; rows are printed as they come."""
    print(HEADER)
    rows = []
    async with open_reading(settings) as reading, open_chat_models(settings) as models:
        model = TappedModel(models.fast) if models.fast is not None else None
        answerer = Answerer(
            retriever(reading.searcher, settings), Models(fast=model), settings, means_of(reading.corpus, settings)
        )
        for case in cases:
            asked = await _listen(answerer, case.question, settings.retrieval.answer_passages)
            rows.append(await _row(reading.corpus, case, asked, model))
            print(_line(rows[-1]), flush=True)
            if raw:
                print(_indented(rows[-1].answer), flush=True)
    return rows


async def _row(corpus: Corpus, case: GoldenCase, asked: _Asked, model: TappedModel | None) -> Row:
    answer = asked.answer
    cited = [citation.document for citation in answer.citations]
    calls = model.take() if model is not None else []
    return Row(
        case=case,
        answer=answer,
        right_document=any(names_document(document, name) for document in cited for name in case.relevant_documents),
        facts=(len(stated(case.expected_facts, [answer.text])), len(case.expected_facts)),
        verdicts=Counter(sentence.support.label for sentence in answer.sentences),
        found=sum(
            check in ("citation:added", "citation:corrected")
            for sentence in answer.sentences
            for check in sentence.support.checks
        ),
        exact=await asyncio.to_thread(_exact, corpus, answer),
        seconds=asked.seconds,
        raw=raw_answer(calls[0], asked.shown) if calls else None,
        first=_first(calls, asked),
    )


@dataclass(slots=True)
class _Asked:
    """An answer as it came: `first` is the sentence shown first and the moment of that."""

    answer: Answer
    seconds: float
    shown: int
    first: tuple[str, float] | None


async def _listen(answerer: Answerer, question: str, most_shown: int) -> _Asked:
    started = perf_counter()
    shown, first, answer = 0, None, None
    async for event in answerer.answer(SCOPE, AnswerQuery(question)):
        if isinstance(event, RetrievalEvent):
            shown = min(most_shown, len(event.result.passages))
        elif isinstance(event, SentenceEvent) and first is None:
            first = (event.sentence.text, perf_counter())
        elif isinstance(event, DoneEvent):
            answer = event.answer
    assert answer is not None
    return _Asked(answer, perf_counter() - started, shown, first)


def _first(calls: Sequence[Call], asked: _Asked) -> FirstSentence | None:
    """Of the call that wrote the sentence shown first; None if none wrote it so (it is extracted, or mended)."""
    if asked.first is None:
        return None
    text, moment = asked.first
    for call in calls:
        raw_s = finished_s(call, text, asked.shown)
        if raw_s is not None:
            return FirstSentence(raw_s, moment - call.started)
    return None


def _exact(corpus: Corpus, answer: Answer) -> bool:
    """Whether every number names a citation and every citation quotes its document."""
    numbers = {citation.n for citation in answer.citations}
    if not all(set(sentence.citations) <= numbers for sentence in answer.sentences):
        return False
    return all(
        citation.span.of(corpus.get_content(SCOPE, citation.document.id, citation.document.collection).text)
        == citation.quote
        for citation in answer.citations
    )


def _line(row: Row) -> str:
    answer = row.answer
    outcome = "answered" if answer.answered else "refused"
    if answer.degraded is not None:
        outcome = str(answer.degraded.mode) if answer.answered else "refused*"
    verdicts = "/".join(str(row.verdicts[label]) for label in SupportLabel)
    document = ("yes" if row.right_document else "no") if answer.answered and not row.case.must_refuse else "-"
    facts = f"{row.facts[0]}/{row.facts[1]}" if row.facts[1] else "-"
    form = "-" if row.raw is None else "valid" if row.raw.valid else "WRONG"
    first = f"{row.first.raw_s:.1f}/{row.first.verified_s:.1f}" if row.first else "-"
    return (
        f"{row.case.id:<28} {outcome + ('' if row.as_wanted else ' !'):<14} {document:<8} {facts:<6} {verdicts:<9} "
        f"{form:<6} {row.found:<5} {'exact' if row.exact else 'WRONG':<6} {first:<11} {row.seconds:>7.1f}"
    )


def _indented(answer: Answer) -> str:
    lines = [
        f"    [{sentence.support.label}] {' '.join(sentence.text.split())} {list(sentence.citations)} "
        f"({', '.join(sentence.support.checks)})"
        for sentence in answer.sentences
    ]
    reason = answer.degraded.reason if answer.degraded else answer.refusal.reason if answer.refusal else None
    return "\n".join([*lines, *([f"    {reason}"] if reason else [])])


def report(rows: Sequence[Row]) -> None:
    """Totals."""
    answerable = [row for row in rows if not row.case.must_refuse]
    hopeless = [row for row in rows if row.case.must_refuse]
    answered = [row for row in rows if row.answer.answered]
    verdicts = sum((row.verdicts for row in rows), Counter[SupportLabel]())
    graded = [row.answer.grounding for row in answered if row.answer.grounding is not None]
    labels = Counter(grounding.label for grounding in graded)
    print(f"\nmodel {next((row.answer.model for row in rows if row.answer.model), 'none')}", end=", ")
    print(f"prompt {next((row.answer.prompt_version for row in rows if row.answer.prompt_version), 'none')}")
    print(f"answered {sum(row.as_wanted for row in answerable)} of {len(answerable)} answerable questions;", end=" ")
    print(f"refused {sum(row.as_wanted for row in hopeless)} of {len(hopeless)} without an answer")
    print(f"right document cited {sum(row.right_document for row in answerable)} of {len(answerable)};", end=" ")
    print(f"expected facts {sum(row.facts[0] for row in rows)} of {sum(row.facts[1] for row in rows)}")
    print("sentences: " + ", ".join(f"{verdicts[label]} {label}" for label in SupportLabel), end="; ")
    print(f"citations added or corrected {sum(row.found for row in rows)};", end=" ")
    print(f"spans exact in {sum(row.exact for row in rows)} of {len(rows)}")
    print("answers: " + ", ".join(f"{labels[label]} {label}" for label in GroundingLabel))
    _report_raw([row.raw for row in rows if row.raw is not None])
    if graded:
        precision = sum(grounding.citation_precision for grounding in graded) / len(graded)
        recall = sum(grounding.citation_recall for grounding in graded) / len(graded)
        print(f"the model's own citations, mean over answers: precision {precision:.2f}, recall {recall:.2f}")
    _report_first(rows)
    seconds = sorted(row.seconds for row in rows)
    print(f"seconds: median {seconds[len(seconds) // 2]:.1f}, longest {seconds[-1]:.1f}" if seconds else "no question")


def _report_raw(raws: Sequence[RawAnswer]) -> None:
    """What the model itself gave, in every call that began an answer."""
    if not raws:
        return
    valid, sentences = sum(raw.valid for raw in raws), sum(raw.sentences for raw in raws)
    print(f"citation format valid in {valid} of {len(raws)} answers of the model ({valid / len(raws):.0%});", end=" ")
    print(f"{sum(raw.cited for raw in raws)} of its {sentences} sentences bear a citation;", end=" ")
    print(f"it refused {sum(raw.refused for raw in raws)} itself")


def _report_first(rows: Sequence[Row]) -> None:
    """How much later than the model's the verified first sentence came."""
    ratios = sorted(row.first.ratio for row in rows if row.first is not None)
    if not ratios:
        return
    soon = sum(ratio <= SLOWEST_RATIO for ratio in ratios)
    print(
        f"verified first sentence / the model's own: median {ratios[len(ratios) // 2]:.3f}, longest {ratios[-1]:.3f};"
    )
    print(f"  at most {SLOWEST_RATIO} in {soon} of {len(ratios)};", end=" ")
    searches = sorted(row.answer.timings_ms["retrieve"] for row in rows)
    print(f"search before the call: median {searches[len(searches) // 2]:.0f} ms")


if __name__ == "__main__":
    main()
