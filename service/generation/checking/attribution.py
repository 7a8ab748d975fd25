"""What a model's sentence rests on: its own citations if they support it, else the passage shown that clearly does.

The verdicts are `grounding`'s. Numbering citations and showing sentences are left to `drafting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.generation.answers import Support, SupportLabel
from service.generation.checking.evidence import Evidence, Reader, Reading, Window
from service.generation.checking.facts import FactKind, facts_of
from service.generation.checking.grounding import CheckedSentence, GroundingScorer, OwnCitations
from service.generation.citations import CitedSentence, leads_in
from service.generation.languages import Languages

ADDED = "citation:added"
"""The model named no passage, or one that tells only half; this service found the one that was added."""
CORRECTED = "citation:corrected"
"""The passages that the model named say nothing of it; this service found the one that does, and shows that one."""
INHERITED = "citation:inherited"
"""The citation stands at another place of the same list."""
CONNECTIVE = "connective"
"""The sentence says nothing of its own; verdict and citations are those of what it introduces."""
SUPERSEDED = "source:superseded"
"""All that says it are documents that were replaced, while current ones are shown: at most `partial`."""
_SUPERSEDED_SCORE = 0.59
FOREIGN = "language:differs"
"""The sentence is in another language than what it cites: its facts can be compared, its words can't."""
_FOREIGN_SCORE = 0.5

_LEAST_TERMS = 3
"""Content words and facts below which a sentence is looked for to the letter: words may be found by chance."""
_CLOSE = 0.8
"""Share of a sentence's content words that one short stretch must hold, titles not counted, to be its source."""
_IN_ORDER = 0.6
"""Share of a sentence's content words that must stand there in the same order."""
_MARGIN = 0.1
"""How much better than the next the passage must hold the sentence..."""
_NEARLY_VERBATIM = 0.9
"""... unless it says nearly these words: of several passages that say them each is a source, and the best is taken."""
_STOCK = (
    "follow following step steps below here these this order way how to do run use execute commands please note first "
    "instructions procedure"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A sentence with its verdict. `sources` are (index of the passage, window to quote), each passage once.

    `own` says what the citations that the model gave itself are worth. `introduces`: a line that ends in a colon and
    states no fact, which may take its verdict from what follows.
    """

    text: str
    lead: str
    support: Support
    sources: tuple[tuple[int, Window], ...]
    own: OwnCitations
    introduces: bool


class Attributor:
    """Judges the sentences of one answer against the passages that it was written from.

    `old` holds the indexes of passages whose document was replaced.
    """

    def __init__(
        self,
        reader: Reader,
        scorer: GroundingScorer,
        evidence: Sequence[Evidence],
        question: str,
        old: frozenset[int] = frozenset(),
    ) -> None:
        self._reader = reader
        self._scorer = scorer
        self._evidence = evidence
        self._old = old if len(old) < len(evidence) else frozenset()
        self._question = question
        self._languages = Languages(with_model=False)
        self._given = frozenset(reader.stems(f"{question} {_STOCK}"))

    def judge(self, sentence: CitedSentence) -> Judged:
        """The verdict, with the sources to show."""
        cited = [number - 1 for number in sentence.cites]
        said = self._said(sentence.text)
        checked = self._scorer.check(said, self._passages(cited), self._question)
        own = OwnCitations(
            given=len(cited) + sentence.unknown,
            useful=len(checked.useful),
            sufficient=checked.support.label is SupportLabel.SUPPORTED,
        )
        notes = (INHERITED,) if sentence.inherited else ()
        # what a cited passage contradicts is not excused by another that agrees
        if checked.support.label not in (SupportLabel.SUPPORTED, SupportLabel.CONTRADICTED):
            kept = cited if checked.support.label is SupportLabel.PARTIAL else []
            found = self._find(said, kept, frozenset(cited))
            better = self._scorer.check(said, self._passages([*kept, *found]), self._question) if found else checked
            if better.support.label is SupportLabel.SUPPORTED:
                notes = (ADDED if kept or not own.given else CORRECTED,)
                cited, checked = [*kept, *found], better
        support = self._across_languages(sentence.text, cited, checked.support)
        support = replace(support, checks=(*notes, *support.checks))
        if cited and self._old.issuperset(cited):
            support = _outdated(support)
        introduces = support.label is not SupportLabel.SUPPORTED and self._may_introduce(sentence.text)
        return Judged(sentence.text, sentence.lead, support, self._sources(cited, checked), own, introduces)

    def _across_languages(self, text: str, cited: Sequence[int], support: Support) -> Support:
        """The verdict where words can't be compared: facts that all stand there make a sentence `partial`."""
        if support.label is not SupportLabel.UNSUPPORTED or not cited:
            return support
        if not self._languages.answers_in_other_language(text, [self._evidence[index].text for index in cited]):
            return support
        told = "facts:ok" in support.checks and bool(facts_of(text))
        label, score = (SupportLabel.PARTIAL, _FOREIGN_SCORE) if told else (support.label, support.score)
        return Support(label, score, (FOREIGN, *support.checks))

    def introducing(self, line: Judged, following: Judged) -> Judged:
        """A line that introduces `following`, with its verdict, if it adds no word to the question and its evidence."""
        said = set(self._given)
        for index, window in following.sources:
            said |= self._evidence[index].about.union(*(unit.words for unit in window.units))
        if not frozenset(self._reader.stems(line.text)) <= said:
            return line
        support = replace(following.support, checks=(CONNECTIVE,))
        return replace(line, support=support, sources=following.sources, own=replace(line.own, sufficient=None))

    def _passages(self, cited: Sequence[int]) -> list[Evidence]:
        return [self._evidence[index] for index in cited]

    def _said(self, text: str) -> str:
        """The text without a line before its block that only says in the words of the question what the block is."""
        line, _, block = text.partition("\n")
        says_nothing = self._may_introduce(line) and frozenset(self._reader.stems(line)) <= self._given
        return block.strip("\n") if says_nothing and block.strip() else text

    def _may_introduce(self, text: str) -> bool:
        return leads_in(text) and not facts_of(text) and not self._reader.read(text).denied

    def _find(self, text: str, kept: Sequence[int], refused: frozenset[int]) -> tuple[int, ...]:
        """The passage that says the sentence by words and facts, alone or with the `kept` ones, if one clearly does.

        None too where any passage shown contradicts the sentence: then which of them holds is not for us to say.
        """
        claim = self._reader.read(text)
        commands = any(fact.kind is FactKind.COMMAND for fact in claim.facts)
        by_chance = len(claim.stems) + len(claim.facts) < _LEAST_TERMS and not commands
        rated: list[tuple[float, int]] = []
        for index, evidence in enumerate(self._evidence):
            alone = self._scorer.compare(text, self._passages([index]))
            if alone.support.label is SupportLabel.CONTRADICTED:
                return ()
            if index in refused or (by_chance and not evidence.has(text)):
                continue
            checked = self._scorer.compare(text, self._passages([*kept, index])) if kept else alone
            if checked.support.label is not SupportLabel.SUPPORTED:
                continue
            held, ordered = self._scorer.alignment(text, evidence)
            if kept:  # told in two places, in whatever order: but told, not just half of it and a fitting fact
                held, ordered = _held(claim, checked), 1.0
            if held >= _CLOSE and ordered >= _IN_ORDER:
                rated.append((held, index))
        rated.sort(key=lambda entry: (-entry[0], entry[1]))
        if not rated:
            return ()
        best = rated[0]
        if len(rated) > 1 and best[0] < _NEARLY_VERBATIM and best[0] - rated[1][0] < _MARGIN:
            return ()
        return (best[1],)

    def _sources(self, cited: Sequence[int], checked: CheckedSentence) -> tuple[tuple[int, Window], ...]:
        """What to quote of each cited passage: its best window; all of it where nothing in it says the sentence."""
        windows = {cited[at]: window for at, window in checked.windows}
        for index in cited:
            whole = self._evidence[index].whole()
            if index not in windows and whole is not None:
                windows[index] = whole  # the reader still sees what the model pointed at
        return tuple(windows.items())


def _held(claim: Reading, checked: CheckedSentence) -> float:
    """Share of the content words in the windows together, titles not counted."""
    words = frozenset[str]().union(*(unit.words for _, window in checked.windows for unit in window.units))
    return len(claim.stems & words) / len(claim.stems) if claim.stems else 1.0


def _outdated(support: Support) -> Support:
    label = SupportLabel.PARTIAL if support.label is SupportLabel.SUPPORTED else support.label
    return Support(label, min(support.score, _SUPERSEDED_SCORE), (SUPERSEDED, *support.checks))
