"""A context pack never exceeds its budget, is the same again, and is empty where nothing is relevant."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.corpus.records import DocumentId
from ingestion.errors import InvalidRequest
from service.retrieval.context import ContextBuilder, ContextQuery
from service.retrieval.packing.records import DropReason
from service.retrieval.results import RelevanceLabel
from service.retrieval.search import Searcher
from service.retrieval.tokens import TokenCounter
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, Bench, markdown, open_bench, settings_for
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
    return ContextBuilder(Searcher(bench.corpus, RetrievalSettings()), bench.corpus, TokenCounter())


@given(
    budget=st.integers(16, 900),
    encoding=st.sampled_from(["o200k_base", "cl100k_base"]),
    most=st.integers(1, 50),
    text=st.sampled_from([QUESTION, LOG]),
)
@settings(max_examples=12)
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
        text = entry.span.of(content.text)
        assert f"Source: {entry.document.uri}\n{text}" in pack.context
        assert entry.chunk_id in entry.chunk_ids
    taken = {id_ for entry in pack.passages for id_ in entry.chunk_ids}
    assert len(taken) == sum(len(entry.chunk_ids) for entry in pack.passages)
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
    assert pack.passages[0].truncated
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


LEDGER = """# Ledger

{intro}

## Clear the queue

Do these steps in order:

{steps}
"""
STEPS = "\n".join(
    f"{n}. Step {n}: look at shard {n} of the ledger queue and wait until it is drained." for n in range(1, 30)
)


def test_neighbours_are_one_passage_in_the_order_of_the_document(bench: Bench, builder: ContextBuilder) -> None:
    bench.ingest(markdown("ledger", LEDGER.format(intro="How the ledger queue is cleared.", steps=STEPS)))

    pack = builder.build(SCOPE, ContextQuery("How do I clear the ledger queue, which shards are drained?", 3000))

    passages = [entry for entry in pack.passages if entry.document.id == "ledger"]
    content = bench.corpus.get_content(SCOPE, DocumentId("ledger")).text
    assert len(passages) == 1
    assert len(passages[0].chunk_ids) > 1
    assert passages[0].span.of(content) in pack.context
    assert pack.context.count("Source: ledger.md") == 1


def test_the_tokens_of_the_passages_add_up(builder: ContextBuilder) -> None:
    pack = builder.build(SCOPE, ContextQuery(LOG, 700))

    # The blank line after the last block is not there.
    assert pack.tokens <= sum(entry.tokens for entry in pack.passages) <= pack.tokens + 1


def test_a_replaced_document_gives_way_to_its_successor_and_is_marked_without_it(
    tmp_path: Path, models_dir: Path
) -> None:
    new = "# Restart of the gateway\n\nRestart the gateway with `gwctl restart --rolling` after 502 errors.\n"
    old = "# Gateway restart\n\nAfter 502 errors restart the gateway: run `service gateway restart` on each host.\n"
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(markdown("new", new), markdown("old", old, metadata={"superseded_by": "new"}))
        builder = ContextBuilder(Searcher(bench.corpus, RetrievalSettings()), bench.corpus, TokenCounter())
        both = builder.build(SCOPE, ContextQuery(QUESTION, 1000))
        bench.corpus.delete_document(SCOPE, DocumentId("new"))
        alone = builder.build(SCOPE, ContextQuery(QUESTION, 1000))

    assert [entry.document.id for entry in both.passages] == ["new"]
    assert [(drop.reason, drop.kept_chunk_id) for drop in both.dropped] == [
        (DropReason.SUPERSEDED, both.passages[0].chunk_id)
    ]
    assert [(entry.document.id, entry.note) for entry in alone.passages] == [("old", "superseded by new")]
    assert "Note: superseded by new\n" in alone.context


CHILD = """
import sys
from pathlib import Path
from service.retrieval.context import ContextBuilder, ContextQuery
from service.retrieval.search import Searcher
from service.retrieval.tokens import TokenCounter
from service.settings import RetrievalSettings
from tests.ingestion.corpora import SCOPE, open_bench, settings_for

with open_bench(settings_for(Path(sys.argv[1]), Path(sys.argv[2]))) as bench:
    builder = ContextBuilder(Searcher(bench.corpus, RetrievalSettings()), bench.corpus, TokenCounter())
    sys.stdout.buffer.write(repr(builder.build(SCOPE, ContextQuery(sys.stdin.read(), 500))).encode())
"""


def test_another_process_gives_the_same_bytes(tmp_path: Path, models_dir: Path) -> None:
    with open_bench(settings_for(tmp_path, models_dir)) as bench:
        bench.ingest(*DOCUMENTS)

    packs = {
        subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path), str(models_dir)],
            input=LOG.encode(),
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(packs) == 1
    assert b"gateway" in packs.pop()
