"""Versioned prompts, kept as files beside this module. Leaves what to ask about to `answering`.

What never changes (rules, worked examples) comes first, so that endpoints can reuse it; the question comes last.
Passages stand between markers and can't contain one: retrieved text is data, and cannot end its own quotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal, cast

from ingestion.corpus.records import IndexedChunk
from ingestion.errors import ConfigurationError
from service.generation.citations import leads_in
from service.generation.llm import ChatMessage
from service.generation.sentences import UnitKind, units_of

ANSWER_PROMPT = "answer@2"

_FILES = {"answer@1": "answer@1.txt", ANSWER_PROMPT: "answer@2.txt"}
_PLAIN = frozenset({"answer@1"})
"""Versions from before passages were dated and marked: a version renders the same for ever."""
_SECTION = re.compile(r"^<<<(system|user|assistant|question)>>>\n", re.MULTILINE)
_MARKER = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """`fixed` is the constant part; `template` holds `{passages}` and `{question}` once each.

    `marked`: passages say when their document last changed, bear their number after each paragraph and list item, as
    the answer shall, and stand with the best one last, next to the question. Small models copy what stands there; asked
    for the number in a heading, they made it up.
    """

    version: str
    fixed: tuple[ChatMessage, ...]
    template: str
    marked: bool = True

    def render(
        self, question: str, passages: Sequence[IndexedChunk], old: frozenset[int] = frozenset()
    ) -> tuple[ChatMessage, ...]:
        """The messages for one question; passages are numbered from 1 in the order given, best first.

        `old` holds the indexes of those whose document was replaced: they stand farthest from the question.
        """
        order = sorted(range(len(passages)), key=lambda at: (at not in old, -at) if self.marked else (True, at))
        quoted = "\n".join(self._quoted(at + 1, passages[at], old=at in old) for at in order)
        before, _, after = self.template.partition("{passages}")
        body = before + quoted + after.replace("{question}", _MARKER.sub("&lt;", question), 1)
        return (*self.fixed, ChatMessage("user", body))

    def _quoted(self, number: int, passage: IndexedChunk, *, old: bool) -> str:
        title = " > ".join(dict.fromkeys((passage.document.title, *passage.chunk.heading_path)))
        title = _fenced(" ".join(title.replace('"', "'").split()))
        status = ' status="superseded"' if old else ""
        # what was replaced may well have been touched last: no date speaks for it
        date = f' updated="{passage.document.updated_at:%Y-%m-%d}"' if self.marked and not old else ""
        text = passage.chunk.text.strip()
        text = _fenced(_marked(text, number) if self.marked else text)
        return f'<passage number="{number}" title="{title}"{date}{status}>\n{text}\n</passage>'


def load_prompt(version: str = ANSWER_PROMPT) -> Prompt:
    """The prompt of that version.

    Raises:
        ConfigurationError: no such version.
    """
    if version not in _FILES:
        raise ConfigurationError(f"no prompt {version!r}; there are: {', '.join(sorted(_FILES))}")
    text = resources.files(__package__ or "service.generation").joinpath("prompts", _FILES[version]).read_text("utf-8")
    parts = _SECTION.split(text)
    sections = [(parts[index], parts[index + 1].strip("\n")) for index in range(1, len(parts), 2)]
    fixed = tuple(
        ChatMessage(cast(Literal["system", "user", "assistant"], role), body)
        for role, body in sections
        if role != "question"
    )
    template = next(body for role, body in sections if role == "question")
    return Prompt(version, fixed, template, marked=version not in _PLAIN)


def _marked(text: str, number: int) -> str:
    """The text with the passage's number after each paragraph, list item, block and table, but not after lead-ins."""
    pieces: list[str] = []
    position = 0
    units = units_of(text)
    for at, unit in enumerate(units):
        pieces.append(text[position : unit.end])
        position = unit.end
        following = units[at + 1] if at + 1 < len(units) else None
        same = following is not None and unit.kind is following.kind
        if unit.kind is UnitKind.CODE or (unit.kind is UnitKind.ROW and not same):
            pieces.append(f"\n[{number}]")
        elif unit.kind is UnitKind.ITEM or unit.kind is UnitKind.PROSE:
            goes_on = same and unit.kind is UnitKind.PROSE and "\n\n" not in text[unit.end : units[at + 1].start]
            if not goes_on and not leads_in(text[unit.start : unit.end]):
                pieces.append(f" [{number}]")
    return "".join(pieces) + text[position:]


def _fenced(text: str) -> str:
    return _MARKER.sub("&lt;", text)
