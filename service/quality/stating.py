"""Whether a text holds a fact of a golden case: letter case and white space aside, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def stated(facts: Iterable[str], texts: Iterable[str]) -> tuple[str, ...]:
    """Those of the facts that stand in one of the texts, in their order."""
    flat = [_flat(text) for text in texts]
    return tuple(fact for fact in facts if any(_flat(fact) in text for text in flat))


def share_stated(facts: Sequence[str], texts: Iterable[str]) -> float | None:
    """Share of the facts that stand in one of the texts; None without facts."""
    return len(stated(facts, texts)) / len(facts) if facts else None


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
