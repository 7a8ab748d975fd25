"""The second opinion by setting, from tiny real models made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, BertConfig, BertForTokenClassification

from ingestion.errors import ModelIntegrityError, ModelUnavailable
from service.generation.answers import SupportLabel
from service.generation.checking.entailment.detector import open_detector
from service.generation.checking.entailment.entailment import Entailment, open_entailment
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import GroundingScorer
from service.settings import GroundingSettings
from tests.cross_encoders import save_overlap_encoder

WORDS = ("drain", "the", "node", "before", "a", "restart", "wipe", "disk")


@pytest.fixture
def one_score(tmp_path: Path) -> Path:
    """A model that scores how many words of the passage stand in the sentence, the lower the fewer."""
    return save_overlap_encoder(tmp_path / "model", WORDS)


def test_no_model_is_the_default(tmp_path: Path) -> None:
    assert open_detector(GroundingSettings(), tmp_path) is None
    assert open_entailment(None, GroundingSettings(), tmp_path).detector is None


def test_its_probability_is_among_the_checks(one_score: Path, tmp_path: Path) -> None:
    detector = open_detector(GroundingSettings(model=str(one_score), max_tokens=64), tmp_path)
    assert detector is not None
    same = detector.supported("drain the node", ["drain the node"], "")
    other = detector.supported("wipe a disk", ["drain the node"], "")
    assert same is not None
    assert other is not None
    assert same > other


def test_it_can_hold_a_sentence_back_but_lift_none(one_score: Path, tmp_path: Path) -> None:
    labels = {}
    for least in (0.0, 1.0):
        settings = GroundingSettings(model=str(one_score), max_tokens=64, model_supported_from=least)
        reader = Reader()
        evidence = [Evidence(reader, "Before a restart you drain the node, always.")]
        scorer = GroundingScorer(reader, Entailment(open_entailment(None, settings, tmp_path), evidence))
        checked = scorer.check("Drain the node before a restart.", evidence, "How?")
        assert any(check.startswith("detector:") for check in checked.support.checks)
        labels[least] = checked.support.label
    assert labels[0.0] is SupportLabel.SUPPORTED
    assert labels[1.0] is SupportLabel.PARTIAL


def test_the_label_that_means_support_is_found_by_name(tmp_path: Path) -> None:
    folder = save_overlap_encoder(tmp_path / "nli", WORDS, labels=3)
    _name_labels(folder, ["CONTRADICTION", "not_entailment", "ENTAILMENT"])
    detector = open_detector(GroundingSettings(model=str(folder), max_tokens=64), tmp_path)
    assert detector is not None
    assert detector.supported("drain", ["drain"], "") == pytest.approx(1 / 3, abs=0.01)  # its three scores are equal
    _name_labels(folder, ["A", "B", "C"])
    with pytest.raises(ModelUnavailable, match="none of the labels"):
        open_detector(GroundingSettings(model=str(folder), max_tokens=64), tmp_path)


def test_a_token_classifier_tells_by_its_likeliest_made_up_token(tmp_path: Path) -> None:
    folder = save_overlap_encoder(tmp_path / "model", WORDS)
    config: BertConfig = AutoConfig.from_pretrained(folder)
    config.num_labels = 2
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.classifier.bias[1] = 2.0
    model.save_pretrained(folder)
    detector = open_detector(GroundingSettings(model=str(folder), max_tokens=64), tmp_path)
    assert detector is not None
    expected = 1 - torch.tensor([0.0, 2.0]).softmax(0)[1].item()
    assert detector.supported("drain the node", ["restart"], "why") == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_loaded_says_how_to_mend_it(one_score: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="PLUMBLINE_GROUNDING__SHA256"):
        open_detector(GroundingSettings(model=str(one_score), sha256="0" * 64), tmp_path)
    with pytest.raises(ModelUnavailable, match="PLUMBLINE_GROUNDING__MODEL"):
        open_detector(GroundingSettings(model=str(tmp_path / "missing")), tmp_path)


def _name_labels(folder: Path, names: list[str]) -> None:
    config: BertConfig = AutoConfig.from_pretrained(folder)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: at for at, name in enumerate(names)}
    config.save_pretrained(folder)
