"""Golden cases asked of the answerer that serves, each so many times, and its verifier probed with their documents.

What an answer is worth is left to `measuring`, how a verifier is probed to `probing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ingestion.corpus.catalog_reader import DocumentQuery
from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import Document, DocumentStatus
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.generation.answering import collect
from service.generation.answers import Answer, AnswerEvent, AnswerQuery
from service.generation.verification import Verifier
from service.quality import runs
from service.quality.answering.measuring import Measured, mean_of, measure_answer
from service.quality.answering.probing import MOST, Probed, probe, probes_of
from service.quality.bootstrap import estimate
from service.quality.building import Tell
from service.quality.evaluating import GoldenSet
from service.quality.golden import GoldenCase
from service.quality.measures import ANSWER_MEASURES
from service.quality.searching import Target
from service.settings import Policy

_PAGE, _PAGES = 200, 25
"""Documents of cases are looked for among the newest 5,000."""
_MOST_WRONG = 8
_MOST_TEXT = 2_000


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """How answers are asked for. `policy` None: what the settings say. `at_a_time`: questions in progress at once."""

    repeat: int = 1
    policy: Policy | None = None
    at_a_time: int = 2

    def __post_init__(self) -> None:
        if self.repeat < 1 or self.at_a_time < 1:
            raise InvalidRequest("answers are asked for at least once, and at least one at a time")


Answering = Callable[[Scope, AnswerQuery], AsyncIterator[AnswerEvent]]
"""See `Answerer.answer`."""


@dataclass(frozen=True, slots=True)
class Respondent:
    """What answers, and what verifies its answers: the same that users get."""

    answer: Answering
    verifier: Verifier


@dataclass(slots=True)
class _Asked:
    """What came of one case: `answers` in the order in which they came."""

    case: GoldenCase
    measured: list[Measured] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


async def measure_answers(
    respondent: Respondent, target: Target, golden: GoldenSet, plan: AnswerPlan, seed: int, tell: Tell
) -> runs.Answers:
    """The answers to the cases, measured. `tell` hears how many questions were answered.

    Raises: PlumblineError if retrieval fails; a model that fails costs measures, no error.
    """
    asked = await _ask_all(respondent.answer, target, golden, plan, tell)
    probed = await asyncio.to_thread(_probe_all, respondent.verifier, target, golden.cases)
    rows = [_row(one, probed.get(one.case.id)) for one in asked]
    answers = [answer for one in asked for answer in one.answers]
    return runs.Answers(
        model=_names(answer.model for answer in answers),
        prompt=_names(answer.prompt_version for answer in answers),
        grounding=_names(answer.grounding.method if answer.grounding else None for answer in answers) or "none",
        policy=plan.policy or "settings",
        repeat=plan.repeat,
        metrics=_means(rows, seed),
        cases=tuple(rows),
        copied=sum(one.copied for one in probed.values()),
        changed=sum(one.changed for one in probed.values()),
        not_measured=tuple(_not_measured(golden.cases, probed)),
    )


async def _ask_all(
    answering: Answering, target: Target, golden: GoldenSet, plan: AnswerPlan, tell: Tell
) -> list[_Asked]:
    """Repetitions come one after the other, so that a case is not asked twice at once."""
    asked = [_Asked(case) for case in golden.cases]
    total, done = plan.repeat * len(asked), 0
    turn = asyncio.Semaphore(plan.at_a_time)

    async def ask(one: _Asked) -> None:
        nonlocal done
        async with turn:
            query = AnswerQuery(
                one.case.question,
                collections=one.case.collections or target.collections,
                filter=one.case.filter,
                unsupported=plan.policy,
            )
            answer = await collect(answering(target.scope, query))
        one.answers.append(answer)
        one.measured.append(measure_answer(one.case, answer, target.names))
        done += 1
        tell(f"answering {golden.name}", done, total)

    for _ in range(plan.repeat):
        tasks = [asyncio.create_task(ask(one)) for one in asked]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return asked


def _row(asked: _Asked, probed: Probed | None) -> runs.AnswerRow:
    parts = mean_of(asked.measured)
    wrong, metrics = list(parts.wrong[:_MOST_WRONG]), dict(parts.metrics)
    if probed is not None:
        metrics |= probed.measured.metrics
        wrong += probed.measured.wrong
    last = asked.answers[-1]
    text = last.text if last.answered else ""
    return runs.AnswerRow(id=asked.case.id, metrics=metrics, wrong=tuple(wrong), text=text[:_MOST_TEXT])


def _means(rows: Sequence[runs.AnswerRow], seed: int) -> dict[str, runs.Value]:
    """Each measure over the cases that have it."""
    means = {}
    for name in ANSWER_MEASURES:
        values = np.array([row.metrics[name] for row in rows if name in row.metrics])
        if len(values):
            found = estimate(values, seed)
            means[name] = runs.Value(mean=found.mean, low=found.low, high=found.high, n=found.n)
    return means


def _probe_all(verifier: Verifier, target: Target, cases: Sequence[GoldenCase]) -> dict[str, Probed]:
    """Case to what became of its probes; cases that must be refused, and those that say nothing exact, have none."""
    named = {name for case in cases for name in case.judged()}
    documents = _documents(target, named) if named else {}
    found = {}
    for case in cases:
        own = {document.key: document for name in case.judged() for document in documents.get(name, ())}
        drawn = [
            one
            for document in own.values()
            for one in islice(probes_of(case.id, document, target.corpus.generations.chunks(document.key)), MOST)
        ]
        probed = probe(verifier, target.scope, drawn[:MOST])
        if probed is not None:
            found[case.id] = probed
    return found


def _documents(target: Target, names: set[str]) -> Mapping[str, list[Document]]:
    """Name to the documents that it fits."""
    found: dict[str, list[Document]] = {}
    for document in _listed(target.corpus, target.scope):
        for name in names:
            if target.names(document, name):
                found.setdefault(name, []).append(document)
    return found


def _listed(corpus: Corpus, scope: Scope) -> Iterator[Document]:
    cursor: str | None = None
    for _ in range(_PAGES):
        page = corpus.list_documents(scope, DocumentQuery(status=DocumentStatus.INDEXED), cursor=cursor, limit=_PAGE)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _names(values: Iterator[str | None]) -> str | None:
    """Those there are, in alphabetical order."""
    return ", ".join(sorted({value for value in values if value is not None})) or None


def _not_measured(cases: Sequence[GoldenCase], probed: Mapping[str, Probed]) -> Iterator[str]:
    expecting = sum(case.triage is not None for case in cases)
    if expecting:
        yield f"triage: {expecting} cases say what a triage card should, and this version makes no triage cards"
    if not probed and not all(case.must_refuse for case in cases):
        yield "the verifier: none of the documents that the cases name was found, or none says anything exact"
