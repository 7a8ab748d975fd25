"""What an extracted answer is made of: whole steps, readable rows, headings as context, one piece per question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.generation.checking.evidence import Reader
from service.generation.checking.facts import CODE_SPAN
from service.generation.checking.grounding import GroundingScorer
from service.generation.checking.sentences import UnitKind
from service.generation.extracting.answerability import HOPELESS
from service.generation.extracting.asking import Asked
from service.generation.extracting.candidates import candidates_of
from service.generation.extracting.fallback import MAX_STRETCHES, Extractor
from service.generation.extracting.grouping import groups_of
from service.generation.extracting.nearest import nearest
from service.generation.extracting.stretches import Extract
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
        "Drain the gateway. It waits 120 seconds. Then restart it with `kubectl  rollout restart deploy/gateway`.",
        "1. Restart:\n\n   ```bash\n   kubectl rollout restart deploy/gateway\n   ```",
        "2. Wait for the gateway.\n\n   It takes `a**b**c` seconds.\n3. Restart [the other](https://example.org/x).",
        "```yaml\ndrain: 120\n\nwait: true\n```",
        "| Code | Meaning |\n|---|---|\n| GH-1 | gateway drain |",
        "Steps:\n\n- drain the gateway\n- restart the gateway",
        "# Restart the gateway",
        "Gateway | Port\nedge | 8443",
        "GATEWAY NOTES\nRestart with care.",
        "Run this:\n\n    gatewayctl drain --wait 120",
        "> [!NOTE]\n> Never restart two gateways.",
        "A gateway " + "that is restarted twice " * 22 + "stays down. This is why the drain comes first. It is slow.",
    ]
)
QUESTIONS = st.sampled_from(["How do I drain and restart the gateway?", "Is the gateway down after a drain?"])


@given(st.lists(BLOCKS, min_size=1, max_size=6), QUESTIONS)
def test_what_is_shown_is_whole_and_stands_so_in_its_passage(blocks: list[str], question: str) -> None:
    text = "\n\n".join(blocks) + "\n"
    for candidate in candidates_of(Reader(), 0, passage(text)):
        assert text[candidate.start : candidate.end] == candidate.raw
        assert candidate.raw == candidate.raw.strip()
        assert candidate.raw.count("```") % 2 == 0

    shown = extract(question, text)
    assert len(shown) <= MAX_STRETCHES
    assert all(before.end <= after.start for before, after in pairwise(shown))
    groups = groups_of(text)
    for item in shown:
        raw = text[item.start : item.end]
        assert item.start in {unit.start for unit in groups}
        assert item.end in {unit.end for unit in groups}
        assert _codes(item.text) == _codes(raw)
        assert Counter(re.findall(r"\w+", item.text)) <= Counter(re.findall(r"\w+", raw)) + COLUMNS


COLUMNS = Counter(["Code", "Meaning", "Gateway", "Port"])


def _codes(text: str) -> list[str]:
    return [match.group() for match in CODE_SPAN.finditer(text)]


STEPS = [f"{n}. Step {n} of the drain:\n\n   ```bash\n   gatewayctl drain --phase {n}\n   ```" for n in range(1, 5)]


def test_a_procedure_comes_whole_and_with_its_opening() -> None:
    text = "Notes first.\n\nTo drain the gateway:\n\n" + "\n\n".join(STEPS) + "\n\nNo more is needed."

    (shown,) = extract("How do I run phase 3 of the gateway drain?", text)

    assert shown.text == text[text.index("To drain") : text.index("\n\nNo more")]


def test_of_too_long_a_procedure_whole_steps_are_shown() -> None:
    text = "\n\n".join(f"{step}\n\n   {'It takes a while. ' * 20}".rstrip() for step in STEPS)

    shown = extract("How do I run phase 4 of the gateway drain?", text)

    assert sum(len(item.text) for item in shown) < len(text)
    assert all(re.match(r"\d\. Step", item.text) and item.text.endswith("a while.") for item in shown)
    assert any("--phase 4" in item.text for item in shown)


def test_a_sentence_that_points_back_brings_what_it_points_to() -> None:
    filler = "Nobody knows why the depot was painted in this shade of green. " * 9
    text = f"{filler}The gateway drain is slow. It waits 120 seconds. {filler}".strip()

    (shown,) = extract("How long does it wait, in seconds?", text)

    assert shown.text == "The gateway drain is slow. It waits 120 seconds."


def test_a_command_brings_the_sentence_before_it() -> None:
    text = "Ask in the channel first.\n\n```bash\ngatewayctl drain --wait 120\n```\n\nMore is in the wiki."

    (shown,) = extract("Which gatewayctl command does the drain?", text)

    assert shown.text == text.partition("\n\nMore")[0]


def test_a_short_paragraph_is_shown_whole_and_a_copy_of_it_once() -> None:
    text = "The drain waits 120 seconds. Nobody may shorten it."

    (shown,) = extract("How long does the drain wait?", text, text)

    assert shown.text == text


def test_what_was_replaced_comes_last() -> None:
    reader = Reader()
    passages = [
        passage("The drain of the gateway waits 60 seconds.", "old"),
        passage("Since May the gateway waits 120 seconds for its drain and 9 for its door.", "new"),
    ]
    question = "How many seconds does the drain of the gateway wait?"

    shown = Extractor(reader, GroundingScorer(reader)).extract(question, passages, SURE, frozenset({0}))

    assert shown[0].index == 1


def test_words_alone_refuse_a_name_that_no_source_has() -> None:
    text = "Restart the gateway with `kubectl rollout restart deploy/gateway`."

    assert extract("How do I restart the gateway?", text)
    assert extract("How do I restart the Jenkins gateway?", text) == ()


def assess(question: str, *passages: Passage) -> float:
    reader = Reader()
    return Extractor(reader, GroundingScorer(reader)).answerable(question, passages, SURE)


def test_whether_passages_answer_is_told_before_a_model_is_asked() -> None:
    restart = passage("Restart the gateway with `kubectl rollout restart deploy/gateway`.")

    assert assess("How do I restart the gateway?", restart) > HOPELESS
    assert assess("How do I restart the Jenkins gateway?", restart) < HOPELESS
    assert assess("What does GH-5021 mean?", restart) == 0.0
    assert assess("How do I restart the gateway?") == 0.0


def test_a_title_that_says_all_that_is_asked_is_no_sign_against_an_answer() -> None:
    text = "Run the drain command and wait."
    titled = Passage(indexed(text, title="Restart the gateway"), 0.9)

    assert assess("How do I restart the gateway?", titled) >= assess("How do I restart the gateway?", passage(text))


def test_a_question_in_another_language_is_left_to_the_model() -> None:
    english = Passage(indexed("Restart the gateway.", metadata={"language": "en"}), 0.9)

    assert assess("Wie kann ich das Jenkins-System nach der Wartung neu starten?", english) == 1.0
    assert assess("How can I restart the Jenkins system after the maintenance?", english) < HOPELESS


def test_what_was_judged_is_not_embedded_again() -> None:
    embedder = CountingEmbedder()
    reader = Reader()
    extractor = Extractor(reader, GroundingScorer(reader), embedder)
    passages = [passage(PLAN), passage("The drain of the gateway waits 120 seconds.", "other")]
    question = "How long does the drain of the gateway wait, and who owns the Jenkins cluster?"

    before = extractor.answerable(question, passages, SURE)
    assert extractor.answerable(question, passages, SURE) == before
    assert 0 < len(embedder.seen) < 24
    extractor.extract(question, passages, SURE)
    extractor.answerable("Another question about the gateway?", passages, SURE)

    assert len(embedder.seen) == len(set(embedder.seen))


class CountingEmbedder:
    """Vectors by the letters of a text, under the name of the model whose cosines are known."""

    name = "ibm-granite/granite-embedding-30m-english@test"
    dimension = 26
    max_tokens = 512

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += [(text, False) for text in texts]
        return np.stack([_letters(text) for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        self.seen.append((text, True))
        return _letters(text)

    def close(self) -> None:
        """Nothing to close."""


def _letters(text: str) -> NDArray[np.float32]:
    counts = np.array([1 + text.casefold().count(chr(97 + at)) for at in range(26)], dtype=np.float32)
    return np.asarray(counts / np.linalg.norm(counts), dtype=np.float32)


def test_the_nearest_documents_are_three_different_ones_best_first() -> None:
    passages = [
        Passage(indexed("a", name="first"), 0.02),
        Passage(indexed("b", name="first"), 0.01),
        Passage(indexed("c", name="replaced"), 0.02),
        Passage(indexed("d", name="second"), 0.01),
        Passage(indexed("e", name="third"), 0.0),
    ]

    assert [document.id for document in nearest(passages)] == ["first", "replaced", "second"]
    assert [document.id for document in nearest(passages, frozenset({2}))] == ["first", "second", "third"]
    assert nearest(()) == ()
