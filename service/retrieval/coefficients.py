"""The coefficients of relevance: written by `python -m benchmarks.relevance --write`, not by hand.

Fitted on clapnq, movies_ltr, runbooks_kubeprom, runbooks_openshift, scifact, xquad_de, xquad_en,
over mixtures of half covered, a quarter uncovered and a quarter off-topic queries, each collection counting the same.
ALONE: for a search without the lexical leg. docs/quality/relevance.md says how good they are, and where not.
"""

from __future__ import annotations

from service.retrieval.calibration import Calibration, Logistic

GRANITE = Calibration(
    passage=Logistic(-7.95, {"dense": 8.47, "coverage": 2.08, "dense_lead": 20.83, "sparse_lead": 1.79}),
    query=Logistic(
        -11.87, {"top_dense": 12.30, "dense_lead": 6.12, "sparse_lead": 1.23, "best_coverage": 3.33, "agree": 0.45}
    ),
)
GRANITE_ALONE = Calibration(
    passage=Logistic(-9.41, {"dense": 8.99, "coverage": 3.74, "dense_lead": 27.35}),
    query=Logistic(-12.21, {"top_dense": 13.24, "dense_lead": 10.28, "best_coverage": 3.54}),
)
ANY_EMBEDDER = Calibration(
    passage=Logistic(-2.25, {"coverage": 3.36, "dense_lead": 27.39, "sparse_lead": 1.51}),
    query=Logistic(-3.54, {"dense_lead": 14.76, "sparse_lead": 0.70, "best_coverage": 4.38, "agree": 0.88}),
)
ANY_EMBEDDER_ALONE = Calibration(
    passage=Logistic(-3.19, {"coverage": 5.13, "dense_lead": 31.91}),
    query=Logistic(-3.19, {"dense_lead": 20.13, "best_coverage": 4.76}),
)
LEXICAL = Calibration(
    passage=Logistic(-2.33, {"coverage": 2.74, "sparse_lead": 4.17}),
    query=Logistic(-3.62, {"best_coverage": 4.68, "sparse_lead": 3.76}),
)
