"""What an answer without a model is worth: answered, refused, from the right document, with the expected facts.

`python -m benchmarks.answerability` prints the tables in docs/quality/answerability.md; `--fit` also fits the models
of service/generation/extracting/answerability.py and prints their coefficients, cross-validated. `--data DIR` keeps
the corpora.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from time import perf_counter

from benchmarks.corpora import REPO, SCOPE, eval_data, sample_documents
from benchmarks.embeddings import remembering
from ingestion.corpus.corpus import Corpus, open_corpus
from ingestion.corpus.embedding import Embedder
from ingestion.corpus.records import Document, DocumentId, DocumentSource
from ingestion.parsing import DocumentParser
from ingestion.pipeline import Pipeline
from ingestion.settings import Settings
from service.generation.checking.evidence import Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.extracting.asking import Asked
from service.generation.extracting.candidates import Candidate, candidates_of
from service.generation.extracting.fallback import Extractor, Ranked
from service.generation.extracting.freshness import LOOKED_AT, OPENING_CHARS, give_way, outdated
from service.generation.extracting.stretches import Extract
from service.quality.golden import load_golden, names_document
from service.retrieval.query import SearchQuery
from service.retrieval.results import Passage, Relevance, RelevanceLabel
from service.retrieval.search import Searcher
from service.settings import ServiceSettings

GOLDEN = REPO / "tests" / "golden"


@dataclass(frozen=True, slots=True)
class Question:
    """`documents` are the right ones; `facts` must all be shown; of `sentences` one must."""

    text: str
    answerable: bool
    documents: tuple[str, ...]
    facts: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    def is_right(self, document: Document) -> bool:
        return any(names_document(document, name) for name in self.documents)

    def is_answered_by(self, texts: Sequence[str]) -> bool:
        """Whether the texts say what was expected."""
        shown = _flat(" ".join(texts))
        if self.sentences:
            return any(_flat(sentence) in shown or shown in _flat(sentence) for sentence in self.sentences)
        return bool(texts) and all(_flat(fact) in shown for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Found:
    """A question with the passages that retrieval gave, and which of them are outdated."""

    question: Question
    passages: tuple[Passage, ...]
    relevance: Relevance
    old: frozenset[int]


@dataclass(frozen=True, slots=True)
class Outcome:
    found: Found
    extracts: tuple[Extract, ...]
    ms: float

    @property
    def right(self) -> bool:
        return any(self.found.question.is_right(self._document(extract)) for extract in self.extracts)

    @property
    def complete(self) -> bool:
        """Whether what is shown from right documents holds the expected facts."""
        question = self.found.question
        raw = [self._raw(extract) for extract in self.extracts if question.is_right(self._document(extract))]
        return question.is_answered_by(raw)

    @property
    def first(self) -> bool:
        """Whether the first stretch alone does."""
        question = self.found.question
        return bool(self.extracts) and question.is_answered_by([self._raw(self.extracts[0])])

    def _document(self, extract: Extract) -> Document:
        return self.found.passages[extract.index].indexed.document

    def _raw(self, extract: Extract) -> str:
        return self.found.passages[extract.index].indexed.chunk.text[extract.start : extract.end]


def golden_questions(path: Path) -> list[Question]:
    return [
        Question(case.question, not case.must_refuse, case.relevant_documents, case.expected_facts)
        for case in load_golden(path)
    ]


def clapnq_questions(every: int = 2) -> list[Question]:
    """Every second question of clapnq; the passage that was judged is in the corpus for both kinds."""
    with gzip.open(eval_data() / "answers" / "clapnq_rag.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::every]
    return [
        Question(
            row["question"],
            row["answerable"],
            (row["passage"],),
            sentences=tuple(text for output in row["outputs"] for text in output.get("selected_sentences", ())),
        )
        for row in rows
    ]


def clapnq_documents() -> Iterator[DocumentSource]:
    with gzip.open(eval_data() / "answers" / "clapnq_corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield DocumentSource(
                id=DocumentId(row["id"]),
                uri=row["id"],
                name=f"{row['id']}.md",
                title=row.get("title") or None,
                data=row["text"].encode(),
                media_type="text/markdown",
            )


@contextmanager
def corpus_of(documents: Iterator[DocumentSource], data_dir: Path, models_dir: Path) -> Iterator[Corpus]:
    settings = Settings(data_dir=data_dir, models_dir=models_dir)
    with open_corpus(settings) as corpus, DocumentParser(settings.parsing) as parser:
        pipeline = Pipeline(corpus, parser)
        for _ in pipeline.ingest(SCOPE, documents):
            pass
        yield corpus


def find(corpus: Corpus, questions: Sequence[Question]) -> list[Found]:
    """What the service would give an answer to work with."""
    settings = ServiceSettings().retrieval
    searcher = Searcher(corpus, settings)
    founds = []
    for question in questions:
        query = SearchQuery(question.text, limit=settings.answer_passages * LOOKED_AT, highlight=False)
        result = searcher.search(SCOPE, query)
        openings = {
            document.key: corpus.get_content(SCOPE, document.id, document.collection).text[:OPENING_CHARS]
            for document in {
                passage.indexed.document.key: passage.indexed.document for passage in result.passages
            }.values()
        }
        passages = give_way(result.passages, outdated(result.passages, openings), settings.answer_passages)
        founds.append(Found(question, passages, result.relevance, outdated(passages, openings)))
    return founds


def answer(corpus: Corpus, found: Found, *, by_meaning: bool = True) -> Outcome:
    """The answer of the service without a model, with the time beyond retrieval."""
    reader = Reader()
    extractor = Extractor(reader, GroundingScorer(reader), corpus.embedder if by_meaning else None)
    started = perf_counter()
    extracts: tuple[Extract, ...] = ()
    if found.relevance.label is not RelevanceLabel.NONE:
        extracts = extractor.extract(found.question.text, found.passages, found.relevance, found.old)
    return Outcome(found, extracts, (perf_counter() - started) * 1e3)


def rank(embedder: Embedder, found: Found) -> Ranked | None:
    """The signals of a question; None where there is nothing to rank."""
    reader = Reader()
    extractor = Extractor(reader, GroundingScorer(reader), embedder)
    asked = Asked.of(reader, found.question.text)
    candidates = [item for at, passage in enumerate(found.passages) for item in candidates_of(reader, at, passage)]
    if not candidates or not asked.stems:
        return None
    return extractor.rank(asked, candidates, found.passages, found.relevance)


def is_good(found: Found, candidate: Candidate) -> bool:
    """Whether one stretch alone says what was expected, in a right document."""
    document = found.passages[candidate.index].indexed.document
    return found.question.is_right(document) and found.question.is_answered_by([candidate.raw])


def print_table(name: str, outcomes: Sequence[Outcome]) -> None:
    yes = [outcome for outcome in outcomes if outcome.found.question.answerable]
    no = [outcome for outcome in outcomes if not outcome.found.question.answerable]
    shown = [outcome for outcome in yes if outcome.extracts]
    worked = sorted(outcome.ms for outcome in outcomes if outcome.found.relevance.label is not RelevanceLabel.NONE)
    refused = [outcome for outcome in no if not outcome.extracts]
    all_refused = len(refused) + len(yes) - len(shown)
    print(
        f"| {name} | {len(shown)} of {len(yes)} | {sum(o.right for o in yes)} | {sum(o.complete for o in yes)} | "
        f"{sum(o.first for o in yes)} | {mean(len(o.extracts) for o in shown or yes):.1f} | "
        f"{mean(sum(len(e.text) for e in o.extracts) for o in shown or yes):.0f} | "
        f"{len(refused)} of {len(no)} | {len(refused) / max(1, all_refused):.2f} | "
        f"{median(worked):.0f}, {quantiles(worked, n=10)[-1]:.0f} |"
    )


def print_details(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        question = outcome.found.question
        verdict = "answered" if outcome.extracts else "refused"
        fine = outcome.complete if question.answerable else not outcome.extracts
        print(f"\n{'  ' if fine else '! '}{verdict}: {question.text} ({outcome.found.relevance.confidence:.2f})")
        for extract in outcome.extracts:
            document = outcome.found.passages[extract.index].indexed.document
            print(f"      {document.uri.rpartition('/')[2]}: {_flat(extract.text)[:160]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder that keeps the corpora between runs")
    parser.add_argument("--fit", action="store_true", help="fit the models and print their coefficients")
    parser.add_argument("--details", action="store_true", help="print every question over sample_docs")
    parser.add_argument("--only", choices=("development", "golden", "clapnq"), action="append")
    options = parser.parse_args()
    wanted = options.only or ["development", "golden", "clapnq"]
    with tempfile.TemporaryDirectory() as scratch:
        data = options.data or Path(scratch)
        run(data, wanted, fitting=options.fit, details=options.details)


def run(data: Path, wanted: Sequence[str], *, fitting: bool, details: bool) -> None:
    sets: dict[str, tuple[Callable[[], Iterator[DocumentSource]], Callable[[], list[Question]], str]] = {
        "development": (sample_documents, lambda: golden_questions(GOLDEN / "sample_docs_more.jsonl"), "sample"),
        "golden": (sample_documents, lambda: golden_questions(GOLDEN / "sample_docs.jsonl"), "sample"),
        "clapnq": (clapnq_documents, clapnq_questions, "clapnq"),
    }
    samples: dict[str, list[tuple[Found, Ranked]]] = {}
    print(
        "| questions | answered | right document | facts | facts first | pieces | characters | refused | precision "
        "| ms p50, p90 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in wanted:
        documents, questions, folder = sets[name]
        with corpus_of(documents(), data / folder, data / "models") as corpus:
            if fitting:
                founds = find(corpus, clapnq_questions(1) if name == "clapnq" else questions())
                with remembering(corpus.embedder, data / f"{name}.embeddings") as embedder:
                    ranked = ((found, rank(embedder, found)) for found in founds)
                    samples[name] = [(found, signals) for found, signals in ranked if signals is not None]
                continue
            founds = find(corpus, questions())
            outcomes = [answer(corpus, found) for found in founds]
            print_table(name, outcomes)
            print_table(f"{name}, words only", [answer(corpus, found, by_meaning=False) for found in founds])
            if details and name != "clapnq":
                print_details(outcomes)
    if fitting:
        from benchmarks.answer_models import fit

        fit(samples)


def _flat(text: str) -> str:
    return " ".join(text.replace("**", "").split())


if __name__ == "__main__":
    main()
