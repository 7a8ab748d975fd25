"""Better sentences in the place of those that the passages do not support: what to ask for, and what came.

Which sentences, and whether what came is any better, is left to the callers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ingestion.corpus.records import IndexedChunk
from service.generation.checking.sentences import FENCE
from service.generation.citations import CitationParser, CitedSentence
from service.generation.jsonstream import JsonPath, JsonStream
from service.generation.prompts import REPAIR_PROMPT, PromptPurpose, RenderedPrompt, load_prompt
from service.generation.quoting import quote_passages
from service.generation.structured import cited_sentences, passage_numbers, without_thinking

_LINE = re.compile(r"[ \t>*-]{0,4}(?:sentence )?(\d{1,2})[*]{0,2}:[*]{0,2}[ \t]*", re.IGNORECASE)
_DROPS = re.compile(r"\W*(?:drop(?:ped)?|removed?|deleted?|none|n/?a|not[_ ]in[_ ]sources)?\W*", re.IGNORECASE)
_ALL_DROPPED = re.compile(r"\W*(?:drop|not[_ ]in[_ ]sources)\W*", re.IGNORECASE)

Repairs = Mapping[int, Sequence[CitedSentence]]
"""Index of a sentence that was asked about -> what to say instead; nothing: drop it. Others were left out."""


def render_repair(
    question: str,
    passages: Sequence[IndexedChunk],
    sentences: Sequence[tuple[str, str]],
    old: frozenset[int] = frozenset(),
) -> RenderedPrompt:
    """What to ask a model about the sentences, each given with what is wrong with it in a few words.

    Passages and `old` are numbered and marked as in `Prompt.render`.
    """
    prompt = load_prompt(REPAIR_PROMPT, PromptPurpose.REPAIR)
    numbered = (f"{at}: {text.strip()}\n({' '.join(wrong.split())})" for at, (text, wrong) in enumerate(sentences, 1))
    return prompt.fill(
        passages=quote_passages(passages, old, prompt.quoting),
        question=prompt.quote(question),
        sentences=prompt.quote("\n".join(numbered)),
    )


def read_repair(answer: str, *, structured: bool, shown: int, asked: int) -> Repairs:
    """What a model made of `asked` sentences, with `shown` passages before it; empty if it is no such answer.

    `structured`: it was asked in the form that takes a schema. Half an answer gives what is whole of it.
    """
    answer = without_thinking(answer)
    found = _of_json(answer, shown, asked) if structured else {}
    return found or _of_lines(answer, shown, asked)


def _of_json(answer: str, shown: int, asked: int) -> dict[int, list[CitedSentence]]:
    found: dict[int, list[CitedSentence]] = {}

    def take(path: JsonPath, value: Any) -> None:
        if not path.listed or path.key not in ("repairs", "sentences", "") or not isinstance(value, Mapping):
            return
        numbers = passage_numbers(value.get("sentence", value.get("number")))
        text = value.get("text")
        if len(numbers) != 1 or not 1 <= numbers[0] <= asked or not isinstance(text, str):
            return
        kept = found.setdefault(numbers[0] - 1, [])
        if not _DROPS.fullmatch(text):
            kept += cited_sentences(text, passage_numbers(value.get("citations")), shown)

    start = re.search(r"[{\[]", answer)
    if start is not None:
        JsonStream(take).feed(answer[start.start() :])
    return found


def _of_lines(answer: str, shown: int, asked: int) -> dict[int, list[CitedSentence]]:
    if _ALL_DROPPED.fullmatch(answer):
        return {at: [] for at in range(asked)}
    found: dict[int, list[CitedSentence]] = {}
    for number, text in _lines(answer):
        if 1 <= number <= asked:
            kept = found.setdefault(number - 1, [])
            kept += [] if _DROPS.fullmatch(text) else _read(text, shown)
    if not found and asked == 1:  # the number of the only one may be missing
        only = _read(answer, shown)
        return {0: only} if any(sentence.cites for sentence in only) else {}
    return found


def _lines(answer: str) -> list[tuple[int, str]]:
    """Numbered texts; lines without a number, and all lines of a block, belong to the one before them."""
    texts: list[tuple[int, list[str]]] = []
    in_block = False
    for line in answer.splitlines():
        match = None if in_block else _LINE.match(line)
        if match is not None:
            texts.append((int(match.group(1)), [line[match.end() :]]))
        elif texts:
            texts[-1][1].append(line)
        fenced = line[match.end() :] if match is not None else line
        in_block = in_block is not (FENCE.match(fenced) is not None)
    return [(number, "\n".join(lines).strip()) for number, lines in texts]


def _read(text: str, shown: int) -> list[CitedSentence]:
    parser = CitationParser(shown)
    return parser.feed(text) + parser.close()
