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

ANSWER_PROMPT = "answer@1"

_FILES = {ANSWER_PROMPT: "answer@1.txt"}
_SECTION = re.compile(r"^<<<(system|user|assistant|question)>>>\n", re.MULTILINE)
_MARKER = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """`fixed` is the constant part; `template` holds `{passages}` and `{question}` once each."""

    version: str
    fixed: tuple[ChatMessage, ...]
    template: str

    def render(
        self, question: str, passages: Sequence[IndexedChunk], old: frozenset[int] = frozenset()
    ) -> tuple[ChatMessage, ...]:
        """The messages for one question; passages are numbered from 1 in the order given. `old`: replaced ones."""
        quoted = "\n".join(_quoted(at + 1, passage, old=at in old) for at, passage in enumerate(passages))
        before, _, after = self.template.partition("{passages}")
        body = before + quoted + after.replace("{question}", _MARKER.sub("&lt;", question), 1)
        return (*self.fixed, ChatMessage("user", body))


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
    return Prompt(version, fixed, template)


def _quoted(number: int, passage: IndexedChunk, *, old: bool) -> str:
    title = " > ".join(dict.fromkeys((passage.document.title, *passage.chunk.heading_path)))
    status = ' status="superseded"' if old else ""
    title = " ".join(title.replace('"', "'").split())
    body = _fenced(passage.chunk.text.strip())
    return f'<passage number="{number}" title="{_fenced(title)}"{status}>\n{body}\n</passage>'


def _fenced(text: str) -> str:
    return _MARKER.sub("&lt;", text)
