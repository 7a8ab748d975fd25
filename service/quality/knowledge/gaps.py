"""Gaps: what people asked, again and again, and the documents did not tell.

Which questions failed is left to `questions`, which belong together to `clustering`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.records import Document, DocumentKey
from ingestion.corpus.scope import Scope
from service.quality.knowledge.clustering import BACKGROUND, SAME_QUESTION, central, centred, clusters_of
from service.quality.knowledge.questions import Question, Reason, failed_questions
from service.quality.windows import Window

MAX_QUESTIONS = 1_000
"""Different questions that are compared, the most frequent ones: embedding them is what a report costs."""
MAX_EXAMPLES = 5
MAX_TRACES = 10
MAX_DOCUMENTS = 3
_LABEL_CHARS = 300


@dataclass(frozen=True, slots=True)
class Example:
    """One wording of the question, how often it failed, and the trace of the last time."""

    text: str
    count: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class Nearest:
    """A document that was shown for these questions, and how often it was."""

    document: Document
    shown: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions that ask for the same. `label` is the most central of them, `count` how often they failed.

    `questions` counts different wordings, `askers` different keys (None where nobody had one). `shares` say how many
    of the failures were of each kind; one may be of several. `trace_ids` are the newest.
    """

    label: str
    count: int
    questions: int
    askers: int | None
    first_seen: datetime
    last_seen: datetime
    shares: Mapping[Reason, float]
    examples: tuple[Example, ...]
    trace_ids: tuple[str, ...]
    nearest: tuple[Nearest, ...]


@dataclass(frozen=True, slots=True)
class GapReport:
    """The gaps of a window, most frequent first.

    `asked` counts all operations, `failed` those that failed, `without_words` those of them whose words were not
    kept. `questions` counts different ones, `compared` those that were put into groups: where it is less, or
    `complete` is false, the rarest and oldest are missing.
    """

    window: Window
    asked: int
    failed: int
    without_words: int
    questions: int
    compared: int
    complete: bool
    gaps: tuple[Gap, ...]


def find_gaps(corpus: Corpus, scope: Scope, window: Window, collection: str | None = None) -> GapReport:
    """The gaps of the window. Raises: BackendUnavailable if an embedder elsewhere does not answer."""
    import numpy as np

    failed = failed_questions(corpus.database, scope.tenant, window, collection)
    compared = failed.questions[:MAX_QUESTIONS]
    groups: list[list[int]] = []
    vectors = np.empty((0, corpus.embedder.dimension), dtype=np.float32)
    if compared:
        vectors = corpus.embedder.embed_documents([*BACKGROUND, *(question.text for question in compared)])
        vectors = centred(vectors[len(BACKGROUND) :], vectors[: len(BACKGROUND)])
        groups = clusters_of(vectors, SAME_QUESTION)
    groups.sort(key=partial(_rank, compared), reverse=True)
    shown = {key for group in groups for key, _ in _shown([compared[at] for at in group])}
    documents = corpus.get_documents(scope, [DocumentKey(key) for key in shown])
    gaps = []
    for group in groups:
        weights = np.array([len(compared[at].failures) for at in group], dtype=np.float32)
        label = compared[group[central(vectors[group], weights)]].text
        gaps.append(_gap(label, [compared[at] for at in group], documents))
    return GapReport(
        window,
        asked=failed.asked,
        failed=failed.failed,
        without_words=failed.without_words,
        questions=len(failed.questions),
        compared=len(compared),
        complete=failed.complete and len(compared) == len(failed.questions),
        gaps=tuple(gaps),
    )


def _rank(questions: Sequence[Question], group: Sequence[int]) -> tuple[int, datetime]:
    mine = [questions[at] for at in group]
    return sum(len(one.failures) for one in mine), max(one.failures[0].at for one in mine)


def _gap(label: str, questions: Sequence[Question], documents: Mapping[DocumentKey, Document]) -> Gap:
    failures = sorted((one for each in questions for one in each.failures), key=lambda one: one.at, reverse=True)
    askers = {one.asker for one in failures if one.asker is not None}
    reasons = Counter(reason for one in failures for reason in one.reasons)
    often = sorted(questions, key=lambda one: len(one.failures), reverse=True)[:MAX_EXAMPLES]
    known = ((documents.get(DocumentKey(key)), count) for key, count in _shown(questions))
    return Gap(
        label=_short(label),
        count=len(failures),
        questions=len(questions),
        askers=len(askers) or None,
        first_seen=failures[-1].at,
        last_seen=failures[0].at,
        shares={reason: reasons[reason] / len(failures) for reason in Reason if reasons[reason]},
        examples=tuple(Example(_short(one.text), len(one.failures), one.failures[0].trace_id) for one in often),
        trace_ids=tuple(one.trace_id for one in failures[:MAX_TRACES]),
        nearest=tuple(islice((Nearest(found, count) for found, count in known if found), MAX_DOCUMENTS)),
    )


def _shown(questions: Sequence[Question]) -> list[tuple[str, int]]:
    """Keys of the documents that were shown, and how often; first those that stood high and often."""
    times: Counter[str] = Counter()
    weight: Counter[str] = Counter()
    for failure in (one for each in questions for one in each.failures):
        for rank, key in enumerate(failure.documents[: MAX_DOCUMENTS * 2]):
            times[key] += 1
            weight[key] += MAX_DOCUMENTS * 2 - rank
    best = sorted(times, key=lambda key: (-weight[key], key))[: MAX_DOCUMENTS * 3]
    return [(key, times[key]) for key in best]


def _short(text: str) -> str:
    return text if len(text) <= _LABEL_CHARS else text[: _LABEL_CHARS - 1].rstrip() + "\u2026"
