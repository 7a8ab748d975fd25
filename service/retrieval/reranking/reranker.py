"""Candidates scored by a reranker within a time budget, never with an error. What scores are made of is each
reranker's own room, where they go in a result is `search`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Protocol, TypeVar

T = TypeVar("T")

MAX_PASSAGE_CHARS = 8_000
"""A passage is cut here: far beyond what any reranker reads of it, and a bound on what is sent to an endpoint."""


class RerankSkip(StrEnum):
    """Why candidates were not reranked. Stable: shown in `rerank.reason` of a response."""

    OFF = "off"
    NOT_ASKED = "not_asked"
    EXACT_MODE = "exact_mode"
    NOTHING_TO_ORDER = "nothing_to_order"
    OUT_OF_TIME = "out_of_time"
    UNREACHABLE = "endpoint_unreachable"
    RATE_LIMITED = "endpoint_rate_limited"
    REFUSED = "endpoint_refused"
    SERVER_ERROR = "endpoint_server_error"
    RESTING = "endpoint_resting"
    MALFORMED = "malformed_reply"
    NOT_FINITE = "score_not_finite"
    MODEL_FAILED = "model_failed"


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the first `len(values)` passages, the higher the better; `stopped` says why the others have none."""

    values: tuple[float, ...] = ()
    stopped: RerankSkip | None = None


class Reranker(Protocol):
    """Implementations are safe to call from several threads, and raise nothing: what goes wrong is in `Scored`."""

    @property
    def name(self) -> str:
        """What scores, for instance `cross-encoder/ms-marco-MiniLM-L6-v2@5d2f…`."""
        ...

    @property
    def probabilities(self) -> bool:
        """Whether scores are known to be in [0, 1]. Calibrated on this corpus they are not in any case."""
        ...

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Scored:
        """Scores in the reranker's own scale, of all passages or of the first few. `deadline` is a `monotonic` time."""
        ...

    def close(self) -> None: ...


class NoReranker:
    """No second look: the order stays as it is."""

    @property
    def name(self) -> str:
        return "none"

    @property
    def probabilities(self) -> bool:
        return False

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Scored:
        return Scored(stopped=RerankSkip.OFF)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class RerankOutcome:
    """What a rerank gave. `scores` belong to the first `len(scores)` candidates; the others keep their order behind.

    `skipped` says why there are none, or no more of them: None when every candidate was scored.
    """

    scores: tuple[float, ...] = ()
    skipped: RerankSkip | None = None
    elapsed_ms: float = 0.0

    @property
    def applied(self) -> bool:
        """Whether the order may have changed."""
        return bool(self.scores)


def rerank(reranker: Reranker, query: str, passages: Sequence[str], budget_ms: float) -> RerankOutcome:
    """The scores that the reranker gives to the candidates within the budget; never an error.

    `passages` are the candidates, best first and already bounded in number. Part of them reranked is fine if it is
    the head: those were the likeliest, and what follows stays behind them. Scores that are not finite numbers, or
    more than there are passages, count as none at all: nothing from such a reply is trusted.
    """
    started = monotonic()
    if len(passages) < 2:
        return RerankOutcome(skipped=RerankSkip.NOTHING_TO_ORDER)
    texts = [_sendable(text[:MAX_PASSAGE_CHARS]) for text in passages]
    scored = reranker.score(_sendable(query), texts, started + budget_ms / 1e3)
    elapsed_ms = (monotonic() - started) * 1e3
    if len(scored.values) > len(passages):
        return RerankOutcome(skipped=RerankSkip.MALFORMED, elapsed_ms=elapsed_ms)
    if not all(math.isfinite(value) for value in scored.values):
        return RerankOutcome(skipped=RerankSkip.NOT_FINITE, elapsed_ms=elapsed_ms)
    if len(scored.values) < 2:  # one score alone orders nothing
        return RerankOutcome(skipped=scored.stopped or RerankSkip.MALFORMED, elapsed_ms=elapsed_ms)
    return RerankOutcome(scored.values, scored.stopped, elapsed_ms)


def _sendable(text: str) -> str:
    """The text with a `?` for every half of a surrogate pair: tokenizers and UTF-8 take none."""
    return text.encode("utf-8", "replace").decode()


def reorder(candidates: Sequence[T], outcome: RerankOutcome) -> list[T]:
    """The scored head by its scores, ties in the order that it had; then all others as they were."""
    scores = outcome.scores
    head = sorted(range(len(scores)), key=lambda position: -scores[position])
    return [candidates[position] for position in head] + list(candidates[len(scores) :])
