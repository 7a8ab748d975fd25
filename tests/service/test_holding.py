"""Hold-back, whatever the verdicts: nothing lost, nothing out of order, nothing shown that the policy forbids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.generation.answers import Support, SupportLabel
from service.generation.checking.attribution import Judged
from service.generation.checking.grounding import OwnCitations
from service.generation.holding import UNSUPPORTED, HoldBack
from service.settings import Policy

labels = st.lists(st.sampled_from(SupportLabel), max_size=12)


def judged(at: int, label: SupportLabel) -> Judged:
    own = OwnCitations(given=1, useful=1, sufficient=True)
    return Judged(f"Sentence {at}.", " ", Support(label, 0.5), (), own, introduces=False)


@given(labels, st.sampled_from(Policy), st.lists(st.booleans(), min_size=12, max_size=12))
def test_what_is_shown_keeps_its_order_and_the_policy(
    given_labels: list[SupportLabel], policy: Policy, in_time: list[bool]
) -> None:
    clock = iter(in_time)
    hold = HoldBack(policy, mendable=lambda: next(clock))
    sentences = [judged(at, label) for at, label in enumerate(given_labels)]
    shown = [each for sentence in sentences for each in hold.pass_on([sentence])]
    if policy is Policy.STRICT:
        assert shown == []
    shown += hold.release()

    places = [sentences.index(each) for each in shown]
    assert places == sorted(set(places))
    assert len(shown) + hold.withheld == len(sentences)
    if policy is Policy.MARK:
        assert shown == sentences
    elif policy is Policy.WITHHOLD:
        assert shown == [each for each in sentences if each.support.label not in UNSUPPORTED]
    else:
        supported = all(label is SupportLabel.SUPPORTED for label in given_labels)
        assert shown == (sentences if supported else [])


@given(labels)
def test_from_the_first_sentence_to_be_mended_everything_waits(given_labels: list[SupportLabel]) -> None:
    hold = HoldBack(Policy.MARK, mendable=lambda: True)
    sentences = [judged(at, label) for at, label in enumerate(given_labels)]
    shown = hold.pass_on(sentences)
    first = next((at for at, label in enumerate(given_labels) if label in UNSUPPORTED), len(sentences))
    assert (shown, hold.held) == (sentences[:first], sentences[first:])


def test_a_mended_sentence_stands_where_the_bad_one_stood() -> None:
    hold = HoldBack(Policy.WITHHOLD, mendable=lambda: True)
    good, bad, worse = (
        judged(0, SupportLabel.SUPPORTED),
        judged(1, SupportLabel.UNSUPPORTED),
        judged(2, SupportLabel.CONTRADICTED),
    )
    assert hold.pass_on([bad, good, worse]) == []
    assert hold.failing() == [0, 2]
    better = [judged(3, SupportLabel.SUPPORTED), judged(4, SupportLabel.PARTIAL)]
    hold.mend({0: better, 2: ()})
    assert hold.failing() == []
    assert (hold.release(), hold.withheld) == ([*better, good], 0)
