"""What retrieval returns: passages with a calibrated score, and how relevant the whole result is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ingestion.corpus.records import ChunkId, IndexedChunk, Span
from service.retrieval.candidates import Candidates
from service.retrieval.explanations import HitExplanation, QueryExplanation, RerankExplanation
from service.retrieval.fusion import Weights
from service.retrieval.reranking.reranker import RerankOutcome, RerankSkip


@dataclass(frozen=True, slots=True)
class LegScores:
    """Raw scores: `dense` a cosine, `sparse` BM25, `rerank` as the reranker gives it. None: that leg missed it."""

    dense: float | None = None
    sparse: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk returned to a reader. `score` is the calibrated probability in [0, 1] that it is relevant.

    `highlights` and `best_sentence` are spans into the document's text, inside the chunk's own span. `duplicates` say
    the same in other documents. `others`: further passages of this document among the candidates, if hits are grouped.
    """

    indexed: IndexedChunk
    score: float
    scores: LegScores = LegScores()
    highlights: tuple[Span, ...] = ()
    best_sentence: Span | None = None
    duplicates: tuple[IndexedChunk, ...] = ()
    others: int = 0
    explanation: HitExplanation | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """When something was at one stage: two readings of `perf_counter`."""

    stage: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class SearchTrail:
    """What the stages of a search left behind, for whoever keeps a record of it; nothing is computed for that.

    `kind` is the query's class by its form, `fitted` the collection whose weights these are (None: they hold anywhere).
    `candidates` are in the order in which they were to be shown; `reranked` are the scores of the second look.
    """

    kind: str
    embedder: str
    weights: Weights
    fitted: str | None
    candidates: Candidates
    reranked: Mapping[ChunkId, RerankExplanation]
    segments: tuple[Segment, ...] = ()


class RelevanceLabel(StrEnum):
    STRONG = "strong"
    WEAK = "weak"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RelevanceSignals:
    """`top_score` and `margin` (to the next document) are scores; `lexical_coverage` is the share of the
    query's weighted terms that the best passages contain; `legs_agree` whether both legs rank one document first.
    """

    top_score: float = 0.0
    margin: float = 0.0
    lexical_coverage: float = 0.0
    legs_agree: bool = False


@dataclass(frozen=True, slots=True)
class Relevance:
    """Whether the corpus holds anything about the query; `confidence` is the probability that it does."""

    label: RelevanceLabel
    confidence: float
    signals: RelevanceSignals = RelevanceSignals()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages best first; `total` counts all that matched, `timings_ms` the stages.

    `complete`: there are no more than `total`. `index_version` names the generation of the corpus that was searched.
    `rerank`: whether there was a second look. `corrections`: misspelt words with what was looked for as well.
    """

    passages: tuple[Passage, ...]
    relevance: Relevance
    total: int
    facets: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    index_version: str = ""
    complete: bool = True
    rerank: RerankOutcome = field(default_factory=lambda: RerankOutcome(skipped=RerankSkip.OFF))
    explanation: QueryExplanation | None = None
    corrections: tuple[tuple[str, str], ...] = ()
    trail: SearchTrail | None = None
