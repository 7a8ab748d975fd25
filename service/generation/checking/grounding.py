"""Whether a sentence is supported by what it cites: exact facts and polarity, then a classifier, with no model call.

Units and facts are found by `evidence` and `facts`, and compared by `exactness`; how probable it is that the passages
say the sentence is told by `entailment`. A verdict is never better than its evidence: a fact that is not in the cited
text, or a flipped negation, keeps a sentence from being `supported` whatever the classifier says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from service.generation.answers import AnsweredSentence, Grounding, GroundingLabel, Support, SupportLabel
from service.generation.checking.entailment.copying import is_copied
from service.generation.checking.entailment.entailment import Entailment, EntailmentModel, Opinion
from service.generation.checking.entailment.model import Thresholds
from service.generation.checking.entailment.words import without_passage_numbers
from service.generation.checking.evidence import Evidence, EvidenceUnit, Reader, Reading, Window
from service.generation.checking.exactness import Findings, examine, window_states
from service.generation.checking.sentences import FENCE

METHOD = "lexical@1"

SUPPORTED_OVERLAP = 0.6
"""Share of content stems found from which a sentence counts as said: paraphrase costs about a third of the words."""
PARTIAL_OVERLAP = 0.35
"""Below, sentence and evidence share little but their topic."""
UNCITED_SCORE = 0.0
COPIED_SCORE = 0.99
"""Of a sentence that stands in the passage word for word: what the classifier thinks of it does not count."""
_BELOW = 0.01
"""By how much the score of a sentence that exact facts hold back stays below what its label would need."""
_CONTRADICTED_SCORE = 0.2


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A verdict with the window of each cited passage that supports the sentence best.

    `windows` holds, in citation order, (index into the evidence given, window); `useful` the indexes that alone support
    at least part of it. `likely` is what the classifier said, before exact facts held the sentence back.
    """

    support: Support
    windows: tuple[tuple[int, Window], ...] = ()
    useful: frozenset[int] = field(default_factory=frozenset)
    likely: float | None = None


@dataclass(frozen=True, slots=True)
class OwnCitations:
    """What the writer's own citations of one sentence are worth, whatever was found for it afterwards.

    `given` counts them, those of passages that were never shown included; `useful` those that alone support at least
    part of the sentence. `sufficient`: together they support all of it; None for a sentence that needs no citation.
    """

    given: int
    useful: int
    sufficient: bool | None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A sentence beside its passages: what all verdicts are made of."""

    claim: Reading
    windows: tuple[tuple[int, Window], ...]
    found: Findings
    overlap: float


class GroundingScorer:
    """Gives the verdicts of one answer, in one thread at a time.

    A sentence against six passages takes about a millisecond, with the classifier two; without it, words decide.
    """

    def __init__(self, reader: Reader, entailment: Entailment | None = None) -> None:
        self._reader = reader
        self._entailment = entailment

    @property
    def method(self) -> str:
        """Name and version of what gives the verdicts."""
        return self._entailment.version if self._entailment is not None else METHOD

    def check(self, sentence: str, cited: Sequence[Evidence], question: str = "") -> CheckedSentence:
        """The verdict on a sentence, given the passages that it cites. `question`: what was asked, if it is known."""
        if not cited:
            return _uncited()
        compared = self._compared(sentence, cited, question)
        facts_alone = not compared.claim.stems and compared.found.facts > 0
        if self._entailment is None or facts_alone or FENCE.match(sentence):
            return self._checked(compared, cited, _verdict(compared.overlap, compared.found))
        opinion = self._entailment.judge(sentence, cited, question, compared.found)
        if is_copied(sentence, cited):
            opinion = replace(opinion, supported=max(opinion.supported, COPIED_SCORE), doubted=False)
        support = _entailed(opinion, compared.found, self._entailment.thresholds)
        return replace(self._checked(compared, cited, support), likely=opinion.supported)

    def compare(self, sentence: str, cited: Sequence[Evidence]) -> CheckedSentence:
        """The verdict that words and exact facts alone give: cheap enough to try every passage of an answer."""
        if not cited:
            return _uncited()
        compared = self._compared(sentence, cited)
        return self._checked(compared, cited, _verdict(compared.overlap, compared.found))

    def overlap(self, sentence: str, evidence: Evidence) -> float:
        """Share of the sentence's content stems in the passage's best window."""
        claim = self._reader.read(sentence)
        window = evidence.best_window(claim)
        return self._overlap(claim, window.units, [evidence]) if window else 0.0

    def alignment(self, sentence: str, evidence: Evidence) -> tuple[float, float]:
        """Share of the sentence's content stems in the passage's best window, and share that stands there in order.

        Titles don't count. A sentence of facts alone is wholly there if the window states them.
        """
        window = evidence.best_window(self._reader.read(sentence))
        if window is None:
            return 0.0, 0.0
        stems = self._reader.stems(sentence)
        if not stems:
            return 1.0, 1.0
        said = self._reader.stems(" ".join(unit.text for unit in window.units))
        words = frozenset().union(*(unit.words for unit in window.units))
        in_order = sum(block.size for block in SequenceMatcher(None, stems, said, autojunk=False).get_matching_blocks())
        return len(frozenset(stems) & words) / len(frozenset(stems)), in_order / len(stems)

    def _compared(self, sentence: str, cited: Sequence[Evidence], question: str = "") -> _Comparison:
        claim = self._reader.read(without_passage_numbers(sentence))
        windows = [(index, window) for index, evidence in enumerate(cited) if (window := evidence.best_window(claim))]
        found = examine(claim, [window for _, window in windows], cited, question)
        overlap = self._overlap(claim, [unit for _, window in windows for unit in window.units], cited)
        return _Comparison(claim, tuple(windows), found, overlap)

    def _checked(self, compared: _Comparison, cited: Sequence[Evidence], support: Support) -> CheckedSentence:
        useful = (index for index, window in compared.windows if self._helps(compared.claim, window, cited[index]))
        return CheckedSentence(support, compared.windows, frozenset(useful))

    def _overlap(self, claim: Reading, units: Sequence[EvidenceUnit], cited: Sequence[Evidence]) -> float:
        if not claim.stems:
            return 1.0 if claim.facts and units else 0.0
        said = frozenset().union(*(unit.words for unit in units), *(evidence.about for evidence in cited))
        return len(claim.stems & said) / len(claim.stems)

    def _helps(self, claim: Reading, window: Window, evidence: Evidence) -> bool:
        if any(window_states(window, fact) for fact in claim.facts):
            return True
        return self._overlap(claim, window.units, [evidence]) >= PARTIAL_OVERLAP


MakeScorer = Callable[[Reader, Sequence[Evidence]], GroundingScorer]
"""Makes the scorer of one answer from its reader and the passages shown."""


def scorers(model: EntailmentModel | None) -> MakeScorer:
    """What makes scorers with that classifier; without one, words decide."""

    def make(reader: Reader, shown: Sequence[Evidence]) -> GroundingScorer:
        return GroundingScorer(reader, Entailment(model, shown) if model is not None else None)

    return make


def summarise(sentences: Sequence[AnsweredSentence], own: Sequence[OwnCitations], method: str = METHOD) -> Grounding:
    """The verdict on a whole answer, from its sentences as shown and, per sentence, the writer's own citations.

    Label, score and `unsupported_sentences` are about what is shown. Precision and recall are about the writer, as in
    "Enabling Large Language Models to Generate Text with Citations" (Gao et al., 2023): of the citations it gave, the
    share that supports; of the sentences that need one, the share wholly supported by what it cited. A citation found
    for it afterwards raises neither.
    """
    total = len(sentences)
    labels = [sentence.support.label for sentence in sentences]
    supported = labels.count(SupportLabel.SUPPORTED)
    unsupported = labels.count(SupportLabel.UNSUPPORTED) + labels.count(SupportLabel.CONTRADICTED)
    useful, given = sum(each.useful for each in own), sum(each.given for each in own)
    needing = [each.sufficient for each in own if each.sufficient is not None]
    if total and supported == total:
        label = GroundingLabel.GROUNDED
    else:
        label = GroundingLabel.UNGROUNDED if unsupported == total else GroundingLabel.PARTIAL
    return Grounding(
        label=label,
        score=round(sum(sentence.support.score for sentence in sentences) / total, 4) if total else 0.0,
        unsupported_sentences=unsupported,
        citation_precision=round(useful / given, 4) if given else 0.0,
        citation_recall=round(sum(needing) / len(needing), 4) if needing else 0.0,
        method=method,
    )


def _verdict(overlap: float, found: Findings) -> Support:
    checks = (*found.checks, f"overlap:{overlap:.2f}")
    score = overlap * (0.4 + 0.6 * found.stated) if found.facts else overlap
    if found.contradicted:
        return Support(SupportLabel.CONTRADICTED, round(min(score, 0.2), 4), checks)
    if not found.missing and overlap >= SUPPORTED_OVERLAP:
        return Support(SupportLabel.SUPPORTED, round(score, 4), checks)
    if overlap >= PARTIAL_OVERLAP and found.stated >= 0.5:
        return Support(SupportLabel.PARTIAL, round(min(score, 0.59), 4), checks)
    return Support(SupportLabel.UNSUPPORTED, round(min(score, 0.34), 4), checks)


def _uncited() -> CheckedSentence:
    return CheckedSentence(Support(SupportLabel.UNSUPPORTED, UNCITED_SCORE, ("citations:none",)))


def _entailed(opinion: Opinion, found: Findings, least: Thresholds) -> Support:
    """The label that the probability earns, unless a fact, a negation or a second opinion stands against it."""
    likely = opinion.supported
    second = () if opinion.second is None else (f"detector:{opinion.second:.2f}",)
    checks = (f"entailment:{likely:.2f}", *second, *found.checks)
    if found.contradicted:
        return Support(SupportLabel.CONTRADICTED, round(min(likely, _CONTRADICTED_SCORE), 4), checks)
    if not found.missing and not opinion.doubted and likely >= least.supported:
        return Support(SupportLabel.SUPPORTED, round(likely, 4), checks)
    if likely >= least.partial and found.stated >= 0.5:
        return Support(SupportLabel.PARTIAL, round(max(0.0, min(likely, least.supported - _BELOW)), 4), checks)
    return Support(SupportLabel.UNSUPPORTED, round(max(0.0, min(likely, least.partial - _BELOW)), 4), checks)
