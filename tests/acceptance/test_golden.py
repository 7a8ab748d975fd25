"""The twelve questions over the sample documents: the right document is near the top, the unanswerable are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.parsing.formats import SUFFIXES
from ingestion.sources.files import Attributes, read_files, select_files
from service.generation.answering import Answerer
from service.generation.answers import Answer, AnswerQuery, DoneEvent
from service.quality.golden import Evaluation, GoldenCase, evaluate, load_golden
from service.retrieval.results import RelevanceLabel
from service.retrieval.search import Searcher
from service.runtime import retriever
from service.settings import LLMSettings, ServiceSettings
from tests.conftest import REPO
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for

CASES = load_golden(REPO / "tests" / "golden" / "sample_docs.jsonl")
ANSWERABLE = [case for case in CASES if not case.must_refuse]
UNANSWERABLE = [case for case in CASES if case.must_refuse]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, sample_docs: Path) -> Iterator[Bench]:
    """A corpus of all sample documents."""
    with open_bench(settings_for(tmp_path_factory.mktemp("golden"), models_dir)) as bench:
        files = select_files([sample_docs], SUFFIXES).files
        outcomes = bench.ingest(*read_files(files, Attributes(), max_bytes=50_000_000))
        assert [outcome for outcome in outcomes if outcome.code is not None] == []
        yield bench


@pytest.fixture(scope="module")
def evaluation(bench: Bench) -> Evaluation:
    return evaluate(Searcher(bench.corpus, ServiceSettings().retrieval), SCOPE, CASES)


def test_there_are_twelve_questions_and_three_have_no_answer() -> None:
    assert (len(CASES), len(UNANSWERABLE)) == (12, 3)


def test_the_right_document_is_in_the_top_three(evaluation: Evaluation) -> None:
    ranks = {outcome.case.id: outcome.rank for outcome in evaluation.outcomes if not outcome.case.must_refuse}

    assert {id_: rank for id_, rank in ranks.items() if rank is None or rank > 3} == {}
    assert evaluation.hit_rate(3) == 1.0
    assert evaluation.mean_reciprocal_rank() >= 0.7


def test_nothing_is_said_to_be_strong_where_there_is_no_answer(evaluation: Evaluation) -> None:
    labels = {outcome.case.id: outcome.relevance.label for outcome in evaluation.outcomes}

    assert all(labels[case.id] is not RelevanceLabel.STRONG for case in UNANSWERABLE)
    assert all(labels[case.id] is not RelevanceLabel.NONE for case in ANSWERABLE)


@pytest.mark.parametrize("case", UNANSWERABLE, ids=lambda case: case.id)
def test_the_unanswerable_is_refused_without_a_model(bench: Bench, case: GoldenCase) -> None:
    answer = _answer(bench, case.question)

    assert not answer.answered
    assert answer.refusal is not None
    assert answer.citations == ()


def test_sentences_alone_answer_some_of_the_answerable(bench: Bench) -> None:
    """Without a model, a question in quite other words than its source's is refused rather than answered wrongly."""
    answers = [_answer(bench, case.question) for case in ANSWERABLE]

    assert sum(answer.answered for answer in answers) >= 3
    assert all(answer.citations for answer in answers if answer.answered)


def _answer(bench: Bench, question: str) -> Answer:
    """The answer with no model configured."""
    settings = ServiceSettings()
    searcher = Searcher(bench.corpus, settings.retrieval)
    answerer = Answerer(
        retriever(searcher, settings), None, LLMSettings(), max_passages=settings.retrieval.answer_passages
    )

    async def last_event() -> Answer:
        events = [event async for event in answerer.answer(SCOPE, AnswerQuery(question=question))]
        assert isinstance(events[-1], DoneEvent)
        return events[-1].answer

    return asyncio.run(last_event())
