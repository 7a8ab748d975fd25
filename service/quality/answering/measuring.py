"""One answer beside what its golden case expects: measures, and in words what is wrong with it. Asks nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingestion.corpus.records import Document
from service.generation.answers import Answer, GroundingLabel, SupportLabel
from service.quality.golden import GoldenCase
from service.quality.measures import (
    ANSWERED,
    COST,
    DEGRADED,
    FACTS,
    FORBIDDEN_FREE,
    GROUNDED,
    MUST_CITE,
    PRECISION,
    RECALL,
    REFUSED,
    RIGHT_DOCUMENT,
    TOKENS,
    TOTAL_MS,
    UNSUPPORTED,
)
from service.quality.stating import stated

_NOT_SUPPORTED = (SupportLabel.UNSUPPORTED, SupportLabel.CONTRADICTED)

IsNamed = Callable[[Document, str], bool]
"""Whether a document is the one that a case names so."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one answer. A measure that says nothing about this case or answer is not there."""

    metrics: Mapping[str, float]
    wrong: tuple[str, ...]


def measure_answer(case: GoldenCase, answer: Answer, is_named: IsNamed) -> Measured:
    """The measures of `measures.ANSWER_MEASURES`, but for probes and for what the case says nothing about.

    An answer that should have been given and was refused states no fact and cites no document. Verdicts are about
    what is shown: a refusal has none.
    """
    metrics = {DEGRADED: float(answer.degraded is not None), **_spent(answer)}
    wrong: list[str] = []
    if case.must_refuse:
        metrics[REFUSED] = float(not answer.answered)
        wrong += ["answered, and had to be refused"] if answer.answered else []
    else:
        metrics |= _expected(case, answer, is_named, wrong)
    if case.forbidden_facts:
        said = stated(case.forbidden_facts, [answer.text]) if answer.answered else ()
        metrics[FORBIDDEN_FREE] = float(not said)
        wrong += [f"states the forbidden {fact!r}" for fact in said]
    if answer.answered:
        metrics |= _verdicts(answer)
        wrong += [f"not supported: {text!r}" for text in _unsupported(answer)]
    return Measured(metrics, tuple(wrong))


def cited_documents(answer: Answer) -> list[Document]:
    """Documents that a sentence shown cites."""
    shown = {n for sentence in answer.sentences for n in sentence.citations}
    return [citation.document for citation in answer.citations if citation.n in shown]


def _expected(case: GoldenCase, answer: Answer, is_named: IsNamed, wrong: list[str]) -> dict[str, float]:
    """Measures of a case that has an answer; what is wrong is added to `wrong`."""
    cited = cited_documents(answer)
    right = any(is_named(document, name) for document in cited for name in case.judged())
    metrics = {ANSWERED: float(answer.answered), RIGHT_DOCUMENT: float(right)}
    if not answer.answered:
        reason = answer.refusal.reason if answer.refusal else "nothing was shown"
        wrong.append(f"not answered: {reason}")
    elif not right:
        wrong.append(f"cites none of {', '.join(case.judged())}")
    if case.expected_facts:
        held = stated(case.expected_facts, [answer.text]) if answer.answered else ()
        metrics[FACTS] = len(held) / len(case.expected_facts)
        if answer.answered:
            wrong += [f"does not state {fact!r}" for fact in case.expected_facts if fact not in held]
    if case.must_cite:
        missed = [name for name in case.must_cite if not any(is_named(document, name) for document in cited)]
        metrics[MUST_CITE] = 1 - len(missed) / len(case.must_cite)
        if answer.answered:
            wrong += [f"does not cite {name}" for name in missed]
    return metrics


def _verdicts(answer: Answer) -> dict[str, float]:
    grounding = answer.grounding
    if grounding is None or not answer.sentences:
        return {}
    metrics = {
        UNSUPPORTED: grounding.unsupported_sentences / len(answer.sentences),
        GROUNDED: float(grounding.label is GroundingLabel.GROUNDED),
    }
    if answer.model is not None:  # without a model there is no writer whose citations could be judged
        metrics |= {PRECISION: grounding.citation_precision, RECALL: grounding.citation_recall}
    return metrics


def _spent(answer: Answer) -> dict[str, float]:
    """Only what is known: a price or a count that is not known is no 0."""
    usage = answer.usage
    spent = {TOTAL_MS: answer.timings_ms["total"]} if "total" in answer.timings_ms else {}
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        spent[TOKENS] = float(usage.prompt_tokens + usage.completion_tokens)
    if usage.cost_usd is not None:
        spent[COST] = usage.cost_usd
    return spent


def _unsupported(answer: Answer) -> Iterator[str]:
    for sentence in answer.sentences:
        if sentence.support.label in _NOT_SUPPORTED:
            yield " ".join(sentence.text.split())


def mean_of(several: Sequence[Measured]) -> Measured:
    """The repetitions of one case as one: each measure over those that have it, and everything that was wrong once."""
    names = dict.fromkeys(name for one in several for name in one.metrics)
    metrics = {}
    for name in names:
        values = [one.metrics[name] for one in several if name in one.metrics]
        metrics[name] = sum(values) / len(values)
    return Measured(metrics, tuple(dict.fromkeys(text for one in several for text in one.wrong)))
