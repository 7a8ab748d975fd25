"""The coefficients of relevance: written by `python -m benchmarks.relevance --write`, not by hand.

Fitted on clapnq, movies_ltr, runbooks_kubeprom, runbooks_openshift, scifact, xquad_de, xquad_en,
over mixtures of half covered, a quarter uncovered and a quarter off-topic queries, each collection counting the same.
ALONE: for a search without the lexical leg. docs/quality/relevance.md says how good they are, and where not.
"""

from __future__ import annotations

from service.retrieval.calibration import Calibration, Logistic

GRANITE = Calibration(
    passage=Logistic(-7.98, {"dense": 8.49, "coverage": 2.20, "dense_lead": 18.02, "sparse_lead": 2.13}),
    query=Logistic(
        -11.86, {"top_dense": 12.07, "dense_lead": 6.12, "sparse_lead": 1.05, "best_coverage": 3.45, "agree": 0.61}
    ),
)
GRANITE_ALONE = Calibration(
    passage=Logistic(-9.6, {"dense": 9.23, "coverage": 3.73, "dense_lead": 27.26}),
    query=Logistic(-12.47, {"top_dense": 13.40, "dense_lead": 9.81, "best_coverage": 3.80}),
)
ANY_EMBEDDER = Calibration(
    passage=Logistic(-2.3, {"coverage": 3.45, "dense_lead": 24.96, "sparse_lead": 1.78}),
    query=Logistic(-3.68, {"dense_lead": 15.37, "sparse_lead": 0.16, "best_coverage": 4.30, "agree": 1.19}),
)
ANY_EMBEDDER_ALONE = Calibration(
    passage=Logistic(-3.16, {"coverage": 4.90, "dense_lead": 32.04}),
    query=Logistic(-3.29, {"dense_lead": 19.83, "best_coverage": 4.85}),
)
LEXICAL = Calibration(
    passage=Logistic(-2.17, {"coverage": 2.39, "sparse_lead": 4.45}),
    query=Logistic(-3.89, {"best_coverage": 4.98, "sparse_lead": 3.65}),
)
