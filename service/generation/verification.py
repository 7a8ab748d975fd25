"""Checks an answer that was written elsewhere: its sentences, what each cites, and whether that supports it.

No model writes or reads anything here. The verdicts are `grounding`'s and `attribution`'s, the same that an answer of
this service gets; what long passages fall into is left to `material`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ingestion.corpus.records import ChunkId, IndexedChunk, Span
from ingestion.corpus.scope import Scope
from ingestion.errors import InvalidRequest
from service.generation.answers import AnsweredSentence, Grounding, SupportLabel
from service.generation.checking.attribution import ADDED, CORRECTED, Attributor, Judged
from service.generation.checking.evidence import Reader
from service.generation.checking.grounding import GroundingScorer, MakeScorer, OwnCitations, scorers, summarise
from service.generation.citations import CitationParser, CitedSentence
from service.generation.material import GivenPassage, Material

MAX_NUMBER = 999
"""Of a passage: a citation has at most three digits."""
MAX_SENTENCES = 2_000
MAX_SENTENCE_CHARS = 10_000
"""Of a sentence, or of a block of code with the line that introduces it."""
_WIDTH = 6
"""Parts looked at for one sentence: the rest shares less with it."""
_OF_ONE = 3
"""Parts of one cited passage that a sentence is checked against."""
_MOST_CITED = 24
_TOGETHER = 3
"""Passages that may tell what a sentence without a citation says, each a part of it: of many, any words can be had."""
_WORTH_ADDING = 0.1
"""How much better a verdict must be for another passage to be cited, too."""
_LEAST_TERMS = 3
"""Content words and facts below which one passage must tell it alone."""
_RANKS = {
    SupportLabel.UNSUPPORTED: 0,
    SupportLabel.PARTIAL: 1,
    SupportLabel.CONTRADICTED: 2,
    SupportLabel.SUPPORTED: 3,
}
_RUN = 100
_LONG_RUN = re.compile(rf"(\W)\1{{{_RUN},}}|[ \t]{{{_RUN},}}")
"""Runs of white space or of one mark: what is longer says no more, and costs some patterns the square of its length."""
NONE = "citations:none"
"""The sentence cites nothing, and no passage was found that says it."""

ReadChunks = Callable[[Scope, Collection[ChunkId]], Mapping[ChunkId, IndexedChunk]]
"""Blocking read of those of the chunks that are live and may be read in the scope."""


@dataclass(frozen=True, slots=True)
class VerificationQuery:
    """An answer, and the passages that it claims to rest on: given, or named by the chunks that they are."""

    answer: str
    passages: tuple[GivenPassage, ...] = ()
    chunk_ids: tuple[ChunkId, ...] = ()
    question: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedCitation:
    """What a passage says for (or against) sentences: `quote` stands at `span`, `sentences` are their indexes."""

    passage: GivenPassage
    quote: str
    span: Span
    sentences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Sentences cite by the numbers of the given passages. `unknown`: numbers that the answer cites in vain.

    `grounding` is None for an answer without any sentence.
    """

    sentences: tuple[AnsweredSentence, ...]
    grounding: Grounding | None
    citations: tuple[VerifiedCitation, ...]
    unknown: tuple[int, ...]


class Verifier:
    """Verifies answers. Blocking, safe from several threads; each call has a reader of its own."""

    def __init__(self, read_chunks: ReadChunks, make_scorer: MakeScorer | None = None) -> None:
        self._read_chunks = read_chunks
        self._make_scorer = make_scorer or scorers(None)

    def verify(self, scope: Scope, query: VerificationQuery) -> Verification:
        """The verdicts. Raises: InvalidRequest for a chunk that is not there or may not be read; BackendUnavailable."""
        passages = (*query.passages, *self._read(scope, query.chunk_ids))
        reader = Reader()
        material = Material(reader, passages)
        sentences, unknown = _sentences(query.answer, material.numbers())
        scorer = self._make_scorer(reader, [part.evidence for part in material.parts])
        check = _Check(reader, scorer, material, query.question)
        return _told(check.judge_all(sentences), material, unknown, scorer.method)

    def _read(self, scope: Scope, ids: Sequence[ChunkId]) -> list[GivenPassage]:
        found = self._read_chunks(scope, ids) if ids else {}
        for position, id_ in enumerate(ids):
            if id_ not in found:
                raise InvalidRequest(
                    f"there is no chunk {id_} that you may read; a document that is ingested anew has new chunks",
                    pointer=f"/chunk_ids/{position}",
                )
        return [GivenPassage.of(position, found[id_]) for position, id_ in enumerate(ids, start=1)]


class _Check:
    """Judges sentences. The sources of a `Judged` are indexes of the material's parts."""

    def __init__(self, reader: Reader, scorer: GroundingScorer, material: Material, question: str) -> None:
        self._reader = reader
        self._scorer = scorer
        self._question = question
        self._everywhere = range(len(material.parts))
        self._seen: dict[CitedSentence, Judged] = {}
        self.material = material
        self._all = self._attributor(self._everywhere)

    def judge_all(self, sentences: Sequence[CitedSentence]) -> list[Judged]:
        """The verdicts, in order; a line that introduces the next sentence and says no more shares its verdict."""
        judged = [self._judge(sentence) for sentence in sentences]
        for at in reversed(range(len(judged) - 1)):
            if judged[at].introduces:
                judged[at] = self._all.introducing(judged[at], judged[at + 1])
        return judged

    def _judge(self, sentence: CitedSentence) -> Judged:
        if sentence not in self._seen:
            self._seen[sentence] = self._judge_cited(sentence) if sentence.cites else self._judge_uncited(sentence)
        return self._seen[sentence]

    def _judge_cited(self, sentence: CitedSentence) -> Judged:
        """By the passages that it cites; like a model's own sentence, it may be found elsewhere."""
        text, near = sentence.text, self.material.nearest
        cited = [index for n in sentence.cites for index in self._parts_of(n, text)]
        cited = near(text, cited, _MOST_CITED) or cited[:_MOST_CITED]
        others = near(text, [index for index in self._everywhere if index not in cited], _WIDTH)
        judged = self._attribute(sentence, cited, others)
        own = judged.own
        own = replace(own, given=len(sentence.cites) + sentence.unknown, useful=min(own.useful, len(sentence.cites)))
        if self._numbers(judged) <= frozenset(sentence.cites):  # another part of a passage that it cites itself
            kept = tuple(check for check in judged.support.checks if check not in (ADDED, CORRECTED))
            judged = replace(judged, support=replace(judged.support, checks=kept))
        return replace(judged, own=own)

    def _parts_of(self, n: int, text: str) -> Sequence[int]:
        parts = self.material.of(n)
        if len(parts) == 1:
            return parts
        near = self.material.nearest(text, parts, _WIDTH)
        return self.material.covering(self._reader.read(text), near, _OF_ONE) or parts[:1]

    def _judge_uncited(self, sentence: CitedSentence) -> Judged:
        """By all passages: those that tell it together, as few as can be, are cited for it."""
        judged = self._attribute(sentence, self._found(sentence.text), ())
        unsupported = judged.support.label is SupportLabel.UNSUPPORTED
        note = NONE if unsupported else ADDED
        checks = (note, *(check for check in judged.support.checks if check != note))
        return replace(
            judged,
            support=replace(judged.support, checks=checks),
            sources=() if unsupported else judged.sources,
            own=OwnCitations(given=sentence.unknown, useful=0, sufficient=False),
        )

    def _found(self, text: str) -> list[int]:
        claim = self._reader.read(text)
        near = self.material.nearest(text, self._everywhere, _WIDTH)
        short = len(claim.stems) + len(claim.facts) < _LEAST_TERMS
        chosen = self.material.covering(claim, near, 1 if short else _TOGETHER)
        best, reached = chosen[:1], (-1, 0.0)
        for count in range(1, len(chosen) + 1):
            parts = [self.material.parts[index].evidence for index in chosen[:count]]
            support = self._scorer.compare(text, parts).support
            rank = _RANKS[support.label]
            if rank > reached[0] or (rank == reached[0] and support.score >= reached[1] + _WORTH_ADDING):
                best, reached = chosen[:count], (rank, support.score)
            if support.label is SupportLabel.CONTRADICTED:
                break
        return best

    def _attribute(self, sentence: CitedSentence, cited: Sequence[int], others: Sequence[int]) -> Judged:
        parts = [*cited, *others]
        cites = tuple(range(1, len(cited) + 1))
        judged = self._attributor(parts).judge(replace(sentence, cites=cites))
        return replace(judged, sources=tuple((parts[at], window) for at, window in judged.sources))

    def _attributor(self, parts: Sequence[int]) -> Attributor:
        evidence = [self.material.parts[index].evidence for index in parts]
        return Attributor(self._reader, self._scorer, evidence, self._question)

    def _numbers(self, judged: Judged) -> frozenset[int]:
        return frozenset(self.material.parts[index].passage.n for index, _ in judged.sources)


def _sentences(answer: str, given: frozenset[int]) -> tuple[list[CitedSentence], tuple[int, ...]]:
    """The sentences, which cite given passages only, and the other numbers. Raises: InvalidRequest."""
    parser = CitationParser(MAX_NUMBER)
    read = [*parser.feed(_LONG_RUN.sub(lambda run: run.group()[:_RUN], answer)), *parser.close()]
    if len(read) > MAX_SENTENCES:
        raise InvalidRequest(f"it has more than {MAX_SENTENCES} sentences: verify it in pieces", pointer="/answer")
    for number, sentence in enumerate(read, start=1):
        if len(sentence.text) > MAX_SENTENCE_CHARS:
            raise InvalidRequest(
                f"sentence {number}, which begins with {sentence.text[:40]!r}, has more than {MAX_SENTENCE_CHARS} "
                "characters: verify it in pieces",
                pointer="/answer",
            )
    sentences: list[CitedSentence] = []
    unknown: set[int] = set()
    for sentence in read:
        known = tuple(n for n in sentence.cites if n in given)
        unknown.update(set(sentence.cites).difference(given), {0} if sentence.unknown else ())
        missed = sentence.unknown + len(sentence.cites) - len(known)
        sentences.append(replace(sentence, cites=known, unknown=missed, inherited=sentence.inherited and bool(known)))
    return sentences, tuple(sorted(unknown))


def _told(judged: Sequence[Judged], material: Material, unknown: tuple[int, ...], method: str) -> Verification:
    sentences: list[AnsweredSentence] = []
    quoted: dict[tuple[int, Span], list[int]] = {}
    for at, verdict in enumerate(judged):
        numbers: list[int] = []
        for index, window in verdict.sources:
            part = material.parts[index]
            numbers.append(part.passage.n)
            users = quoted.setdefault((index, part.evidence.span(window)), [])
            users.append(at)
        sentences.append(AnsweredSentence(verdict.text, tuple(dict.fromkeys(numbers)), verdict.support))
    citations = [_citation(material, index, span, tuple(users)) for (index, span), users in quoted.items()]
    citations.sort(key=lambda citation: (citation.passage.n, citation.span.start, citation.span.end))
    grounding = summarise(sentences, [verdict.own for verdict in judged], method) if sentences else None
    return Verification(tuple(sentences), grounding, tuple(citations), unknown)


def _citation(material: Material, index: int, span: Span, sentences: tuple[int, ...]) -> VerifiedCitation:
    passage = material.parts[index].passage
    return VerifiedCitation(passage, passage.quote(span), span, sentences)
