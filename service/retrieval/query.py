"""A search as a caller asks for it, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ingestion.corpus.corpus import EVERYTHING, Selection
from ingestion.errors import InvalidRequest

MAX_QUERY_BYTES = 8_000
MAX_LIMIT = 100
MAX_OFFSET = 1_000
MAX_FACETS = 10
MAX_PREFERRED = 100
MAX_HALF_LIFE_DAYS = 36_500


class SearchMode(StrEnum):
    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    KEYWORD = "keyword"
    EXACT = "exact"


class SortOrder(StrEnum):
    RELEVANCE = "relevance"
    NEWEST = "newest"
    OLDEST = "oldest"


class Highlighting(StrEnum):
    """Which sentence of a hit is shown as its best: none, that with the query's words, or also that of its meaning."""

    OFF = "off"
    WORDS = "words"
    MEANING = "meaning"


@dataclass(frozen=True, slots=True)
class Preference:
    """What to show first among hits that are about as relevant. Weights are from -1 (last) to 1 (first); 0: no matter.

    `freshness_half_life_days`: a document so much older than the newest candidate has half of its advantage.
    Raises: InvalidRequest with the pointer of what is out of bounds.
    """

    freshness_half_life_days: float | None = None
    sources: Mapping[str, float] = field(default_factory=dict)
    collections: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        half_life = self.freshness_half_life_days
        if half_life is not None and not 0 < half_life <= MAX_HALF_LIFE_DAYS:
            detail = f"a half-life must be above 0 and at most {MAX_HALF_LIFE_DAYS} days"
            raise InvalidRequest(detail, pointer="/prefer/freshness_half_life_days")
        for name, weights in (("sources", self.sources), ("collections", self.collections)):
            if len(weights) > MAX_PREFERRED:
                raise InvalidRequest(f"at most {MAX_PREFERRED} {name}", pointer=f"/prefer/{name}")
            for key, weight in weights.items():
                if not (math.isfinite(weight) and -1 <= weight <= 1):
                    raise InvalidRequest("a weight must be from -1 to 1", pointer=f"/prefer/{name}/{key}")

    def __bool__(self) -> bool:
        return bool(self.freshness_half_life_days or self.sources or self.collections)


NO_PREFERENCE = Preference()


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for. `group_by_document` keeps the best passage of each document only.

    `fold` joins passages of different documents that say the same; None folds in every mode but exact, whose hits are
    to be complete. `facets` names what to count documents by. `rerank` None: as the
    settings say. `explain` says of each hit why it stands where it does.
    Raises: InvalidRequest with the pointer of the part that is out of bounds.
    """

    text: str
    mode: SearchMode = SearchMode.HYBRID
    limit: int = 10
    offset: int = 0
    selection: Selection = EVERYTHING
    group_by_document: bool = False
    highlight: bool | Highlighting = True
    sort: SortOrder = SortOrder.RELEVANCE
    fold: bool | None = None
    facets: tuple[str, ...] = ()
    prefer: Preference = NO_PREFERENCE
    rerank: bool | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidRequest("the query is empty", pointer="/query")
        # Lone surrogates can't be encoded; they count as the three bytes they would take.
        if len(self.text.encode("utf-8", "surrogatepass")) > MAX_QUERY_BYTES:
            raise InvalidRequest(f"the query is longer than {MAX_QUERY_BYTES} bytes", pointer="/query")
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidRequest(f"limit must be from 1 to {MAX_LIMIT}", pointer="/limit")
        if not 0 <= self.offset <= MAX_OFFSET:
            raise InvalidRequest(f"offset must be from 0 to {MAX_OFFSET}", pointer="/offset")
        if len(self.facets) > MAX_FACETS:
            raise InvalidRequest(f"at most {MAX_FACETS} facets", pointer="/facets")

    @property
    def folds(self) -> bool:
        """Whether passages that say the same are joined."""
        return self.mode is not SearchMode.EXACT if self.fold is None else self.fold

    @property
    def highlighting(self) -> Highlighting:
        if isinstance(self.highlight, Highlighting):
            return self.highlight
        return Highlighting.WORDS if self.highlight else Highlighting.OFF
