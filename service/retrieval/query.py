"""A search as a caller asks for it, checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ingestion.corpus.corpus import EVERYTHING, Selection
from ingestion.errors import InvalidRequest

MAX_QUERY_BYTES = 8_000
MAX_LIMIT = 100
MAX_OFFSET = 1_000


class SearchMode(StrEnum):
    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    KEYWORD = "keyword"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for. `group_by_document` keeps the best passage of each document only.

    `rerank` None is as the settings say.
    Raises: InvalidRequest with the pointer of the part that is out of bounds.
    """

    text: str
    mode: SearchMode = SearchMode.HYBRID
    limit: int = 10
    offset: int = 0
    selection: Selection = EVERYTHING
    group_by_document: bool = False
    highlight: bool = True
    rerank: bool | None = None

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
