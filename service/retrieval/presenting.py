"""What a hit says to a reader: where its words stand, and its best sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ingestion.corpus.corpus import CorpusView
from ingestion.corpus.records import IndexedChunk, Span
from service.retrieval.highlighting import marks_of, spans_of
from service.retrieval.query import Highlighting, SearchMode, SearchQuery
from service.retrieval.sentences import best_by_meaning, best_by_words, in_order_of_words, sentences_of
from service.retrieval.understanding import Understood


@dataclass(frozen=True, slots=True)
class Shown:
    """The marks of one passage, as spans into its document's text."""

    highlights: tuple[Span, ...] = ()
    best_sentence: Span | None = None


def show(
    corpus: CorpusView,
    query: SearchQuery,
    understood: Understood,
    passages: Sequence[IndexedChunk],
    weights: Mapping[str, float],
) -> list[Shown]:
    """The marks of the passages of a page. Words cost no model; for meaning the page's sentences are embedded at once.

    The best sentence has the largest weighted share of the query's terms; a phrase or identifier that was looked for
    literally counts as much as all words. None: the passage has no word of the query.
    """
    if query.highlighting is Highlighting.OFF:
        return [Shown()] * len(passages)
    terms = None if query.mode is SearchMode.EXACT else understood.terms
    weights = {**weights, **dict.fromkeys(understood.needles, 1.0)}
    by_meaning = query.highlighting is Highlighting.MEANING
    shown: list[Shown] = []
    ranked: list[list[tuple[Span, float]]] = []
    for passage in passages:
        chunk = passage.chunk
        marks = marks_of(chunk.text, terms, understood.needles)
        best: Span | None = None
        if by_meaning:
            sentences = sentences_of(chunk.text)
            order = in_order_of_words(sentences, marks, weights)
            ranked.append([(_span(chunk.span.start, sentences[at]), coverage) for coverage, at in order])
        elif marks:
            sentences = sentences_of(chunk.text)
            at = best_by_words(sentences, marks, weights)
            best = None if at is None else _span(chunk.span.start, sentences[at])
        shown.append(Shown(spans_of(chunk, marks), best))
    return _with_meaning(corpus, query, understood, passages, shown, ranked) if by_meaning else shown


def _with_meaning(
    corpus: CorpusView,
    query: SearchQuery,
    understood: Understood,
    passages: Sequence[IndexedChunk],
    shown: Sequence[Shown],
    ranked: Sequence[Sequence[tuple[Span, float]]],
) -> list[Shown]:
    question = corpus.embedder.embed_query(query.text) if understood.dense is None else understood.dense
    texts = [
        [(_text(passage, span), coverage) for span, coverage in found]
        for passage, found in zip(passages, ranked, strict=True)
    ]
    best = best_by_meaning(corpus.embedder, question, texts)
    return [
        replace(marks, best_sentence=found[at][0] if found else None)
        for marks, found, at in zip(shown, ranked, best, strict=True)
    ]


def _span(start: int, found: tuple[int, int]) -> Span:
    return Span(start + found[0], start + found[1])


def _text(passage: IndexedChunk, span: Span) -> str:
    start = passage.chunk.span.start
    return passage.chunk.text[span.start - start : span.end - start]
