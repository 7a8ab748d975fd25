"""The classifier of grounding: what it is told of a sentence, and what it makes of it with the real embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.embedding import Embedder, open_embedder
from ingestion.settings import EmbedderSettings
from service.generation.answers import SupportLabel
from service.generation.checking.entailment.alignment import alignment_features, rarity_features
from service.generation.checking.entailment.copying import is_copied
from service.generation.checking.entailment.entailment import (
    FULL_NAMES,
    LEXICAL_NAMES,
    Entailment,
    EntailmentModel,
    open_entailment,
)
from service.generation.checking.entailment.model import load_weights
from service.generation.checking.entailment.words import passage_numbers, without_passage_numbers
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.generation.checking.sentences import UnitKind
from service.settings import GroundingSettings

SAMPLE_DOCS = Path(__file__).parents[2] / "sample_docs"
PASSAGE = (
    "Drain the node before you restart it. The drain takes 120 seconds and moves every session to another node. "
    "Never delete the volume by hand. If the drain hangs, ask the storage team for help."
)
QUESTION = "How do I restart a node?"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    opened = open_embedder(EmbedderSettings(), tmp_path_factory.mktemp("models"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["lexical", "full"])
def model(request: pytest.FixtureRequest, embedder: Embedder) -> EntailmentModel:
    return open_entailment(embedder if request.param == "full" else None)


def scorer_for(model: EntailmentModel, text: str) -> tuple[GroundingScorer, list[Evidence]]:
    reader = Reader()
    evidence = [Evidence(reader, text)]
    return GroundingScorer(reader, Entailment(model, evidence)), evidence


def test_the_embedder_decides_which_weights_are_used(embedder: Embedder) -> None:
    assert open_entailment(embedder).weights.names == FULL_NAMES
    assert open_entailment().weights.names == LEXICAL_NAMES


@pytest.mark.parametrize("name", ["lexical", "full"])
def test_weights_fit_the_features_that_there_are(name: str) -> None:
    weights = load_weights(name)
    assert weights.names == (FULL_NAMES if name == "full" else LEXICAL_NAMES)
    assert len(weights.low) == len(weights.high) == len(weights.coefficients) == len(weights.names)
    assert 0 < weights.thresholds.partial <= weights.thresholds.supported < 1
    assert weights.trees.feature.max() < len(weights.names)


def test_what_the_passage_says_is_likelier_than_what_it_does_not(model: EntailmentModel) -> None:
    scorer, evidence = scorer_for(model, PASSAGE)
    said = scorer.check("Before a restart the node is drained, which takes 120 seconds.", evidence, QUESTION)
    made_up = scorer.check(
        "It is also important to notify your customers and to take a full backup of the database.", evidence, QUESTION
    )
    assert said.likely is not None
    assert made_up.likely is not None
    assert said.likely > made_up.likely + 0.2
    assert made_up.support.label is not SupportLabel.SUPPORTED
    assert any(check.startswith("entailment:") for check in made_up.support.checks)


def test_exact_facts_hold_back_what_the_classifier_would_let_pass(model: EntailmentModel) -> None:
    scorer, evidence = scorer_for(model, PASSAGE)
    changed = scorer.check("The drain takes 90 seconds and moves every session to another node.", evidence, QUESTION)
    assert changed.support.label is not SupportLabel.SUPPORTED
    assert changed.support.score < model.weights.thresholds.supported


def test_part_of_a_sentence_is_no_copy() -> None:
    evidence = [Evidence(Reader(), PASSAGE)]
    assert is_copied("Never delete the volume by hand.", evidence)
    assert is_copied("- **Never** delete the volume by hand", evidence)
    assert is_copied("Drain the node before you restart it. The drain takes 120 seconds and moves every session to "
                     "another node.", evidence)  # fmt: skip
    assert not is_copied("Delete the volume by hand.", evidence)
    assert not is_copied("", evidence)


def test_copies_of_the_sample_documents_are_supported(model: EntailmentModel) -> None:
    wrong = []
    checked = 0
    for path in sorted(SAMPLE_DOCS.rglob("*.md"))[:12]:
        scorer, evidence = scorer_for(model, path.read_text("utf-8")[:2500])
        for unit in evidence[0].units:
            if unit.forbidden or unit.kind not in (UnitKind.PROSE, UnitKind.ITEM) or len(unit.text) < 20:
                continue
            checked += 1
            verdict = scorer.check(unit.text, evidence, "What should I do?")
            if verdict.support.label is not SupportLabel.SUPPORTED:
                wrong.append((unit.text, verdict.support))
    assert checked > 50
    assert not wrong


def test_a_passage_named_in_words_is_a_citation_and_no_number() -> None:
    assert without_passage_numbers("Passages 1 and 2 say so (passage 3).") == "Passages say so (passage)."
    assert passage_numbers("Passages 1 and 2 say so (passage 3).") == {1, 2, 3}
    assert passage_numbers("It takes 2 passages and 3 hours.") == frozenset()
    scorer = GroundingScorer(Reader())
    evidence = [Evidence(Reader(), PASSAGE)]
    checks = scorer.check("According to passage 1, the drain takes 120 seconds.", evidence).support.checks
    assert "numbers:ok" in checks


def test_a_threshold_of_the_settings_stands_in_for_the_calibrated_one(model: EntailmentModel) -> None:
    strict = open_entailment(None, GroundingSettings(supported_from=1.0))
    scorer, evidence = scorer_for(strict, PASSAGE)
    retold = "Before a restart the node is drained."
    assert scorer.check(retold, evidence, QUESTION).support.label is not SupportLabel.SUPPORTED


def test_tokens_that_are_all_said_are_at_no_distance() -> None:
    rows = np.eye(4, dtype=np.float32)
    near = alignment_features(rows, rows, rows[:0])
    assert near[:2] == [1.0, 1.0]
    assert near[7] == 0.0
    assert alignment_features(rows[:0], rows, rows) == alignment_features(rows[:0], rows[:0], rows[:0])
    assert rarity_features([]) == [0.0] * 6


@pytest.fixture(scope="module")
def words_alone() -> EntailmentModel:
    return open_entailment()


@given(text=st.text(max_size=200))
def test_any_text_gets_a_probability(words_alone: EntailmentModel, text: str) -> None:
    scorer, evidence = scorer_for(words_alone, PASSAGE)
    support = scorer.check(text, evidence, QUESTION).support
    assert 0 <= support.score <= 1
