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
from service.generation.attribution import Attributor, Judged
from service.generation.citations import CitedSentence, with_citations
from service.generation.evidence import Evidence, Reader
from service.generation.fallback import Extract
from service.generation.grounding import GroundingScorer, OwnCitations, summarise
from service.retrieval.results import Passage

VERBATIM = Support(SupportLabel.SUPPORTED, 1.0, ("verbatim",))
"""The verdict on a sentence that was copied from its source by this service, not by a model."""


class Draft:
    """Sentences shown so far. One citation number per exact span: the same span keeps its number.

    Nothing is shown before the first sentence that rests on a passage: a model that names and says nothing of the
    sources leaves no draft.
    """

    def __init__(
        self,
        reader: Reader,
        scorer: GroundingScorer,
        passages: Sequence[Passage],
        question: str,
        old: frozenset[int] = frozenset(),
    ) -> None:
        self._passages = passages
        self._evidence = [Evidence.of(reader, passage.indexed) for passage in passages]
        self._attributor = Attributor(reader, scorer, self._evidence, question, old)
        self._numbers: dict[tuple[ChunkId, Span], int] = {}
        self._own: list[OwnCitations] = []
        self._held: list[Judged] = []
        self._text = ""
        self._last_index: int | None = None
        self.sentences: list[AnsweredSentence] = []
        self.citations: list[Citation] = []

    @property
    def text(self) -> str:
        """The answer so far, with its citation markers."""
        return self._text

    def add(self, sentence: CitedSentence) -> list[SentenceEvent]:
        """What a model's sentence brings to light: itself with its verdict and exact spans, and those that waited.

        A line that introduces something waits for that; a repeated sentence brings nothing.
        """
        known = {shown.text for shown in self.sentences} | {judged.text for judged in self._held}
        if sentence.text in known:
            return []
        judged = self._attributor.judge(sentence)
        self._held.append(judged)
        return [] if judged.introduces else self._release()

    def close(self) -> list[SentenceEvent]:
        """What still waited, no more sentence being to come."""
        return self._release()

    def _release(self) -> list[SentenceEvent]:
        if not self.sentences and not any(judged.sources for judged in self._held):
            return []
        held, self._held = self._held, []
        following: Judged | None = None
        for at in reversed(range(len(held))):
            if held[at].introduces and following is not None:
                held[at] = self._attributor.introducing(held[at], following)
            following = held[at]
        return [self._show_judged(judged) for judged in held]

    def _show_judged(self, judged: Judged) -> SentenceEvent:
        numbers = [self._cite(index, self._evidence[index].span(window)) for index, window in judged.sources]
        self._own.append(judged.own)
        return self._show(judged.text, tuple(dict.fromkeys(numbers)), judged.support, judged.lead)

    def add_extract(self, extract: Extract) -> SentenceEvent:
        """A sentence of the sources, which supports itself."""
        offset = self._passages[extract.index].indexed.chunk.span.start
        number = self._cite(extract.index, Span(offset + extract.start, offset + extract.end))
        lead = " " if not extract.block and extract.index == self._last_index else "\n\n"
        self._last_index = extract.index
        self._own.append(OwnCitations(given=1, useful=1, sufficient=True))
        return self._show(extract.text, (number,), VERBATIM, lead)

    def grounding(self) -> Grounding:
        """The verdict on the sentences so far."""
        return summarise(self.sentences, self._own)

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
