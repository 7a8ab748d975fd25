"""What an extracted answer is made of: whole steps, readable rows, headings as context, one piece per question."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.generation.asking import Asked
from service.generation.candidates import candidates_of
from service.generation.evidence import Reader
from service.generation.fallback import MAX_STRETCHES, Extract, Extractor
from service.generation.grounding import GroundingScorer
from service.generation.sentences import UnitKind
from service.retrieval.results import Passage, Relevance, RelevanceLabel
from tests.service.generation_parts import indexed

SURE = Relevance(RelevanceLabel.STRONG, 0.9)
PLAN = """LEGAL AND PRIVACY
Suspected leak: Compliance Officer, ext. 4020, day or night.

We postpone if
  * a broker is above 80 % disk,
  * or an incident is open.

Sound | Light | Meaning
two short | green | accepted
siren | red | fenced parcel

No. Press Reprint within 48 hours.

Check from outside:

    openssl s_client -connect api.example:443
"""


def passage(text: str, name: str = "doc") -> Passage:
    return Passage(indexed(text, name=name), 0.9)


def extract(question: str, *texts: str) -> tuple[Extract, ...]:
    reader = Reader()
    passages = [passage(text, f"doc-{at}") for at, text in enumerate(texts)]
    return Extractor(reader, GroundingScorer(reader)).extract(question, passages, SURE)


def raws(text: str) -> list[str]:
    return [candidate.raw for candidate in candidates_of(Reader(), 0, passage(text))]


def test_an_abbreviation_and_a_short_reply_do_not_end_a_stretch() -> None:
    assert "Suspected leak: Compliance Officer, ext. 4020, day or night." in raws(PLAN)
    assert "No. Press Reprint within 48 hours." in raws(PLAN)


def test_a_list_comes_whole_and_in_items_and_a_command_with_its_sentence() -> None:
    found = candidates_of(Reader(), 0, passage(PLAN))

    whole = [candidate.raw for candidate in found if candidate.whole]
    assert whole == ["We postpone if\n  * a broker is above 80 % disk,\n  * or an incident is open."]
    items = [candidate for candidate in found if candidate.lead == "We postpone if"]
    assert [item.kind for item in items[:2]] == [UnitKind.ITEM, UnitKind.ITEM]
    assert "Check from outside:\n\n    openssl s_client -connect api.example:443" in raws(PLAN)


@pytest.mark.parametrize(
    "table",
    [
        "Sound | Light | Meaning\ntwo short | green | accepted\nsiren | red | fenced parcel\n",
        "| Sound | Light | Meaning |\n|---|---|---|\n| short | green | accepted |\n| siren | red | fenced parcel |\n",
    ],
)
def test_a_row_is_read_with_the_names_of_its_columns(table: str) -> None:
    (shown,) = extract("What does the siren mean?", table)

    assert shown.text == "Sound: siren \u2014 Light: red \u2014 Meaning: fenced parcel"


def test_each_of_two_questions_gets_a_stretch() -> None:
    text = "Refunds above EUR 400 are approved by the Support lead.\n\nThe credit appears on the next weekly invoice."
    shown = extract("Who approves refunds above EUR 400, and when does the credit appear?", text)

    assert {item.text.rpartition(" ")[2] for item in shown} == {"lead.", "invoice."}


def test_a_question_falls_into_parts_without_what_sets_the_scene() -> None:
    reader = Reader()
    asked = Asked.of(reader, "The gateway is down. How do I restart it, and whose approval is needed?")

    assert [part.text for part in asked.parts(reader)] == ["How do I restart it", "whose approval is needed?"]
    assert Asked.of(reader, "How long does the drain wait?").parts(reader) == ()
    assert Asked.of(reader, "Who may restart it and whose?").parts(reader) == ()


def test_without_a_word_a_question_reads_on() -> None:
    asked = Asked.of(Reader(), "How do I scale the rabbit cluster after GH-5021?")

    assert asked.unknown_words(frozenset({"scale", "cluster"}), 3) == ["rabbit"]
    assert asked.without("rabbit") == "How do I scale the cluster after GH-5021?"


BLOCKS = st.sampled_from(
    [
        "Drain the gateway first. It waits 120 seconds.",
        "1. Restart:\n\n   ```bash\n   kubectl rollout restart deploy/gateway\n   ```",
        "```yaml\ndrain: 120\n\nwait: true\n```",
        "| Code | Meaning |\n|---|---|\n| GH-1 | gateway drain |",
        "Steps:\n\n- drain the gateway\n- restart the gateway",
        "# Restart the gateway",
        "Gateway | Port\nedge | 8443",
        "GATEWAY NOTES\nRestart with care.",
        "Run this:\n\n    gatewayctl drain --wait 120",
        "> [!NOTE]\n> Never restart two gateways.",
    ]
)


@given(st.lists(BLOCKS, min_size=1, max_size=6))
def test_stretches_lie_inside_their_passage_apart_and_with_whole_code(blocks: list[str]) -> None:
    text = "\n\n".join(blocks) + "\n"
    for candidate in candidates_of(Reader(), 0, passage(text)):
        assert text[candidate.start : candidate.end] == candidate.raw
        assert candidate.raw == candidate.raw.strip()
        assert candidate.raw.count("```") % 2 == 0

    shown = extract("How do I drain and restart the gateway?", text)
    assert len(shown) <= MAX_STRETCHES
    places = sorted((item.start, item.end) for item in shown)
    assert all(before[1] <= after[0] for before, after in pairwise(places))


def test_words_alone_refuse_a_name_that_no_source_has() -> None:
    text = "Restart the gateway with `kubectl rollout restart deploy/gateway`."

    assert extract("How do I restart the gateway?", text)
    assert extract("How do I restart the Jenkins gateway?", text) == ()
