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
from service.generation.llm import ChatMessage

ANSWER_PROMPT = "answer@2"

_FILES = {"answer@1": "answer@1.txt", ANSWER_PROMPT: "answer@2.txt"}
_UNDATED = frozenset({"answer@1"})
"""Prompts of before passages carried dates: a version renders the same for ever."""
_SECTION = re.compile(r"^<<<(system|user|assistant|question)>>>\n", re.MULTILINE)
_MARKER = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """`fixed` is the constant part; `template` holds `{passages}` and `{question}` once each.

    `dated`: passages say when their document last changed.
    """

    version: str
    fixed: tuple[ChatMessage, ...]
    template: str
    dated: bool = True

    def render(
        self, question: str, passages: Sequence[IndexedChunk], old: frozenset[int] = frozenset()
    ) -> tuple[ChatMessage, ...]:
        """The messages for one question; passages are numbered from 1 in the order given. `old`: replaced ones."""
        quoted = "\n".join(self._quoted(at + 1, passage, old=at in old) for at, passage in enumerate(passages))
        before, _, after = self.template.partition("{passages}")
        body = before + quoted + after.replace("{question}", _MARKER.sub("&lt;", question), 1)
        return (*self.fixed, ChatMessage("user", body))

    def _quoted(self, number: int, passage: IndexedChunk, *, old: bool) -> str:
        title = " > ".join(dict.fromkeys((passage.document.title, *passage.chunk.heading_path)))
        title = _fenced(" ".join(title.replace('"', "'").split()))
        status = ' status="superseded"' if old else ""
        # what was replaced may well have been touched last: no date speaks for it
        date = f' updated="{passage.document.updated_at:%Y-%m-%d}"' if self.dated and not old else ""
        text = _fenced(passage.chunk.text.strip())
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
    return Prompt(version, fixed, template, dated=version not in _UNDATED)


def _fenced(text: str) -> str:
    return _MARKER.sub("&lt;", text)
