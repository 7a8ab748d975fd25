"""Groups of texts that ask for the same, by the cosine of their vectors.

A model's vectors of any two texts point much the same way, how much differs from model to model, and questions of one
field share more. So what all of them share is taken away first. Then average linkage: two groups become one while the
mean cosine over all their pairs is at least a threshold. (Sokal and Michener, 1958, with the update of Lance and
Williams, 1967.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAME_QUESTION = 0.5
"""Mean cosine of `centred` vectors from which questions are one gap; docs/quality/gaps.md has what it was chosen by."""

BACKGROUND = (
    "How do I reset my password?",
    "Which port does the database listen on?",
    "What does error code 5021 mean?",
    "Where is the invoice for last month?",
    "Who is on call this weekend?",
    "The application crashes when I upload a file",
    "opening hours of the office",
    "deploy a new version to production",
    "Can a customer cancel an order after it was shipped?",
    "disk full on the server",
    "How long are log files kept?",
    "certificate expired",
    "request access for a new colleague",
    "What is the difference between the two plans?",
    "slow queries after the upgrade",
    "How much does delivery to another country cost?",
)
"""Questions of many kinds: what they share is the model's, not the subject's. They count where few were asked."""


def centred(vectors: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors, `(n, dim)`, without what they and the background share; L2-normalised."""
    import numpy as np

    away = vectors - np.vstack([vectors, background]).mean(axis=0)
    unit: NDArray[np.float32] = away / np.maximum(
        np.linalg.norm(away, axis=1, keepdims=True), np.finfo(np.float32).tiny
    )
    return unit


def clusters_of(vectors: NDArray[np.float32], threshold: float) -> list[list[int]]:
    """Indexes of the rows, `(n, dim)` and L2-normalised, in groups; every row is in one. O(n^2) in time and memory."""
    import numpy as np

    count = len(vectors)
    if count == 0:
        return []
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    groups: dict[int, list[int]] = {row: [row] for row in range(count)}
    nearest = cosines.argmax(axis=1)
    best = cosines[np.arange(count), nearest]
    for _ in range(count - 1):
        one = int(best.argmax())
        if best[one] < threshold:
            break
        other = int(nearest[one])
        sizes = len(groups[one]), len(groups[other])
        merged = (sizes[0] * cosines[one] + sizes[1] * cosines[other]) / (sizes[0] + sizes[1])
        merged[one] = merged[other] = -np.inf
        cosines[one, :] = cosines[:, one] = merged
        cosines[other, :] = cosines[:, other] = -np.inf
        best[other] = -np.inf
        groups[one] += groups.pop(other)
        # A mean is never above both of its parts, so only rows that were nearest to one of the two look again.
        for row in (one, *np.flatnonzero((nearest == one) | (nearest == other))):
            if best[row] > -np.inf or row == one:
                nearest[row] = cosines[row].argmax()
                best[row] = cosines[row, nearest[row]]
    return list(groups.values())


def central(vectors: NDArray[np.float32], weights: NDArray[np.float32]) -> int:
    """The row that is nearest to all others on average; each counts as often as its weight says."""
    return int((vectors @ (vectors * weights[:, None]).sum(axis=0)).argmax())
