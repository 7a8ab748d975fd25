"""What a search shows is ranked as a reader sees it; queries are embedded once; quotes are found where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ingestion.corpus.corpus import Corpus
from ingestion.corpus.scope import Scope, TenantId
from service.quality.golden import GoldenCase, GoldenPassage
from service.quality.searching import Depths, RememberedQueries, Runner, Target
from service.retrieval.query import SearchMode, SearchQuery
from service.retrieval.results import Passage, SearchResult
from service.retrieval.search import Searcher
from tests.service.retrieval_parts import indexed, passage, result

SCOPE = Scope(TenantId("default"))
CASE = GoldenCase(id="q", question="how?", relevant_documents=("b", "e"))


class Scripted:
    """Answers a search for a page with one list, a deeper one with another."""

    def __init__(self, page: Sequence[Passage], deep: Sequence[Passage]) -> None:
        self.page, self.deep = page, deep
        self.limits: list[int] = []

    def search(self, scope: Scope, query: SearchQuery) -> SearchResult:
        self.limits.append(query.limit)
        return result(*(self.page if query.limit == 2 else self.deep))


def run(searcher: Scripted, case: GoldenCase = CASE, mode: SearchMode = SearchMode.HYBRID) -> tuple[str, ...]:
    target = Target(cast(Corpus, None), cast(Searcher, searcher), SCOPE, by_id=True)
    (found,) = Runner(target, Depths(page=2, whole=4, threads=1)).run([case], mode, lambda: None)
    return tuple(name if len(name) == 1 else name[-1] for name in found.ranked)


def test_a_ranking_begins_with_the_page_as_it_is_served() -> None:
    page = [passage("c", "c"), passage("a", "a")]
    deep = [passage(name, name) for name in "abcde"]

    assert run(Scripted(page, deep)) == ("c", "a", "b", "d")


def test_a_leg_is_searched_once() -> None:
    searcher = Scripted([], [passage(name, name) for name in "abcd"])

    assert run(searcher, mode=SearchMode.KEYWORD) == ("a", "b", "c", "d")
    assert searcher.limits == [4]


def test_what_was_folded_stands_behind_its_twin() -> None:
    twins = replace(passage("a", "same"), duplicates=(indexed("e", "same"), indexed("b", "same")))

    assert run(Scripted([twins, passage("c", "c")], [])) == ("a", "e", "b", "c")


def test_a_name_stands_for_one_document() -> None:
    case = GoldenCase(id="q", question="how?", relevant_documents=("a.md",))
    searcher = Scripted([passage("a", "a"), replace(passage("b", "b"), indexed=indexed("a", "a again"))], [])
    target = Target(cast(Corpus, None), cast(Searcher, searcher), SCOPE)

    (found,) = Runner(target, Depths(page=2, whole=2, threads=1)).run([case], SearchMode.HYBRID, lambda: None)

    assert found.ranked == ("a.md",)


@pytest.mark.parametrize(("start", "end", "share"), [(0, 5, 1.0), (4, 9, 1.0), (5, 9, 0.0)])
def test_a_relevant_passage_is_shown_where_it_overlaps(start: int, end: int, share: float) -> None:
    case = GoldenCase(id="q", question="how?", relevant_passages=(GoldenPassage(document="a", start=start, end=end),))
    target = Target(cast(Corpus, None), cast(Searcher, Scripted([passage("a", "01234")], [])), SCOPE, by_id=True)

    (found,) = Runner(target, Depths(page=2, whole=2, threads=1)).run([case], SearchMode.HYBRID, lambda: None)

    assert found.passages == share


def test_a_query_is_embedded_once() -> None:
    class Counting:
        name, dimension, max_tokens, calls = "counting", 2, 10, 0

        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            return [len(text) for text in texts]

        def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.ones((len(texts), 2), dtype=np.float32)

        def embed_query(self, text: str) -> NDArray[np.float32]:
            self.calls += 1
            return np.full(2, len(text), dtype=np.float32)

        def close(self) -> None: ...

    counting = Counting()
    remembered = RememberedQueries(counting)

    vectors = [remembered.embed_query(text) for text in ("one", "three", "one")]

    assert counting.calls == 2
    assert [float(vector[0]) for vector in vectors] == [3.0, 5.0, 3.0]
    assert (remembered.name, remembered.dimension, remembered.max_tokens) == ("counting", 2, 10)
