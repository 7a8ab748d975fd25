"""Reads a model's answer in JSON as it streams: the same sentences that `citations` reads out of plain text.

`{"answered": true, "sentences": [{"text": "...", "citations": [1]}]}`, as the prompts ask for, and what models make of
it. Reading the characters is left to `jsonstream`, judging the sentences to `grounding`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.errors import ModelFailure, ModelFailureReason
from service.generation.checking.sentences import FENCE, ITEM
from service.generation.citations import NOT_IN_SOURCES, CitationParser, CitedSentence
from service.generation.declining import finds_nothing
from service.generation.jsonstream import JsonPath, JsonStream
from service.generation.models.llm import ChatDelta

_OPENING = re.compile(
    r"\A\s*(?:`{3}\w*\s+)?(?=\{\s*[\"}]|\[\s*\{)|(?=\{\s*\"(?:answered|sentences|answer|response)\"\s*:)"
)
"""Where the JSON begins: at the top, perhaps fenced, or behind prose with a key that only our form has."""
_DECLINED = re.compile(r"\W*not[_ ]in[_ ](?:the[_ ])?sources?\W*", re.IGNORECASE)
_WHOLE_KEYS = ("answer", "response", "text")
"""Where models that were given no schema put an answer in one piece."""
_NUMBER = re.compile(r"\d{1,3}")
_ESCAPED_BLOCK = re.compile(r"`{3}\w*\\n")
_THINKS = "<think>"
_THOUGHT = "</think>"


class StructuredParser:
    """Feed it the pieces; it returns sentences as soon as their objects are complete, whatever the cuts between pieces.

    `answered: false` comes out as the sentence `NOT_IN_SOURCES`.
    """

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._held = ""
        self._stream: JsonStream | None = None
        self._ready: list[CitedSentence] = []
        self._last: CitedSentence | None = None

    def feed(self, piece: str) -> list[CitedSentence]:
        """Sentences that this piece completes."""
        if self._stream is None:
            self._held += piece
            opening = _OPENING.search(self._held)
            if opening is None:
                return []
            self._stream = JsonStream(self._on_value)
            piece, self._held = self._held[opening.end() :], ""
        self._stream.feed(piece)
        return self._take()

    def close(self, *, cut_off: bool = False) -> list[CitedSentence]:
        """What is left, the stream being over: nothing, or a plain answer that came where JSON was asked for.

        Raises:
            ModelFailure: what came is neither, or (not `cut_off`) broke off, or holds no sentence.
        """
        if self._stream is None:
            return self._as_plain(cut_off=cut_off)
        if not cut_off and (self._stream.broken or not self._stream.complete):
            raise ModelFailure(ModelFailureReason.MALFORMED, "the model's JSON breaks off or is none")
        if not cut_off and self._last is None:
            raise ModelFailure(ModelFailureReason.EMPTY, "the model's JSON holds no sentence")
        return []

    def _as_plain(self, *, cut_off: bool) -> list[CitedSentence]:
        parser = CitationParser(self._shown)
        sentences = [_signalled(sentence) for sentence in parser.feed(self._held) + parser.close(cut_off=cut_off)]
        if not self._held.strip() or cut_off:
            return sentences
        if not any(sentence.cites or sentence.text == NOT_IN_SOURCES for sentence in sentences):
            raise ModelFailure(ModelFailureReason.MALFORMED, "the model gave neither JSON nor an answer with citations")
        return sentences

    def _take(self) -> list[CitedSentence]:
        ready, self._ready = self._ready, []
        return ready

    def _on_value(self, path: JsonPath, value: Any) -> None:
        if path.key == "answered" and value is False:
            self._add(CitedSentence(NOT_IN_SOURCES, "", ()))
        elif not path.steps and self._last is None and isinstance(value, Mapping):
            whole = next((value[key] for key in _WHOLE_KEYS if isinstance(value.get(key), str)), "")
            self._add_text(whole, passage_numbers(value.get("citations")))
        elif path.listed and path.key in ("sentences", ""):
            if isinstance(value, str):
                self._add_text(value, [])
            elif isinstance(value, Mapping) and isinstance(text := value.get("text", value.get("sentence")), str):
                self._add_text(text, passage_numbers(value.get("citations", value.get("citation"))))

    def _add_text(self, text: str, numbers: list[int]) -> None:
        for at, sentence in enumerate(cited_sentences(text, numbers, self._shown)):
            self._add(_signalled(sentence), inside=at > 0)

    def _add(self, sentence: CitedSentence, *, inside: bool = False) -> None:
        if not inside:
            sentence = replace(sentence, lead=_lead(self._last, sentence))
        self._ready.append(sentence)
        self._last = sentence


class AnswerReader:
    """Reads an answer in whichever of the two forms it comes, without what a reasoning model thinks aloud before it.

    An answer that begins by saying in its own words that the passages do not hold it gives the signal `NOT_IN_SOURCES`.

    Any way to cut the same answer into pieces gives the same sentences.
    """

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._parser: CitationParser | StructuredParser | None = None
        self._held: str | None = ""
        """What may be thinking; None once the answer has begun."""
        self._begun = False

    def feed(self, delta: ChatDelta) -> list[CitedSentence]:
        """Sentences that this piece completes."""
        if self._parser is None and delta.text:
            self._parser = StructuredParser(self._shown) if delta.structured else CitationParser(self._shown)
        return self._read(self._spoken(delta.text))

    def close(self, *, cut_off: bool = False) -> list[CitedSentence]:
        """What is left, the stream being over; `cut_off` as in `CitationParser.close`.

        Raises:
            ModelFailure: what came is no answer.
        """
        held, self._held = self._held or "", None
        if self._parser is None:
            return []
        last = [] if held.lstrip().startswith(_THINKS) else self._read(held)
        return last + self._told(self._parser.close(cut_off=cut_off))

    def _read(self, text: str) -> list[CitedSentence]:
        return self._told(self._parser.feed(text)) if self._parser is not None and text else []

    def _told(self, sentences: list[CitedSentence]) -> list[CitedSentence]:
        """The sentences, a first one that says in other words that there is no answer being made the signal for it."""
        told = [_signalled(sentence) for sentence in sentences]
        if told and not self._begun:
            self._begun = True
            if not told[0].cites and finds_nothing(told[0].text):
                told[0] = replace(told[0], text=NOT_IN_SOURCES)
        return told

    def _spoken(self, piece: str) -> str:
        """The part of it that belongs to the answer."""
        if self._held is None:
            return piece
        self._held += piece
        begun = self._held.lstrip()
        if begun.startswith(_THINKS):
            _, ended, answer = begun.partition(_THOUGHT)
            if not ended:
                return ""
            begun = answer
        elif _THINKS.startswith(begun):
            return ""
        self._held = None
        return begun


def cited_sentences(text: str, numbers: Sequence[int], shown: int) -> list[CitedSentence]:
    """The sentences of a text in JSON: mostly one, each with its own markers, else with the `numbers` of all."""
    if _ESCAPED_BLOCK.search(text) and "\n" not in text:  # line breaks escaped twice
        text = text.replace("\\n", "\n")
    parser = CitationParser(shown)
    parts = parser.feed(text) + parser.close()
    known = tuple(dict.fromkeys(number for number in numbers if 1 <= number <= shown))
    unknown = len({number for number in numbers if not 1 <= number <= shown})
    if len(parts) == 1:
        (part,) = parts
        cites = tuple(dict.fromkeys((*known, *part.cites)))
        return [replace(part, cites=cites, unknown=max(unknown, part.unknown))]
    return [part if part.cites or part.unknown else replace(part, cites=known, unknown=unknown) for part in parts]


def without_thinking(answer: str) -> str:
    """The whole answer of a reasoning model without what it thinks aloud before it."""
    if not answer.lstrip().startswith(_THINKS):
        return answer
    return answer.partition(_THOUGHT)[2].strip()


def _signalled(sentence: CitedSentence) -> CitedSentence:
    """The sentence, or exactly `NOT_IN_SOURCES` if it says that in nearly these words."""
    if sentence.cites or _DECLINED.fullmatch(sentence.text) is None:
        return sentence
    return replace(sentence, text=NOT_IN_SOURCES)


def _lead(last: CitedSentence | None, sentence: CitedSentence) -> str:
    """The white space that a reader expects between the two."""
    if last is None:
        return ""
    if _is_block(sentence.text) or _ends_in_block(last.text):
        return "\n\n"
    if ITEM.match(sentence.text):
        return "\n"
    return "\n\n" if ITEM.match(last.text) else " "


def _is_block(text: str) -> bool:
    return FENCE.match(text) is not None or text.startswith(("|", "#"))


def _ends_in_block(text: str) -> bool:
    last = text.rpartition("\n")[2]
    return FENCE.match(last) is not None or last.startswith("|")


def passage_numbers(value: Any) -> list[int]:
    """Passage numbers in whatever a model gives as citations: 1, "1", "[1]", [1, "2"], {"passage": 1}."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, float):
        return [int(value)] if value == int(value) and abs(value) < 1000 else []
    if isinstance(value, str):
        return [int(number) for number in _NUMBER.findall(value)]
    items = value.values() if isinstance(value, Mapping) else value
    return [number for item in items for number in passage_numbers(item)]
