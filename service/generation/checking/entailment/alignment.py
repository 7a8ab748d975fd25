"""What the embedder's tokens tell of a sentence: how near each comes to one of its passages or of the question, and how
rare its new words are. `wet` is near `damp`, which no stem shows. Tokens and vectors come from the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

NAMES = (
    "nearness", "nearness_asked", "farthest", "farthest_quarter", "farthest_three", "farthest_stretch",
    "farthest_long_stretch", "distance", "new_nearness", "new_farthest", "new_distance", "spread",
    "new_rarity", "rarest_new", "mean_new_rarity", "new_common", "new_rare", "new_tokens",
)  # fmt: skip
"""Names of the features, in the order of `alignment_features` and then `rarity_features`."""

_SAME = 0.999
"""Nearness from which two tokens are one."""
_STRETCH, _LONG_STRETCH = 3, 7
_COMMON, _RARE = 2000, 8000
"""Places in the vocabulary before which a word is common, and behind which it is rare."""
_LEAST_RANK = 10.0
_LOG_LEAST = 0.0


def unit_rows(vectors: Vectors) -> Vectors:
    """The rows, each of length one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit


def alignment_features(sentence: Vectors, passages: Vectors, question: Vectors) -> list[float]:
    """How near, from rows of length one, a row per token; all at their best without a token."""
    if not len(sentence):
        return [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    said = _nearest(sentence, passages)
    near = np.maximum(said, _nearest(sentence, question))
    far = 1 - near
    new = said[said < _SAME]
    ranked = np.sort(near)
    values = (
        said.mean(),
        near.mean(),
        ranked[0],
        ranked[: max(1, len(ranked) // 4)].mean(),
        ranked[:3].mean(),
        _stretch(far, _STRETCH),
        _stretch(far, _LONG_STRETCH),
        far.sum(),
        new.mean() if len(new) else 1.0,
        new.min() if len(new) else 1.0,
        (1 - new).sum(),
        np.sqrt((far**2).mean()),
    )
    return [float(value) for value in values]


def rarity_features(new: Sequence[Sequence[int]]) -> list[float]:
    """How rare the new words are, from the tokens of each: a byte-pair vocabulary is in the order of frequency."""
    first = np.array([tokens[0] for tokens in new if tokens], dtype=np.float64)
    if not len(first):
        return [_LOG_LEAST, _LOG_LEAST, _LOG_LEAST, 0.0, 0.0, 0.0]
    ranks = np.log(first + _LEAST_RANK)
    values = (ranks.sum(), ranks.max(), ranks.mean(), (first < _COMMON).sum(), (first > _RARE).sum())
    return [*map(float, values), float(sum(map(len, new)))]


def _nearest(sentence: Vectors, others: Vectors) -> Vectors:
    """Cosine of each token's nearest among the others; 0 where there are none."""
    if not len(others):
        return np.zeros(len(sentence), dtype=np.float32)
    nearest: Vectors = (sentence @ others.T).max(axis=1)
    return nearest


def _stretch(far: Vectors, size: int) -> float:
    """The largest mean distance of `size` neighbouring tokens, or of all if there are fewer."""
    if len(far) < size:
        return float(far.mean())
    return float(np.convolve(far, np.ones(size) / size, "valid").max())
