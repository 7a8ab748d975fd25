"""Sentences are found whole, and the one that says most is chosen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retrieval.sentences import MAX_EMBEDDED, best_by_words, in_order_of_words, sentences_of


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Use e.g. Kafka 3.7 or vs. nothing. Done.", ["Use e.g. Kafka 3.7 or vs. nothing.", "Done."]),
        ("Run `a. B c` now. Then wait.", ["Run `a. B c` now.", "Then wait."]),
        ("It wraps\nover lines. Next.", ["It wraps\nover lines.", "Next."]),
        ("# Title\n\nText here.", ["Text here."]),
        ("- first. Still first\n  and on\n- second", ["- first. Still first\n  and on", "- second"]),
        ("1. Drain it.\n2. Stop it.", ["1. Drain it.", "2. Stop it."]),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", ["| a | b |", "| --- | --- |", "| 1 | 2 |"]),
        ("Do:\n\n```bash\nkubectl get pods\nkubectl \\\n  delete pod x\n```\nEnd.",
         ["Do:", "kubectl get pods", "kubectl \\\n  delete pod x", "End."]),
        ("Do:\n\n    make. All\n    make test\n\nEnd.", ["Do:", "make. All", "make test", "End."]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_sentences_items_rows_and_commands_come_whole(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


@given(st.text(alphabet="ab.!` \n-#|1*~\\\t", max_size=200))
def test_ranges_are_disjoint_in_order_and_trimmed(text: str) -> None:
    ranges = sentences_of(text)

    assert all(start < end for start, end in ranges)
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))
    assert all(text[start:end] == text[start:end].strip() for start, end in ranges)


def test_the_best_sentence_has_the_weightiest_terms_and_of_equals_the_shorter() -> None:
    text = "Restart it slowly and with care. Restart it. The gateway answers."
    ranges = sentences_of(text)
    restart, gateway = frozenset({"restart"}), frozenset({"gateway"})
    marks = [((0, 7), restart), ((33, 40), restart), ((49, 56), gateway)]

    assert best_by_words(ranges, marks, {"restart": 0.4, "gateway": 0.6}) == 2
    assert best_by_words(ranges, marks, {"restart": 0.6, "gateway": 0.4}) == 1
    assert best_by_words(ranges, [], {"restart": 1.0}) is None
    assert in_order_of_words(ranges, marks, {"restart": 0.4, "gateway": 0.6}) == [(0.6, 2), (0.4, 1), (0.4, 0)]


def test_a_batch_of_sentences_is_bounded() -> None:
    from service.retrieval.sentences import _shared

    assert sum(_shared([30] * 10)) == MAX_EMBEDDED
    assert _shared([2, 90, 1]) == [2, 61, 1]
    assert _shared([]) == []
