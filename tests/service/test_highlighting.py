"""Highlights lie inside their chunk, never overlap, and cover what was asked."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.records import Span
from ingestion.corpus.sparse import SparseEncoder
from service.retrieval.highlighting import QueryTerms, highlight, merge
from tests.service.retrieval_parts import chunk_of

ENCODER = SparseEncoder()
WORDS = (
    "restart",
    "restarting",
    "gateway",
    "Gateways",
    "the",
    "GH-5021",
    "node_cpu",
    "café",
    "İstanbul",
    "ß",
    "a.b.c",
    "42",
)
texts = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=30).map(" ".join)


@given(query=texts, text=texts, start=st.integers(0, 1000), phrases=st.lists(st.sampled_from(WORDS), max_size=2))
def test_spans_are_inside_the_chunk_disjoint_and_hold_a_query_term(
    query: str, text: str, start: int, phrases: list[str]
) -> None:
    chunk = chunk_of(text, start)
    spans = highlight(chunk, QueryTerms(query, ENCODER), phrases)
    terms = set(ENCODER.terms(query)) | {term for word in query.split() for term in ENCODER.terms(word)}

    assert all(chunk.span.contains(span) and span.end > span.start for span in spans)
    assert all(before.end < after.start for before, after in itertools.pairwise(spans))
    for span in spans:
        found = text[span.start - start : span.end - start]
        is_phrase = any(phrase.casefold() in found.casefold() for phrase in phrases)
        assert is_phrase or QueryTerms(query, ENCODER).matched(found) or terms & set(ENCODER.terms(found))


def test_other_forms_of_a_word_are_highlighted() -> None:
    chunk = chunk_of("Restarting gateways: the gateway restarts itself.", 10)

    spans = highlight(chunk, QueryTerms("restart the gateway", ENCODER))

    found = [chunk.text[span.start - 10 : span.end - 10] for span in spans]
    assert found == ["Restarting", "gateways", "gateway", "restarts"]


def test_stop_words_are_not_highlighted_and_phrases_ignore_case() -> None:
    chunk = chunk_of("The code GH-5021 is what the Gateway returns.")

    assert highlight(chunk, QueryTerms("what is the", ENCODER)) == ()
    assert highlight(chunk, None, ("gh-5021 IS",)) == (Span(9, 19),)


def test_parts_of_an_identifier_match() -> None:
    terms = QueryTerms("crash looping", ENCODER)

    assert terms.matched("KubePodCrashLooping") == terms.terms


def test_touching_and_nested_ranges_become_one() -> None:
    assert list(merge([(5, 9), (0, 3), (3, 5), (6, 7), (12, 12), (20, 21)])) == [(0, 9), (20, 21)]
