"""The judged responses of ragtruth_qa, cut into the product's sentences, and the fold of each question."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.generation.checking.evidence import Evidence, Reader
from service.generation.checking.sentences import ITEM, units_of

FOLDS = 5
HELD_OUT = 0


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text` without the list marker; `wrong` are the characters of it that a person marked as made up."""

    text: str
    start: int
    wrong: frozenset[int]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer to a question over three passages. Who wrote it is not read: it must not be known to a verifier."""

    source: str
    question: str
    passages: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    wrong: bool

    def evidence(self, reader: Reader) -> list[Evidence]:
        return [Evidence(reader, passage) for passage in self.passages]


def load_responses(path: Path) -> list[Response]:
    """All responses of the file, in its order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [_response(json.loads(line)) for line in lines]


def folds(responses: Sequence[Response]) -> dict[str, int]:
    """Fold of each question: by the hash of its id, so that all answers to a question lie in one."""
    sources = sorted({response.source for response in responses}, key=lambda s: hashlib.sha256(s.encode()).hexdigest())
    return {source: at % FOLDS for at, source in enumerate(sources)}


def _response(row: dict[str, object]) -> Response:
    text = str(row["response"])
    labels = row["labels"]
    passages = row["passages"]
    assert isinstance(labels, list)
    assert isinstance(passages, list)
    marked = {at for label in labels for at in range(label["start"], label["end"])}
    sentences = []
    for unit in units_of(text):
        marker = ITEM.match(text, unit.start)
        start = marker.end() if marker and marker.end() < unit.end else unit.start
        wrong = frozenset(marked.intersection(range(unit.start, unit.end)))
        sentences.append(Sentence(text[start : unit.end], start, wrong))
    return Response(
        source=str(row["source_id"]),
        question=str(row["question"]),
        passages=tuple(passages),
        sentences=tuple(sentences),
        wrong=bool(row["hallucinated"]),
    )
