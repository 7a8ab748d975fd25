"""An answer in the making: sentences verified one by one, citations numbered as they come.

Which sentences, and in which order, is left to `answering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingestion.corpus.records import ChunkId, Span
from service.generation.answers import (
    AnsweredSentence,
    Citation,
    Grounding,
    SentenceEvent,
    Support,
    SupportLabel,
)
from service.generation.checking.attribution import Attributor, Judged
from service.generation.checking.evidence import Evidence
from service.generation.checking.grounding import OwnCitations, summarise
from service.generation.citations import CitedSentence, with_citations
from service.generation.extracting.stretches import Extract
from service.retrieval.results import Passage

VERBATIM = Support(SupportLabel.SUPPORTED, 1.0, ("verbatim",))
"""The verdict on a sentence that was copied from its source by this service, not by a model."""


class Draft:
    """Sentences shown so far. One citation number per exact span: the same span keeps its number.

    Nothing is shown before the first sentence that rests on a passage: a model that names and says nothing of the
    sources leaves no draft.
    """

    def __init__(self, passages: Sequence[Passage], evidence: Sequence[Evidence], attributor: Attributor) -> None:
        self._passages = passages
        self._evidence = evidence
        self._attributor = attributor
        self._numbers: dict[tuple[ChunkId, Span], int] = {}
        self._own: list[OwnCitations] = []
        self._waiting: list[Judged] = []
        self._known: set[str] = set()
        self.begun = False
        self._text = ""
        self._last_index: int | None = None
        self.sentences: list[AnsweredSentence] = []
        self.citations: list[Citation] = []

    @property
    def text(self) -> str:
        """The answer so far, with its citation markers."""
        return self._text

    def judge(self, sentence: CitedSentence) -> list[Judged]:
        """What a model's sentence brings to light: itself with its verdict, and those that waited for it.

        A line that introduces something waits for that; a repeated sentence brings nothing.
        """
        if sentence.text in self._known:
            return []
        self._known.add(sentence.text)
        judged = self._attributor.judge(sentence)
        self._waiting.append(judged)
        return [] if judged.introduces else self._ready()

    def close(self) -> list[Judged]:
        """What still waited, no more sentence being to come."""
        return self._ready()

    def _ready(self) -> list[Judged]:
        if not self.begun and not any(judged.sources for judged in self._waiting):
            return []
        self.begun = True
        ready, self._waiting = self._waiting, []
        following: Judged | None = None
        for at in reversed(range(len(ready))):
            if ready[at].introduces and following is not None:
                ready[at] = self._attributor.introducing(ready[at], following)
            following = ready[at]
        return ready

    def rejudge(self, sentence: CitedSentence) -> Judged:
        """The verdict on a sentence that is to stand in the place of another."""
        return self._attributor.judge(sentence)

    def show(self, judged: Judged) -> SentenceEvent:
        """The sentence with its exact spans, at the end of what is shown so far."""
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

    def grounding(self, method: str, withheld: int) -> Grounding:
        """The verdict on the sentences so far, found by `method`; `withheld` were left out."""
        return replace(summarise(self.sentences, self._own, method), withheld_sentences=withheld)

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
