"""Answers written elsewhere: what each sentence is checked against, what is quoted, what hostile text costs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.corpus.records import ChunkId, IndexedChunk
from ingestion.errors import InvalidRequest
from service.generation.answers import AnsweredSentence, GroundingLabel, SupportLabel
from service.generation.checking.evidence import Reader
from service.generation.material import GivenPassage, Material
from service.generation.verification import MAX_SENTENCES, Verification, VerificationQuery, Verifier
from tests.service.generation_parts import BACKUPS, CODES, PREFIX, RESTART, SCOPE, indexed

PASSAGES = (
    GivenPassage(1, RESTART, ("Gateway restart",)),
    GivenPassage(7, CODES, ("Error codes",)),
    GivenPassage(3, BACKUPS, ("Backups",)),
)
CHUNKS: dict[ChunkId, IndexedChunk] = {
    chunk.id: chunk for chunk in (indexed(RESTART, name="restart"), indexed(BACKUPS, name="backups"))
}
VERIFIER = Verifier(lambda scope, ids: {id_: CHUNKS[id_] for id_ in ids if id_ in CHUNKS and scope == SCOPE})


def verified(answer: str, *passages: GivenPassage, question: str = "") -> Verification:
    return VERIFIER.verify(SCOPE, VerificationQuery(answer, passages or PASSAGES, question=question))


def only(answer: str, *passages: GivenPassage) -> AnsweredSentence:
    (sentence,) = verified(answer, *passages).sentences
    return sentence


def test_citations_are_the_callers_own_numbers() -> None:
    found = verified("Backups are kept for 30 days [3]. `GH-5021` means that no upstream is healthy [7].")

    assert [sentence.citations for sentence in found.sentences] == [(3,), (7,)]
    assert found.grounding is not None
    assert found.grounding.citation_precision == 1.0
    assert [citation.passage.n for citation in found.citations] == [3, 7]


def test_quotes_stand_at_their_spans() -> None:
    found = verified("Drain the host first [1]. Backups run every night at 02:00. Restores need dbtool 2.3.1 [3].")

    assert {at for citation in found.citations for at in citation.sentences} == {0, 1, 2}
    for citation in found.citations:
        assert citation.quote == citation.span.of(citation.passage.text)


def test_spans_of_chunks_count_in_their_document() -> None:
    ids = tuple(CHUNKS)
    found = VERIFIER.verify(SCOPE, VerificationQuery("Backups are kept for 30 days [2].", chunk_ids=ids))

    (citation,) = found.citations
    assert citation.passage.chunk == CHUNKS[ids[1]]
    assert citation.quote == citation.span.of(PREFIX + BACKUPS)


def test_a_chunk_that_is_not_there_is_named() -> None:
    query = VerificationQuery("x", chunk_ids=(next(iter(CHUNKS)), ChunkId("nonesuch")))

    with pytest.raises(InvalidRequest, match="nonesuch") as caught:
        VERIFIER.verify(SCOPE, query)
    assert caught.value.pointer == "/chunk_ids/1"


@pytest.mark.parametrize(
    ("sentence", "label", "cited"),
    [
        ("The drain waits 120 seconds for open requests.", SupportLabel.SUPPORTED, (1,)),
        ("Backups of ledgerd are kept for 60 days.", SupportLabel.CONTRADICTED, (3,)),
        ("Always delete gatehouse pods during an incident.", SupportLabel.CONTRADICTED, (7,)),
        ("The moon is made of green cheese.", SupportLabel.UNSUPPORTED, ()),
        ("Restart the gateway with `kubectl delete pod gatehouse`.", SupportLabel.UNSUPPORTED, ()),
    ],
)
def test_a_sentence_without_a_citation_is_checked_against_everything(
    sentence: str, label: SupportLabel, cited: tuple[int, ...]
) -> None:
    found = only(sentence)

    assert (found.support.label, found.citations) == (label, cited)
    assert found.support.checks[0] == ("citation:added" if cited else "citations:none")


def test_what_two_passages_tell_together_cites_both() -> None:
    found = only("The gatehouse runs on eighteen hosts in Rotterdam, and its certificates come from Letterbox.",
                 GivenPassage(1, "The gatehouse runs on eighteen hosts in Rotterdam."),
                 GivenPassage(2, "All certificates of gatehouse come from Letterbox."),
                 GivenPassage(3, "Invoices are sent on the first working day."))  # fmt: skip

    assert found.support.label is SupportLabel.SUPPORTED
    assert set(found.citations) == {1, 2}


def test_an_answer_that_cites_nothing_has_no_precision() -> None:
    grounding = verified("The drain waits 120 seconds. Backups are kept for 30 days.").grounding

    assert grounding is not None
    assert grounding.label is GroundingLabel.GROUNDED
    assert (grounding.citation_precision, grounding.citation_recall) == (0.0, 0.0)


def test_numbers_that_were_not_given_are_told() -> None:
    found = verified("Backups are kept for 30 days [2, 9]. Drain the host first [1].")

    assert found.unknown == (2, 9)
    assert found.sentences[0].citations == (3,)
    assert found.grounding is not None
    assert found.grounding.citation_precision == pytest.approx(1 / 3, abs=1e-3)


def test_a_wrong_citation_is_corrected_and_costs_precision() -> None:
    found = verified("Backups of ledgerd run every night at 02:00 [1].")

    assert found.sentences[0].citations == (3,)
    assert "citation:corrected" in found.sentences[0].support.checks
    assert found.grounding is not None
    assert found.grounding.citation_precision == 0.0


def test_a_line_that_introduces_shares_the_verdict_of_what_follows() -> None:
    found = verified(
        "To restart the gateway:\n\n1. Drain the host before you restart it [1]", question="restart gateway"
    )

    assert [sentence.support.label for sentence in found.sentences] == [SupportLabel.SUPPORTED] * 2


@pytest.mark.parametrize("answer", ["...", "[1]", "---\n\n***"])
def test_a_text_without_a_sentence_has_no_grounding(answer: str) -> None:
    found = verified(answer)

    assert (found.sentences, found.grounding) == ((), None)


def test_a_long_passage_is_found_anywhere_in_it() -> None:
    filler = "\n\n".join(
        f"Note {n}: the depot of district {n} opens at {n % 24}:15 on working days." for n in range(6000)
    )
    at = len(filler) // 2
    text = f"{filler[:at]}\n\n{BACKUPS}\n\n{filler[at:]}"

    for answer in ("Backups of ledgerd are kept for 30 days [4].", "Backups of ledgerd are kept for 30 days."):
        found = verified(answer, GivenPassage(4, text))
        assert found.sentences[0].support.label is SupportLabel.SUPPORTED
        assert found.sentences[0].citations == (4,)
        assert "kept for 30 days" in found.citations[0].quote
        assert found.citations[0].quote == found.citations[0].span.of(text)
        assert "citation:corrected" not in found.sentences[0].support.checks


@given(st.text(st.sampled_from("ab \n.`~#|-"), max_size=400), st.integers(0, 60))
def test_parts_are_the_whole_passage(text: str, times: int) -> None:
    long = text * times
    parts = Material(Reader(), [GivenPassage(1, long)]).parts

    assert "".join(part.evidence.text for part in parts) == long
    assert all(len(part.evidence.text) <= 8_000 for part in parts)
    assert all(part.evidence.text == long[part.evidence.offset :][: len(part.evidence.text)] for part in parts)


def test_code_is_not_cut_where_a_blank_line_outside_is_near() -> None:
    block = "```\n" + "\n\n".join(f"kubectl get pods --shard {n}" for n in range(50)) + "\n```"
    text = "\n\n".join(
        [*["The gateway is restarted by hand." for _ in range(190)], block, *["It is cold." for _ in range(900)]]
    )

    for part in Material(Reader(), [GivenPassage(1, text)]).parts:
        assert part.evidence.text.count("```") % 2 == 0


HOSTILE = {
    "spaces": "a" + " " * 99_000 + "b.",
    "newlines": "\n" * 99_000 + "a",
    "backticks": "`" * 100_000,
    "stops": "." * 99_000 + "a",
    "brackets": "[" * 100_000,
    "fences": "~~~\n" * 25_000,
    "short": "Ok. " * (MAX_SENTENCES - 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_read_in_bounded_steps(name: str) -> None:
    assert verified(HOSTILE[name]).unknown == ()  # without care, minutes: the run's time limit would end it


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (" ".join(f"Ok{n}." for n in range(MAX_SENTENCES + 1)), "sentences"),
        ("1 " * 40_000, "characters"),
        ("[1" * 40_000, "characters"),
        (" ".join(f"w{n}" for n in range(9_000)), "characters"),
    ],
)
def test_what_would_cost_too_much_is_refused(answer: str, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{detail}.*pieces") as caught:
        verified(answer)
    assert caught.value.pointer == "/answer"


@given(
    st.lists(st.sampled_from(["Backups are kept for 30 days", "Drain the host", "Cheese is blue", "Run `x -f`"])),
    st.data(),
)
def test_every_sentence_has_a_verdict_and_given_citations(sentences: list[str], data: st.DataObject) -> None:
    marks = data.draw(st.lists(st.sampled_from(["", " [1]", " [3, 7]", " [99]"]), min_size=len(sentences)))
    found = verified(" ".join(f"{text}{mark}." for text, mark in zip(sentences, marks, strict=False)) or "-")

    assert len(found.sentences) == len(sentences)
    for sentence in found.sentences:
        assert set(sentence.citations) <= {1, 3, 7}
        assert sentence.support.label is not SupportLabel.SUPPORTED or sentence.citations
    used = {n for sentence in found.sentences for n in sentence.citations}
    assert used == {citation.passage.n for citation in found.citations}


def test_the_number_of_a_sentence_does_not_change_its_verdict() -> None:
    texts = ["Drain the host first.", "Backups are kept for 60 days.", "`GH-5022` means that the upstream closed."]
    random.Random(4).shuffle(texts)

    together = verified(" ".join(texts)).sentences

    assert [sentence.support for sentence in together] == [only(text).support for text in texts]
