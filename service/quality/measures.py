"""What a gate knows of each measure: which way is worse, and how far it may go there. One table for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RETRIEVAL_TOLERANCE = 0.005


@dataclass(frozen=True, slots=True)
class Measure:
    """`tolerance` is in the measure's own unit, or, if `relative`, a share of the baseline's mean.

    None: shown, and gated only where a tolerance is given for it. `about` is for people.
    """

    about: str
    tolerance: float | None
    higher_is_better: bool = True
    relative: bool = False


ANSWERED, REFUSED = "answered", "refused"
FACTS, FORBIDDEN_FREE = "fact_recall", "forbidden_free"
RIGHT_DOCUMENT, MUST_CITE = "right_document", "must_cite"
UNSUPPORTED, GROUNDED = "unsupported", "grounded"
PRECISION, RECALL = "citation_precision", "citation_recall"
DEGRADED = "degraded"
PROBE_CAUGHT, PROBE_KEPT = "probe_caught", "probe_kept"
TOKENS, COST, TOTAL_MS = "tokens", "cost_usd", "total_ms"

ANSWER_MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        ANSWERED: Measure("answered, of the cases that have an answer", 0.02),
        REFUSED: Measure("refused, of the cases that must be refused", 0.02),
        FACTS: Measure("share of the expected facts in the answer; a refusal holds none", 0.02),
        FORBIDDEN_FREE: Measure("answers without a forbidden fact", 0.0),
        RIGHT_DOCUMENT: Measure("a relevant document is cited", 0.02),
        MUST_CITE: Measure("share of the documents that must be cited that a sentence cites", 0.02),
        UNSUPPORTED: Measure("share of an answer's sentences that the sources don't support", 0.02, False),
        GROUNDED: Measure("answers of which every sentence is supported", 0.02),
        PRECISION: Measure("share of the writer's own citations that support their sentence", 0.02),
        RECALL: Measure("share of the sentences that the writer's own citations wholly support", 0.02),
        DEGRADED: Measure("answers given in a degraded way", 0.02, False),
        PROBE_CAUGHT: Measure("sentences with one exact fact changed that the verifier does not call supported", 0.01),
        PROBE_KEPT: Measure("sentences copied from the sources that the verifier calls supported", 0.01),
        TOKENS: Measure("tokens of an answer, read and written", None, False, True),
        COST: Measure("cost of an answer in USD", None, False, True),
        TOTAL_MS: Measure("time of an answer in ms", None, False, True),
    }
)


def measure_named(name: str) -> Measure:
    """What is known of that measure; those of retrieval are all better when higher."""
    return ANSWER_MEASURES.get(name) or Measure("of retrieval", RETRIEVAL_TOLERANCE)
