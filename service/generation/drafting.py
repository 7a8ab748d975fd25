"""An answer in the making: sentences verified one by one, citations numbered as they come.

Which sentences, and in which order, is left to `answering`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.corpus.records import ChunkId, Span
from service.generation.answers import (
    AnsweredSentence,
    Citation,
    Grounding,
    SentenceEvent,
    Support,
    SupportLabel,
)
from service.generation.citations import CitedSentence, with_citations
from service.generation.evidence import Evidence, Reader
from service.generation.fallback import Extract
from service.generation.grounding import GroundingScorer, summarise
from service.retrieval.results import Passage

VERBATIM = Support(SupportLabel.SUPPORTED, 1.0, ("verbatim",))
"""The verdict on a sentence that was copied from its source by this service, not by a model."""


class Draft:
    """Sentences shown so far. One citation number per exact span: the same span keeps its number."""

    def __init__(self, reader: Reader, scorer: GroundingScorer, passages: Sequence[Passage]) -> None:
        self._scorer = scorer
        self._passages = passages
        self._evidence = [Evidence.of(reader, passage.indexed) for passage in passages]
        self._numbers: dict[tuple[ChunkId, Span], int] = {}
        self._useful: list[tuple[int, int]] = []
        self._text = ""
        self._last_index: int | None = None
        self.sentences: list[AnsweredSentence] = []
        self.citations: list[Citation] = []

    @property
    def text(self) -> str:
        """The answer so far, with its citation markers."""
        return self._text

    def add(self, sentence: CitedSentence) -> SentenceEvent | None:
        """A model's sentence with its verdict and exact spans; None if it only repeats an earlier one."""
        if any(sentence.text == known.text for known in self.sentences):
            return None
        cited = [self._evidence[number - 1] for number in sentence.cites]
        checked = self._scorer.check(sentence.text, cited)
        numbers = []
        for at, window in checked.windows:
            index = sentence.cites[at] - 1
            numbers.append(self._cite(index, self._evidence[index].span(window)))
        for at, number in enumerate(sentence.cites):
            whole = self._evidence[number - 1].whole()
            if whole is not None and all(at != known for known, _ in checked.windows):
                # nothing in the passage says it; the reader still sees what the model pointed at
                numbers.append(self._cite(number - 1, self._evidence[number - 1].span(whole)))
        self._useful.append((len(checked.useful), len(sentence.cites)))
        return self._show(sentence.text, tuple(dict.fromkeys(numbers)), checked.support, sentence.lead)

    def add_extract(self, extract: Extract) -> SentenceEvent:
        """A sentence of the sources, which supports itself."""
        offset = self._passages[extract.index].indexed.chunk.span.start
        number = self._cite(extract.index, Span(offset + extract.start, offset + extract.end))
        lead = " " if not extract.block and extract.index == self._last_index else "\n\n"
        self._last_index = extract.index
        self._useful.append((1, 1))
        return self._show(extract.text, (number,), VERBATIM, lead)

    def grounding(self) -> Grounding:
        """The verdict on the sentences so far."""
        return summarise(self.sentences, self._useful)

    def _cite(self, index: int, span: Span) -> int:
        passage = self._passages[index].indexed
        number = self._numbers.setdefault((passage.id, span), len(self._numbers) + 1)
        if number > len(self.citations):
            start = passage.chunk.span.start
            quote = Span(span.start - start, span.end - start).of(passage.chunk.text)
            self.citations.append(Citation(number, passage.document, passage.id, quote, span))
        return number

    def _show(self, text: str, numbers: tuple[int, ...], support: Support, lead: str) -> SentenceEvent:
        sentence = AnsweredSentence(text, numbers, support)
        lead = lead if self.sentences else ""
        self.sentences.append(sentence)
        self._text += lead + with_citations(text, numbers)
        return SentenceEvent(sentence, tuple(self.citations[number - 1] for number in numbers), lead)
