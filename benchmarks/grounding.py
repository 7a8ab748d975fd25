"""How well sentences that the sources don't support are found: `python -m benchmarks.grounding`. No model is called.

Reads ragtruth_qa: answers of language models to questions over three passages, with what is made up in them marked by
people. Prints one table over the held-out fifth of the questions; `--fit` fits the classifier on the other four, writes
its weights and prints what cross-validation said. docs/quality/grounding.md explains the columns.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import eval_data
from benchmarks.grounding_data import HELD_OUT, Response, folds, load_responses
from benchmarks.grounding_fit import Fitted, Table, fit, tabulate, write
from ingestion.corpus.embedding import Embedder, WordVectors, open_embedder
from ingestion.settings import EmbedderSettings
from service.generation.answers import Support, SupportLabel
from service.generation.checking.entailment import entailment
from service.generation.checking.entailment.entailment import Entailment, EntailmentModel, open_entailment
from service.generation.checking.entailment.model import load_weights
from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.grounding import CheckedSentence, GroundingScorer

WEIGHTS = Path(entailment.__file__).parent / "weights"
RESAMPLES = 1000
_WORD = re.compile(r"\w+")

Check = Callable[[str, Sequence[Evidence], str], CheckedSentence]
Verifier = Callable[[Reader, Sequence[Evidence]], Check]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on one response's sentences, and what they took."""

    response: Response
    verdicts: tuple[Support, ...]
    doubts: tuple[float, ...]
    wall_s: float
    cpu_s: float

    @property
    def doubt(self) -> float:
        """That anything in the response is made up: mean of the worst sentence's doubt and of any one being wrong."""
        doubts = np.array(self.doubts or [0.0])
        return float((doubts.max() + 1 - np.prod(1 - doubts)) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit the classifier and write its weights")
    parser.add_argument("--models", type=Path, help="folder that keeps the embedder between runs")
    options = parser.parse_args()
    path = eval_data() / "grounding" / "ragtruth_qa_train.jsonl.gz"
    if not path.is_file():
        sys.exit(f"{path} is absent: the grounding figures need it")
    responses = load_responses(path)
    with tempfile.TemporaryDirectory() as scratch:
        embedder = open_embedder(EmbedderSettings(), options.models or Path(scratch))
        if options.fit:
            refit(responses, embedder)
        report(responses, embedder)
        embedder.close()


def refit(responses: Sequence[Response], embedder: Embedder) -> None:
    """Write both classifiers and print what cross-validation over four fifths says of them."""
    if not isinstance(embedder, WordVectors):
        sys.exit(f"{embedder.name} shows no word vectors")
    table = tabulate(responses, embedder)
    plans = {"lexical": (entailment.LEXICAL_NAMES, None), "full": (entailment.FULL_NAMES, embedder.name)}
    print("cross-validated over four fifths of the questions:")
    for name, (names, space) in plans.items():
        fitted = fit(table, names, space)
        write(fitted, WEIGHTS, name)
        print_fit(name, fitted, table, responses)
    print()


def print_fit(name: str, fitted: Fitted, table: Table, responses: Sequence[Response]) -> None:
    """Ranking and the precision and recall of the thresholds chosen."""
    used = table.fold != HELD_OUT
    doubt, wrong, held = fitted.probability[used], table.wrong[used], table.held[used]
    of_response = table.response[used]
    members = np.unique(of_response)
    any_wrong = np.array([responses[at].wrong for at in members])
    least = fitted.weights["thresholds"]
    grouped = [doubt[of_response == at] for at in members]
    example = np.array([(each.max() + 1 - np.prod(1 - each)) / 2 for each in grouped])
    print(f"  {name}: example AUROC {auroc(example, any_wrong):.3f}, sentence AUROC {auroc(doubt, wrong):.3f}")
    flags = (
        ("not supported", held | (1 - doubt < least["supported"]), least["supported"]),
        ("unsupported", 1 - doubt < least["partial"], least["partial"]),
    )
    for label, flagged, threshold in flags:
        precision, recall, f1 = accuracy(flagged, wrong)
        print(
            f"    {label:<14} below {threshold:.2f}: precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}, "
            f"false alarms {flagged[~wrong].mean():.1%}"
        )


def report(responses: Sequence[Response], embedder: Embedder) -> None:
    """The table over the held-out fifth."""
    fold_of = folds(responses)
    held_out = [response for response in responses if fold_of[response.source] == HELD_OUT]
    words = EntailmentModel(load_weights("lexical"), None)
    full = open_entailment(embedder)
    rows: dict[str, Verifier] = {
        "words of the passages, by sentence": _floor,
        "exact facts and words": lambda reader, shown: _comparing(GroundingScorer(reader)),
        "classifier, words alone": lambda reader, shown: GroundingScorer(reader, Entailment(words, shown)).check,
        "classifier, with word vectors": lambda reader, shown: GroundingScorer(reader, Entailment(full, shown)).check,
    }
    sentences = sum(len(response.sentences) for response in held_out)
    print(
        f"{len(held_out)} responses to {len({r.source for r in held_out})} questions, {sentences} sentences, held out"
    )
    print(f"share of the response's words that no passage has (floor): example AUROC {floor(held_out):.3f}")
    print(
        "| verifier | example AUROC (95 %) | sentence AUROC | sentence F1 (P, R) | span F1 (P, R) "
        "| false alarms | unsupported P, R | ms per sentence, CPU ms |"
    )
    print("| --- " * 8 + "|")
    for name, verifier in rows.items():
        print_row(name, [judge(response, verifier) for response in held_out])


def floor(responses: Sequence[Response]) -> float:
    """Example AUROC of the share of a response's distinct words that no passage has."""
    doubt = []
    for response in responses:
        said = set(_WORD.findall(" ".join(response.passages).casefold()))
        words = set(_WORD.findall(" ".join(sentence.text for sentence in response.sentences).casefold()))
        doubt.append(len(words - said) / max(1, len(words)))
    return auroc(np.array(doubt), np.array([response.wrong for response in responses]))


def judge(response: Response, verifier: Verifier) -> Judged:
    """The verdicts on one response, its passages read anew as for any answer."""
    reader = Reader()
    wall, cpu = perf_counter(), process_time()
    shown = response.evidence(reader)
    check = verifier(reader, shown)
    checked = [check(sentence.text, shown, response.question) for sentence in response.sentences]
    wall, cpu = perf_counter() - wall, process_time() - cpu
    doubts = tuple(1 - (each.support.score if each.likely is None else each.likely) for each in checked)
    return Judged(response, tuple(each.support for each in checked), doubts, wall, cpu)


def print_row(name: str, judged: Sequence[Judged]) -> None:
    verdicts = [verdict for each in judged for verdict in each.verdicts]
    sentences = [sentence for each in judged for sentence in each.response.sentences]
    doubt = np.array([doubt for each in judged for doubt in each.doubts])
    wrong = np.array([bool(sentence.wrong) for sentence in sentences])
    flagged = np.array([verdict.label is not SupportLabel.SUPPORTED for verdict in verdicts])
    refused = np.array([verdict.label in (SupportLabel.UNSUPPORTED, SupportLabel.CONTRADICTED) for verdict in verdicts])
    value, low, high = interval(judged)
    precision, recall, f1 = accuracy(flagged, wrong)
    sure, found, _ = accuracy(refused, wrong)
    span_precision, span_recall, span_f1 = spans(judged)
    wall, cpu = (
        1000 * sum(times) / len(verdicts) for times in zip(*((j.wall_s, j.cpu_s) for j in judged), strict=True)
    )
    print(
        f"| {name} | {value:.3f} ({low:.3f} to {high:.3f}) | {auroc(doubt, wrong):.3f} "
        f"| {f1:.2f} ({precision:.2f}, {recall:.2f}) | {span_f1:.2f} ({span_precision:.2f}, {span_recall:.2f}) "
        f"| {flagged[~wrong].mean():.1%} | {sure:.2f}, {found:.2f} | {wall:.1f}, {cpu:.1f} |",
        flush=True,
    )


def interval(judged: Sequence[Judged]) -> tuple[float, float, float]:
    """Example AUROC with its 95 % bootstrap interval over questions, not responses: answers to one are alike."""
    doubt = np.array([each.doubt for each in judged])
    wrong = np.array([each.response.wrong for each in judged])
    sources = np.array([each.response.source for each in judged])
    places = [np.flatnonzero(sources == source) for source in dict.fromkeys(sources.tolist())]
    draw = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([places[at] for at in draw.integers(len(places), size=len(places))])
        values.append(auroc(doubt[chosen], wrong[chosen]))
    low, high = np.quantile(values, [0.025, 0.975])
    return auroc(doubt, wrong), float(low), float(high)


def spans(judged: Sequence[Judged]) -> tuple[float, float, float]:
    """Precision, recall and F1 in characters: a sentence that is not supported counts as marked from end to end."""
    hit = marked = wrong = 0
    for each in judged:
        for sentence, verdict in zip(each.response.sentences, each.verdicts, strict=True):
            wrong += len(sentence.wrong)
            if verdict.label is not SupportLabel.SUPPORTED:
                marked += len(sentence.text)
                hit += len(sentence.wrong)
    precision, recall = hit / max(1, marked), hit / max(1, wrong)
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive scores above a negative, ties counted half."""
    from scipy.stats import rankdata

    count = int(positive.sum())
    ranks = rankdata(score)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (len(score) - count)))


def accuracy(flagged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Precision, recall and F1 of what is flagged."""
    hits = int((flagged & wrong).sum())
    precision, recall = hits / max(1, int(flagged.sum())), hits / max(1, int(wrong.sum()))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def _floor(reader: Reader, shown: Sequence[Evidence]) -> Check:
    """Share of the content words that stand anywhere in the passages; below six tenths a sentence is flagged."""
    said = frozenset[str]().union(*(frozenset(reader.stems(evidence.text)) for evidence in shown))

    def check(sentence: str, cited: Sequence[Evidence], question: str) -> CheckedSentence:
        stems = reader.stems(sentence)
        share = sum(stem in said for stem in stems) / len(stems) if stems else 1.0
        label = SupportLabel.SUPPORTED if share >= 0.6 else SupportLabel.UNSUPPORTED
        return CheckedSentence(Support(label, share))

    return check


def _comparing(scorer: GroundingScorer) -> Check:
    return lambda sentence, cited, question: scorer.compare(sentence, cited)


if __name__ == "__main__":
    main()
