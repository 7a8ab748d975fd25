"""Versioned prompts, `purpose@version`, kept as files beside this module. Leaves what to ask about to its callers.

A version renders the same for ever: whoever wants another wording writes another version. What never changes (rules,
worked examples) comes first, so that endpoints can reuse it; the question comes last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import resources
from typing import Any, Literal, cast

from ingestion.corpus.records import IndexedChunk
from ingestion.errors import ConfigurationError
from service.generation.models.llm import ChatMessage, ChatRequest, Structured
from service.generation.quoting import Quoting, quote_passages, quote_text

ANSWER_PROMPT = "answer@3"
REPAIR_PROMPT = "repair@1"
REWRITE_PROMPT = "rewrite@1"
JUDGE_PROMPT = "judge@1"

_VERSIONS = ("answer@1", "answer@2", ANSWER_PROMPT, REPAIR_PROMPT, REWRITE_PROMPT, JUDGE_PROMPT)
_SECTION = re.compile(r"^<<<(about|schema|(?:system|user|assistant|question)(?: json)?)>>>\n", re.MULTILINE)
_SLOT = re.compile(r"\{([a-z]+)\}")


class PromptPurpose(StrEnum):
    ANSWER = "answer"
    REPAIR = "repair"
    REWRITE = "rewrite"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What to send for one question: plain, and worded for endpoints that take a schema where the prompt has that."""

    messages: tuple[ChatMessage, ...]
    structured: Structured | None

    def request(self, max_output_tokens: int, temperature: float = 0.0) -> ChatRequest:
        """The call to make."""
        return ChatRequest(self.messages, max_output_tokens, temperature, self.structured)


@dataclass(frozen=True, slots=True)
class _Form:
    """`fixed` is the constant part; `template` has a `{slot}` for each thing that changes."""

    fixed: tuple[ChatMessage, ...]
    template: str

    def fill(self, values: Mapping[str, str]) -> tuple[ChatMessage, ...]:
        # one pass: a slot's name in a passage or question stays what it is
        body = _SLOT.sub(lambda slot: values.get(slot.group(1), slot.group()), self.template)
        return (*self.fixed, ChatMessage("user", body))


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version. `changed` says what is new in it; `quoting` how passages stand in it."""

    version: str
    purpose: PromptPurpose
    changed: str
    quoting: Quoting
    _plain: _Form
    _json: _Form | None
    _schema: Mapping[str, Any] | None

    @property
    def marked(self) -> bool:
        """Whether passages bear their number where the answer shall bear it."""
        return self.quoting is not Quoting.PLAIN

    @property
    def structured(self) -> bool:
        """Whether there is a wording for endpoints that hold their output to a schema."""
        return self._json is not None

    def fill(self, **values: str) -> RenderedPrompt:
        """The messages with these values in their slots, as they are: untrusted text goes through `quote` first."""
        structured = None
        if self._json is not None and self._schema is not None:
            name = self.version.replace("@", "_v")  # letters, digits, `_` and `-` only: a rule of the protocol
            structured = Structured(self._json.fill(values), name, self._schema)
        return RenderedPrompt(self._plain.fill(values), structured)

    def render(
        self, question: str, passages: Sequence[IndexedChunk], old: frozenset[int] = frozenset()
    ) -> RenderedPrompt:
        """The messages for one question; passages are numbered from 1 in the order given, best first.

        `old` holds the indexes of those whose document was replaced: they stand farthest from the question.
        """
        return self.fill(passages=quote_passages(passages, old, self.quoting), question=self.quote(question))

    def quote(self, text: str) -> str:
        """The text with nothing in it that passes for a passage's end or a turn of the conversation."""
        return quote_text(text, self.quoting)


def load_prompt(version: str = ANSWER_PROMPT, purpose: PromptPurpose | None = None) -> Prompt:
    """The prompt of that version.

    Raises:
        ConfigurationError: no such version, or one for another purpose.
    """
    fitting = [name for name in _VERSIONS if purpose is None or name.startswith(f"{purpose}@")]
    if version not in fitting:
        raise ConfigurationError(f"no prompt {version!r}; there are: {', '.join(fitting)}")
    text = resources.files(__package__ or "service.generation").joinpath("prompts", f"{version}.txt").read_text("utf-8")
    parts = _SECTION.split(text)
    sections = [(parts[index], parts[index + 1].strip("\n")) for index in range(1, len(parts), 2)]
    by_name = dict(sections)
    about = dict(line.split(": ", 1) for line in by_name["about"].splitlines())
    has_json = "schema" in by_name
    return Prompt(
        version,
        PromptPurpose(version.partition("@")[0]),
        about["changed"],
        Quoting(about["quoting"]),
        _form(sections),
        _form(sections, json_form=True) if has_json else None,
        json.loads(by_name["schema"]) if has_json else None,
    )


def prompts(purpose: PromptPurpose | None = None) -> tuple[Prompt, ...]:
    """All versions, or those for one purpose, oldest first."""
    load = partial(load_prompt, purpose=purpose)
    return tuple(load(name) for name in _VERSIONS if purpose is None or name.startswith(f"{purpose}@"))


def _form(sections: Sequence[tuple[str, str]], *, json_form: bool = False) -> _Form:
    """The plain form, or the JSON one: there a section `role json` stands for the one of that role before it."""
    chosen: list[tuple[str, str]] = []
    for name, body in sections:
        role, _, variant = name.partition(" ")
        if role in ("about", "schema") or (variant and not json_form):
            continue
        if variant:
            assert chosen[-1][0] == role, f"section {name} follows the {role} that it stands for"
            chosen[-1] = (role, body)
        else:
            chosen.append((role, body))
    fixed = tuple(
        ChatMessage(cast(Literal["system", "user", "assistant"], role), body)
        for role, body in chosen
        if role != "question"
    )
    return _Form(fixed, next(body for role, body in chosen if role == "question"))
