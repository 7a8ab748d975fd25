"""What the benchmark of answers says of a model: whether its form is valid, and when a sentence was written."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.tapping import Call, RawAnswer, TappedModel, finished_s, raw_answer
from service.generation.models.llm import ChatDelta, ChatMessage, ChatRequest
from tests.fakes import saying


def call(*pieces: str, structured: bool = False) -> Call:
    """A call that began at 100 s and gave a piece each second."""
    return Call(100.0, [(101.0 + at, ChatDelta(piece, structured=structured)) for at, piece in enumerate(pieces)])


def test_a_model_that_is_listened_to_says_what_it_says() -> None:
    model = TappedModel(saying("Drain it [1].", " Wait."))

    async def listen() -> list[str]:
        return [delta.text async for delta in model.stream(ChatRequest((ChatMessage("user", "Q?"),), 16))]

    assert asyncio.run(listen()) == ["Drain it [1].", " Wait."]
    (heard,) = model.take()
    assert heard.text == "Drain it [1]. Wait."
    assert model.take() == []


@pytest.mark.parametrize(
    ("answer", "structured", "raw"),
    [
        ("Drain it [1]. Wait.", False, RawAnswer(True, False, 1, 2)),
        ("Do this:\n- Drain it [1]\n- Wait [2]", False, RawAnswer(True, False, 2, 2)),
        ("NOT_IN_SOURCES", False, RawAnswer(True, True, 0, 0)),
        ("Drain it.", False, RawAnswer(False, False, 0, 1)),
        ("Drain it [1][7].", False, RawAnswer(False, False, 1, 1)),
        ('{"answered": true, "sentences": [{"text": "Go.", "citations": [1]}]}', True, RawAnswer(True, False, 1, 1)),
        ('{"answered": true, "sentences": [{"text": "Go.", "citations": [1]}', True, RawAnswer(False, False, 1, 1)),
        ('{"answered": false, "sentences": []}', True, RawAnswer(True, True, 0, 0)),
    ],
)
def test_what_a_model_itself_said(answer: str, structured: bool, raw: RawAnswer) -> None:
    assert raw_answer(call(answer, structured=structured), 3) == raw


def test_a_sentence_is_finished_with_its_citation() -> None:
    heard = call("Drain", " it", " [1]", ".", " Then", " wait [2].")
    assert finished_s(heard, "Drain it.", 3) == 4.0
    assert finished_s(heard, "Then wait.", 3) == 6.0
    assert finished_s(heard, "Restart it.", 3) is None
    behind = call("Drain it.", " [1", "]", " Then", " wait.")
    assert finished_s(behind, "Drain it.", 3) == 3.0


def test_a_sentence_in_json_is_finished_with_its_object() -> None:
    heard = call('{"sentences": [{"text": "Go.",', ' "citations": [1]', "}", "]}", structured=True)
    assert finished_s(heard, "Go.", 3) == 3.0
