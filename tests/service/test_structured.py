"""The reader of answers in JSON: every cut gives the same sentences, and what models make of the form is understood."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ModelFailure, ModelFailureReason
from service.generation.citations import NOT_IN_SOURCES, CitedSentence
from service.generation.models.llm import ChatDelta
from service.generation.structured import AnswerReader, StructuredParser

TEXTS = st.sampled_from(
    [
        "Drain the host.", "Wait 90 seconds", "Run `ls arr[1]` now.", "Restart it:\n\n```sh\nsystemctl restart a\n```",
        'Say "yes", then {go}.', "Two. Sentences.", "Zwölf Stück. \u3002", "- item\n- other [2]", "It says [1].", "",
        "back\\slash \\n", "\U0001f600 done.", "NOT_IN_SOURCES",
    ]
)  # fmt: skip
NUMBERS = st.one_of(st.integers(0, 5), st.sampled_from(["1", "[2]", "passage 3", 2.0, None, True]))
ENTRIES = st.fixed_dictionaries(
    {"text": TEXTS, "citations": st.one_of(st.lists(NUMBERS, max_size=3), NUMBERS)},
    optional={"note": st.sampled_from(["x", {"a": [1]}, 3])},
)
ANSWERS = st.builds(
    lambda answered, entries, ascii_only, indent: json.dumps(
        {"answered": answered, "sentences": entries}, ensure_ascii=ascii_only, indent=indent
    ),
    st.booleans(), st.lists(ENTRIES, max_size=4), st.booleans(), st.sampled_from([None, 2]),
)  # fmt: skip
NOISE = st.lists(
    st.sampled_from(
        [
            '{"answered": true, "sentences": [', '{"text": "Drain it.", ', '"citations": [1]}', '"', "\\", "\\u00", "]",
            "}", ",", ":", "{", "[", "```json\n", "Here it is: ", "true", "1", "\n", "Drain it [1].", "<think>",
            "</think>", '"sentences"', "tru", "\\ud83d", "\\ude00", "nan", "-",
        ]
    ),
    max_size=14,
).map("".join)  # fmt: skip

Reading = tuple[list[CitedSentence], ModelFailureReason | None]


def read(pieces: Sequence[str], *, cut_off: bool = False, structured: bool = True, shown: int = 3) -> Reading:
    reader = AnswerReader(shown)
    sentences: list[CitedSentence] = []
    try:
        for piece in pieces:
            sentences += reader.feed(ChatDelta(piece, structured=structured))
        sentences += reader.close(cut_off=cut_off)
    except ModelFailure as failure:
        return sentences, failure.reason
    return sentences, None


def texts(answer: str, *, cut_off: bool = False) -> list[tuple[str, tuple[int, ...]]]:
    sentences, failure = read([answer], cut_off=cut_off)
    assert failure is None, failure
    return [(sentence.text, sentence.cites) for sentence in sentences]


def of(*entries: object, answered: bool = True) -> str:
    return json.dumps({"answered": answered, "sentences": entries})


@given(st.one_of(ANSWERS, NOISE, st.builds("{}{}{}".format, NOISE, ANSWERS, NOISE)), st.booleans(), st.data())
def test_any_split_of_the_stream_gives_the_same_sentences(answer: str, cut_off: bool, data: st.DataObject) -> None:
    whole = read([answer], cut_off=cut_off)
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=12).map(sorted))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert read(pieces, cut_off=cut_off) == whole
    assert read(list(answer), cut_off=cut_off) == whole
    plain = read([answer], cut_off=cut_off, structured=False)
    assert read(list(answer), cut_off=cut_off, structured=False) == plain


@given(st.lists(ENTRIES, max_size=4))
def test_no_number_of_a_passage_never_shown_comes_out(entries: list[dict[str, object]]) -> None:
    sentences, _ = read([of(*entries)])
    assert all(1 <= number <= 3 for sentence in sentences for number in sentence.cites)


def test_a_sentence_is_out_as_soon_as_its_object_is_complete() -> None:
    parser = StructuredParser(3)
    assert parser.feed('{"answered": true, "sentences": [{"text": "Drain it.", "citations": [1]') == []
    assert [sentence.text for sentence in parser.feed("}")] == ["Drain it."]
    assert parser.feed(', {"text": "Wait."') == []


@pytest.mark.parametrize(
    "answer",
    [
        of({"text": "Drain it.", "citations": [1, 2]}),
        of({"citations": [1, 2], "text": "Drain it."}),
        of({"text": "Drain it.", "citations": ["1", "[2]"]}),
        of({"text": "Drain it.", "citations": "1, 2"}),
        of({"text": "Drain it.", "citations": [1.0, 2, 2]}),
        of({"text": "Drain it [1].", "citations": [2, 1]}).replace('"citations": [2, 1]', '"citations": [1, 2]'),
        of({"text": "Drain it. [1][2]", "citations": []}),
        of({"text": "Drain it. [1][2]"}),
        of("Drain it [1][2]."),
        of({"text": "Drain it.", "citations": [1, 2], "confidence": {"is": ["high"]}}),
        'Here:\n```json\n{"answered": true, "sentences": [{"text": "Drain it.", "citations": [1, 2]}]}\n```\nOK?',
        '```json\n{"answered": true, "sentences": [{"text": "Drain it.", "citations": [1, 2,],},],}\n```',
        '{"answered": True "sentences": [{"text": "Drain it.", "citations": [1 2]}]}',
        '{"sentences": [{"text": "Drain it.", "citations": [1, 2]}], "answered": true}',
        '{"answer": {"answered": true, "sentences": [{"text": "Drain it.", "citations": [1, 2]}]}}',
        '[{"text": "Drain it.", "citations": [1, 2]}]',
        '{"answer": "Drain it [1][2]."}',
        '<think>{"answered": false}</think>\n{"sentences": [{"text": "Drain it.", "citations": [1, 2]}]}',
        "Drain it [1][2].",
    ],
)  # fmt: skip
def test_what_models_make_of_the_form_is_understood(answer: str) -> None:
    assert texts(answer) == [("Drain it.", (1, 2))]


def test_code_in_a_text_comes_out_to_the_letter() -> None:
    block = 'Restart it:\n\n```sh\nfor a in "$@"; do echo "\\$a[1]\\n" | sed \'s/\\./,/\'; done\n```'
    assert texts(of({"text": block, "citations": [1]})) == [(block, (1,))]


def test_quotation_marks_and_escapes_that_json_forbids_are_kept() -> None:
    answer = '{"answered": true, "sentences": [{"text": "Say "go" with `grep \\d`.", "citations": [1]}]}'
    assert texts(answer) == [('Say "go" with `grep \\d`.', (1,))]


def test_line_breaks_that_were_escaped_twice_are_line_breaks() -> None:
    (entry,) = texts(of({"text": "Run:\\n```sh\\nls -l\\n```", "citations": [1]}))
    assert entry == ("Run:\n```sh\nls -l\n```", (1,))


def test_several_sentences_in_one_entry_come_apart() -> None:
    assert texts(of({"text": "Drain it. Wait [2]. Then restart.", "citations": [1]})) == [
        ("Drain it.", (1,)),
        ("Wait.", (2,)),
        ("Then restart.", (1,)),
    ]


def test_numbers_of_passages_never_shown_are_dropped_and_counted() -> None:
    (sentence,), _ = read([of({"text": "Drain it [7].", "citations": [1, 7, 0]})])
    assert (sentence.cites, sentence.unknown) == ((1,), 2)


@pytest.mark.parametrize(
    "answer",
    [
        of(answered=False),
        of({"text": "The passages do not say.", "citations": []}, answered=False),
        of({"text": "NOT_IN_SOURCES", "citations": []}),
        "NOT_IN_SOURCES",
        "Not in sources.",
    ],
)
def test_a_refusal_gives_the_signal_of_plain_text(answer: str) -> None:
    assert texts(answer)[0] == (NOT_IN_SOURCES, ())


def test_in_plain_text_too_the_signal_is_one() -> None:
    sentences, _ = read(["**NOT_IN_SOURCES**."], structured=False)
    assert [sentence.text for sentence in sentences] == [NOT_IN_SOURCES]
    (sentence,), _ = read(["The code NOT_IN_SOURCES is meant for the model [1]."], structured=False)
    assert sentence.text != NOT_IN_SOURCES


def test_steps_and_blocks_stand_on_lines_of_their_own() -> None:
    answer = of("Do this:", "1. Drain it.", "2. Wait.", "```sh\nls\n```", "Done.", "All good.")
    sentences, _ = read([answer])
    assert [sentence.lead for sentence in sentences] == ["", "\n", "\n", "\n\n", "\n\n", " "]


def test_what_was_cut_off_loses_only_the_sentence_under_way() -> None:
    whole = of({"text": "Drain it.", "citations": [1]}, {"text": "Never restart it.", "citations": [2]})
    assert texts(whole[: whole.index(" restart")], cut_off=True) == [("Drain it.", (1,))]
    assert texts("Drain it [1]. Never", cut_off=True) == [("Drain it.", (1,))]
    assert texts("", cut_off=True) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I have no idea what you mean.", ModelFailureReason.MALFORMED),
        ('{"answered": true, "sentences": [{"text": "Drain it.', ModelFailureReason.MALFORMED),
        ('{"answered": true, "sentences": ]', ModelFailureReason.MALFORMED),
        ('{"answered": yes}', ModelFailureReason.MALFORMED),
        ("{" * 3 + '"' + "[" * 30, ModelFailureReason.MALFORMED),
        ('{"a": [' + "[" * 30, ModelFailureReason.MALFORMED),
        ('{"answered": true, "sentences": []}', ModelFailureReason.EMPTY),
        ("{}", ModelFailureReason.EMPTY),
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_model(answer: str, reason: ModelFailureReason) -> None:
    assert read([answer])[1] is reason


def test_sentences_before_json_broke_are_kept() -> None:
    good = of({"text": "Drain it.", "citations": [1]})
    sentences, failure = read([good[:-2] + " oops]}"])
    assert [sentence.text for sentence in sentences] == ["Drain it."]
    assert failure is ModelFailureReason.MALFORMED


def test_nothing_at_all_is_left_to_the_caller() -> None:
    assert read([]) == ([], None)
    assert read(["", "  "]) == ([], None)
    assert read(["<think>I wonder"]) == ([], None)
