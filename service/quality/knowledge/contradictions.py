"""Documents that contradict each other on a number, a command or another exact fact.

Passages of different documents that lie near each other in the vector space are compared statement by statement;
when two statements contradict each other is left to `statements`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import ChunkId, Document, DocumentKey, Span, chunk_id
from ingestion.corpus.scope import Scope
from service.generation.checking.evidence import Reader
from service.quality.knowledge.statements import NEARLY_ALL, Conflict, Reading, Statement, conflict_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEIGHBOURS = 8
"""Passages of other documents that each passage is compared with, the nearest ones."""
NEAR = 0.35
"""Cosine, without what all passages share, from which two are compared."""
MAX_CHUNKS = 20_000
MAX_SECONDS = 60.0
_FORM = 4
"""Documents that may say the same but for its facts; in more it is a form that each fills in for itself."""
_FEW = 50
"""Passages whose mean says as much about them as about the model: of fewer, less of it is taken away."""
_READ = 500
_BLOCK = 1_000

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One side of a contradiction: a sentence of a document, with its place in the document's text."""

    document: Document
    text: str
    span: Span
    heading_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two documents that say the same but for one fact. `similarity` of the passages, a cosine, orders them."""

    conflict: Conflict
    one: Source
    other: Source
    similarity: float


@dataclass(frozen=True, slots=True)
class Contradictions:
    """`chunks` and `pairs` were compared; `complete`: nothing was left out for time or size."""

    found: tuple[Contradiction, ...]
    chunks: int
    pairs: int
    complete: bool


def find_contradictions(
    view: CorpusView,
    scope: Scope,
    documents: Sequence[Document],
    tell: Progress | None = None,
    *,
    seconds: float = MAX_SECONDS,
) -> Contradictions:
    """The contradictions between these documents, the nearest passages first. Raises: BackendUnavailable."""
    tell = tell or (lambda *_: None)
    until = monotonic() + seconds
    ids, owners, whole = _chunks_of(documents)
    vectors = _vectors(view, scope, ids, tell)
    known = [at for at, id_ in enumerate(ids) if id_ in vectors]
    ids, owners = [ids[at] for at in known], [owners[at] for at in known]
    pairs = list(_neighbours([vectors[id_] for id_ in ids], owners)) if len(set(owners)) > 1 else []
    comparing = _Comparing(view, scope)
    compared = 0
    for start in range(0, len(pairs), _READ):
        if monotonic() > until:
            break
        part = pairs[start : start + _READ]
        comparing.read(list(dict.fromkeys(ids[at] for one, other, _ in part for at in (one, other))))
        for one, other, similarity in part:
            comparing.compare(ids[one], ids[other], similarity)
        compared += len(part)
        tell("comparing passages", compared, len(pairs))
    return Contradictions(comparing.result(), len(ids), compared, whole and compared == len(pairs))


def _chunks_of(documents: Sequence[Document]) -> tuple[list[ChunkId], list[DocumentKey], bool]:
    """Ids of the live chunks and the document of each, of whole documents; false if there are too many."""
    ids: list[ChunkId] = []
    owners: list[DocumentKey] = []
    for document in documents:
        if document.version is None:
            continue
        if len(ids) + document.chunk_count > MAX_CHUNKS:
            return ids, owners, False
        ids += [chunk_id(document.key, document.version, position) for position in range(document.chunk_count)]
        owners += [document.key] * document.chunk_count
    return ids, owners, True


def _vectors(
    view: CorpusView, scope: Scope, ids: Sequence[ChunkId], tell: Progress
) -> dict[ChunkId, NDArray[np.float32]]:
    found: dict[ChunkId, NDArray[np.float32]] = {}
    for start in range(0, len(ids), _READ):
        found |= view.vectors(scope, ids[start : start + _READ])
        tell("reading vectors", start, len(ids))
    return found


def _neighbours(
    vectors: Sequence[NDArray[np.float32]], owners: Sequence[DocumentKey]
) -> Iterator[tuple[int, int, float]]:
    """Pairs of passages of different documents that are near, each once: the nearest first."""
    import numpy as np

    matrix = np.stack(vectors)
    matrix -= matrix.sum(axis=0) / (len(matrix) + _FEW)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(owners))}
    owner = np.array([numbers[key] for key in owners])
    most = min(NEIGHBOURS, len(matrix) - 1)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(matrix), _BLOCK):
        cosines = matrix[start : start + _BLOCK] @ matrix.T
        cosines[owner[start : start + _BLOCK, None] == owner[None, :]] = -1
        best = np.argpartition(cosines, -most, axis=1)[:, -most:]
        for row, columns in enumerate(best):
            for column in columns:
                if (cosine := float(cosines[row, column])) >= NEAR:
                    one, other = sorted((start + row, int(column)))
                    found[one, other] = cosine
    yield from sorted(((one, other, cosine) for (one, other), cosine in found.items()), key=lambda pair: -pair[2])


class _Comparing:
    """Reads each passage once and collects what contradicts."""

    def __init__(self, view: CorpusView, scope: Scope) -> None:
        self._view = view
        self._scope = scope
        self._reader = Reader()
        self._readings: dict[ChunkId, Reading] = {}
        self._found: dict[tuple[DocumentKey, DocumentKey, str, str], tuple[Contradiction, frozenset[str]]] = {}

    def read(self, ids: Sequence[ChunkId]) -> None:
        new = [id_ for id_ in ids if id_ not in self._readings]
        for start in range(0, len(new), _READ):
            chunks = self._view.get_chunks(self._scope, new[start : start + _READ])
            self._readings |= {id_: Reading(self._reader, chunk) for id_, chunk in chunks.items()}

    def compare(self, one: ChunkId, other: ChunkId, similarity: float) -> None:
        """Compare all statements of two passages; one that went meanwhile says nothing."""
        first, second = self._readings.get(one), self._readings.get(other)
        if first is None or second is None:
            return
        # What both say to the letter is compared with nothing else.
        same = {flat(each.text) for each in first.statements} & {flat(each.text) for each in second.statements}
        told = [
            (said, meant, conflict)
            for said in first.statements
            if flat(said.text) not in same
            for meant in second.statements
            if flat(meant.text) not in same and (conflict := conflict_of(said, meant)) is not None
        ]
        sides = Counter(id(side) for said, meant, _ in told for side in (said, meant))
        for said, meant, conflict in told:
            # Against several sentences of the other passage: that one lists variants.
            if sides[id(said)] == 1 and sides[id(meant)] == 1:
                keys = (first.chunk.document.key, second.chunk.document.key)
                found = Contradiction(conflict, _source(said), _source(meant), similarity)
                self._found.setdefault((*keys, conflict.one, conflict.other), (found, said.form))

    def result(self) -> tuple[Contradiction, ...]:
        """What was found but for forms."""
        kept = [each for each, form in self._found.values() if not self._is_form(form)]
        return tuple(sorted(kept, key=lambda each: -each.similarity))

    def _is_form(self, form: frozenset[str]) -> bool:
        """Whether many documents say the same, each with values of its own."""
        owners = set()
        for reading in self._readings.values():
            for statement in reading.statements:
                shared = len(form & statement.form)
                if shared >= NEARLY_ALL * max(len(form), len(statement.form)):
                    owners.add(reading.chunk.document.key)
        return len(owners) >= _FORM


def _source(statement: Statement) -> Source:
    chunk = statement.passage.chunk
    return Source(chunk.document, statement.text, Span(statement.start, statement.end), tuple(chunk.chunk.heading_path))


def flat(text: str) -> str:
    return " ".join(text.split())
