"""When a judged sentence may be shown, and whether: the policy of an answer applied to its verdicts.

Verdicts are `attribution`'s, mending what is not supported `writing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from service.generation.answers import SupportLabel
from service.generation.checking.attribution import Judged
from service.settings import Policy

UNSUPPORTED = frozenset({SupportLabel.UNSUPPORTED, SupportLabel.CONTRADICTED})


class HoldBack:
    """Takes judged sentences in order and gives back those that may be shown, in the same order.

    mark      every sentence, with its verdict
    withhold  those that are supported, at least in part
    strict    all together at the end, and only if every one is supported

    While `mendable`, an unsupported sentence may yet be mended: it waits, and with it all that follow, until the end.
    """

    def __init__(self, policy: Policy, *, mendable: Callable[[], bool]) -> None:
        self._policy = policy
        self._mendable = mendable
        self.held: list[Judged] = []
        self.withheld = 0

    def pass_on(self, judged: Sequence[Judged]) -> list[Judged]:
        """What may be shown now."""
        shown = []
        for sentence in judged:
            bad = sentence.support.label in UNSUPPORTED
            if self._policy is Policy.STRICT or self.held or (bad and self._mendable()):
                self.held.append(sentence)
            elif bad and self._policy is Policy.WITHHOLD:
                self.withheld += 1
            else:
                shown.append(sentence)
        return shown

    def failing(self) -> list[int]:
        """Indexes into `held` of the sentences that keep the others from being shown as they are."""
        return [at for at, sentence in enumerate(self.held) if not self._passes(sentence)]

    def mend(self, better: Mapping[int, Sequence[Judged]]) -> None:
        """Put others in the place of held ones; an empty sequence takes one out for good."""
        self.held = [new for at, old in enumerate(self.held) for new in better.get(at, (old,))]

    def release(self) -> list[Judged]:
        """What is shown at the end of all that waited. Under `strict` all or nothing."""
        held, self.held = self.held, []
        if self._policy is Policy.MARK:
            return held
        shown = [sentence for sentence in held if self._passes(sentence)]
        if self._policy is Policy.STRICT and len(shown) < len(held):
            self.withheld += len(held)
            return []
        self.withheld += len(held) - len(shown)
        return shown

    def _passes(self, sentence: Judged) -> bool:
        if self._policy is Policy.STRICT:
            return sentence.support.label is SupportLabel.SUPPORTED
        return sentence.support.label not in UNSUPPORTED
