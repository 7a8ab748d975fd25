"""A context pack never exceeds its budget, is the same again, and is empty where nothing is relevant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import InvalidRequest
from service.retrieval.context import ContextBuilder, ContextQuery, DropReason, merge, select
from service.retrieval.results import RelevanceLabel
from service.retrieval.search import Searcher
from service.retrieval.superseding import is_superseded
from service.retrieval.tokens import TokenCounter
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, Bench, open_bench, settings_for
from tests.service.retrieval_parts import passage, result
from tests.service.search_corpus import DOCUMENTS

QUESTION = "How do I restart the gateway after 502 errors?"
LOG = "\n".join(
    [
        "2026-04-22T10:31:08Z ERROR gateway: upstream closed connection, code GH-5022",
        "2026-04-22T10:31:09Z INFO gateway: health check ok",
        "java.net.ConnectException: Connection refused",
        *(f"    at com.acme.Client.call(Client.java:{line})" for line in range(300)),
        "Customers get HTTP 502 from the gateway and cannot print labels.",
    ]
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Bench]:
    with open_bench(settings_for(tmp_path_factory.mktemp("context"), models_dir)) as bench:
        bench.ingest(*DOCUMENTS)
        yield bench


@pytest.fixture(scope="module")
def builder(bench: Bench) -> ContextBuilder:
    return ContextBuilder(Searcher(bench.corpus, RetrievalSettings()), TokenCounter())


@given(
    budget=st.integers(16, 900),
    encoding=st.sampled_from(["o200k_base", "cl100k_base"]),
    most=st.integers(1, 50),
    text=st.sampled_from([QUESTION, LOG]),
)
@settings(max_examples=25)
def test_the_budget_holds_and_every_passage_is_verbatim(
    bench: Bench, builder: ContextBuilder, budget: int, encoding: str, most: int, text: str
) -> None:
    pack = builder.build(SCOPE, ContextQuery(text, budget, encoding=encoding, max_passages=most))

    assert pack.tokens == TokenCounter().count(pack.context, encoding) <= budget
    assert len(pack.passages) <= most
    assert [entry.n for entry in pack.passages] == list(range(1, len(pack.passages) + 1))
    for entry in pack.passages:
        content = bench.corpus.get_content(SCOPE, entry.document.id)
        assert f"[{entry.n}] {entry.document.title}" in pack.context
        assert entry.span.of(content.text) in pack.context
    taken = {entry.chunk_id for entry in pack.passages}
    assert taken.isdisjoint(drop.chunk_id for drop in pack.dropped)
    assert len({drop.chunk_id for drop in pack.dropped}) == len(pack.dropped)


def test_a_large_budget_takes_the_right_passage_first(builder: ContextBuilder) -> None:
    pack = builder.build(SCOPE, ContextQuery(QUESTION, 4000))

    assert pack.relevance.label is not RelevanceLabel.NONE
    assert pack.passages[0].document.id == "gateway"
    assert "kubectl rollout restart deployment/gateway" in pack.context
    assert pack.queries_used == (QUESTION,)


def test_a_log_finds_the_runbook_of_its_error_code(builder: ContextBuilder) -> None:
    pack = builder.build(SCOPE, ContextQuery(LOG, 2000))

    assert "gateway" in {entry.document.id for entry in pack.passages}
    assert 1 < len(pack.queries_used) <= 4


def test_a_small_budget_takes_the_first_lines_of_the_best_passage(builder: ContextBuilder) -> None:
    pack = builder.build(SCOPE, ContextQuery(QUESTION, 45))

    assert len(pack.passages) == 1
    assert pack.tokens <= 45
    assert {drop.reason for drop in pack.dropped} >= {DropReason.BUDGET}


def test_the_same_input_gives_the_same_bytes(builder: ContextBuilder) -> None:
    first, second = (builder.build(SCOPE, ContextQuery(LOG, 700)) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("text", ["What is the capital of France?", "best treatment for acute leukemia", "?!"])
def test_nothing_relevant_gives_an_empty_context(builder: ContextBuilder, text: str) -> None:
    pack = builder.build(SCOPE, ContextQuery(text, 1000))

    assert (pack.context, pack.passages, pack.tokens) == ("", (), 0)
    assert pack.relevance.label is RelevanceLabel.NONE


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"text": "  "}, "/text"),
        ({"text": "x" * 100_001}, "/text"),
        ({"budget_tokens": 15}, "/budget_tokens"),
        ({"budget_tokens": 200_001}, "/budget_tokens"),
        ({"max_passages": 0}, "/max_passages"),
        ({"max_passages": 51}, "/max_passages"),
        ({"encoding": "nonesuch"}, "/encoding"),
    ],
)
def test_bad_input_is_named(builder: ContextBuilder, changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        builder.build(SCOPE, ContextQuery(**({"text": QUESTION, "budget_tokens": 100} | changes)))  # type: ignore[arg-type]

    assert caught.value.pointer == pointer


def test_duplicates_superseded_and_unlikely_passages_are_dropped_with_their_reason() -> None:
    words = " ".join(f"word{number}" for number in range(80))
    found = [
        passage("a", words),
        passage("same", words.upper()),
        passage("near", f"{words} once"),
        passage("old", "quite another text here", metadata={"superseded_by": "a"}),
        passage("older", "and one more text here", metadata={"status": "Deprecated since 2024"}),
        passage("far", "unlikely", score=0.01),
        passage("b", "a text of its own"),
    ]

    kept, dropped = select(found)

    assert [entry.indexed.id for entry in kept] == ["chunk-a", "chunk-b"]
    assert [(drop.chunk_id, drop.reason) for drop in dropped] == [
        ("chunk-same", DropReason.DUPLICATE),
        ("chunk-near", DropReason.DUPLICATE),
        ("chunk-old", DropReason.SUPERSEDED),
        ("chunk-older", DropReason.SUPERSEDED),
        ("chunk-far", DropReason.NOT_RELEVANT),
    ]
    assert not is_superseded({"status": "active", "superseded_by": ""})


def test_merging_keeps_the_best_score_and_ignores_searches_without_relevance() -> None:
    first = result(passage("a", "x", 0.5), passage("b", "y", 0.4))
    second = result(passage("b", "y", 0.7), passage("c", "z", 0.4))
    nothing = result(passage("d", "w", 0.99), label=RelevanceLabel.NONE)

    assert [(entry.indexed.id, entry.score) for entry in merge([first, second, nothing])] == [
        ("chunk-b", 0.7),
        ("chunk-a", 0.5),
        ("chunk-c", 0.4),
    ]
