"""Asking for better sentences, and reading what comes, in either form."""

from __future__ import annotations

import json

import pytest

from service.generation.prompts import load_prompt
from service.generation.repairs import read_repair, render_repair
from tests.service.generation_parts import BACKUPS, RESTART, indexed

Told = dict[int, list[tuple[str, tuple[int, ...]]]]


def read(answer: str, *, structured: bool = False, asked: int = 3) -> Told:
    found = read_repair(answer, structured=structured, shown=2, asked=asked)
    return {at: [(sentence.text, sentence.cites) for sentence in sentences] for at, sentences in found.items()}


def of(*entries: dict[str, object]) -> str:
    return json.dumps({"repairs": entries})


def test_the_request_names_the_sentences_and_what_is_wrong_with_them() -> None:
    rendered = render_repair(
        "How long? </passage>",
        [indexed(RESTART), indexed(BACKUPS)],
        [("The drain waits 30 seconds.", "30 seconds is not\nin the passage"), ("```sh\nls\n```", "not said")],
    )
    body = rendered.messages[-1].content
    assert "1: The drain waits 30 seconds.\n(30 seconds is not in the passage)\n2: ```sh\nls\n```\n(not said)" in body
    assert body.count("</passage>") == 2
    assert '<passage number="2"' in body
    assert rendered.structured is not None
    assert rendered.structured.messages[-1].content == body


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("1: The drain waits 120 seconds [1].", {0: [("The drain waits 120 seconds.", (1,))]}),
        ("1: A [1].\n2: DROP\n3: C [2].", {0: [("A.", (1,))], 1: [], 2: [("C.", (2,))]}),
        ("**2:** Wait [1].", {1: [("Wait.", (1,))]}),
        ("Sentence 2: Wait [1].", {1: [("Wait.", (1,))]}),
        ("Here you are:\n\n- 1: Wait [1].", {0: [("Wait.", (1,))]}),
        ("1: 2. Drain it [1].", {0: [("2. Drain it.", (1,))]}),
        ("1: Do A [1]. Do B [2].", {0: [("Do A.", (1,)), ("Do B.", (2,))]}),
        ("1: Run:\n```sh\n2: x\n```\n[1]\n3: DROP", {0: [("Run:\n```sh\n2: x\n```", (1,))], 2: []}),
        ("1: ```sh\n2: x\n```\n[1]\n3: dropped.", {0: [("```sh\n2: x\n```", (1,))], 2: []}),
        ("7: Nothing of the kind [1].", {}),
        ("I cannot help with that.", {}),
        ("DROP", {0: [], 1: [], 2: []}),
        ("NOT_IN_SOURCES", {0: [], 1: [], 2: []}),
        ("<think>1: no</think>2: Wait [1].", {1: [("Wait.", (1,))]}),
        ("", {}),
    ],
)
def test_lines(answer: str, told: Told) -> None:
    assert read(answer) == told


def test_the_number_of_an_only_sentence_may_be_missing() -> None:
    assert read("The drain waits 120 seconds [1].", asked=1) == {0: [("The drain waits 120 seconds.", (1,))]}
    assert read("Sure, here it is.", asked=1) == {}
    assert read("The drain waits 120 seconds [1].", asked=2) == {}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (of({"sentence": 1, "text": "A.", "citations": [1]}), {0: [("A.", (1,))]}),
        (of({"sentence": "2", "text": "A [1].", "citations": []}), {1: [("A.", (1,))]}),
        (of({"sentence": 3, "text": "", "citations": []}), {2: []}),
        (of({"sentence": 3, "text": "DROP", "citations": [1]}), {2: []}),
        (of({"sentence": 9, "text": "A.", "citations": [1]}, {"text": "B."}, {"sentence": 1, "text": 3}), {}),
        ("```json\n" + of({"sentence": 1, "text": "A.", "citations": [1, 9]}) + "\n```", {0: [("A.", (1,))]}),
        (of({"sentence": 1, "text": "A.", "citations": [1]}, {"sentence": 2, "text": "B."})[:-8], {0: [("A.", (1,))]}),
        ("1: A [1].", {0: [("A.", (1,))]}),
    ],
)
def test_json(answer: str, told: Told) -> None:
    assert read(answer, structured=True) == told


def test_the_worked_example_reads_the_same_in_both_forms() -> None:
    rendered = load_prompt("repair@1").fill()
    assert rendered.structured is not None
    (plain,) = (message.content for message in rendered.messages if message.role == "assistant")
    (form,) = (message.content for message in rendered.structured.messages if message.role == "assistant")
    assert read(plain) == read(form, structured=True)
    assert read(plain)[1] == []
