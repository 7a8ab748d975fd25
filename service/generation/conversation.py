"""A follow-up question, made to stand alone: by a model where there is one, by rules otherwise.

Detecting that it can't stand alone is a matter of its words; what the model says is checked before it is used.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from time import monotonic

import structlog

from service.errors import ModelFailure
from service.generation.answers import AnswerQuery, Decision
from service.generation.followups import REWRITE_TOKENS, accept_rewrite, read_rewrite, render_rewrite
from service.generation.models.llm import CallContext, ChatModel, Usage, complete

log = structlog.get_logger(__name__)

_FOLLOW_UP = re.compile(
    r"^\s*(?:and|but|so|then|also|what about|how about|why not)\b"
    r"|\b(?:it|its|that|those|these|this|they|their|them|there|ones?|same|else|instead|former|latter|previous)\b"
    r"|\b(?:first|second|third|last|next) (?:one|step|command|option)\b",
    re.IGNORECASE,
)
_SHORT_QUESTION_WORDS = 4
_PATIENCE_S = 15.0
"""A rewrite that takes longer is not waited for: rules do it at once."""
_REMEMBERED_TURNS = 2


@dataclass(frozen=True, slots=True)
class Standalone:
    """A question that needs no history, what it took to make it so, and how that was decided if it was to be."""

    question: str
    usage: Usage | None = None
    decision: Decision | None = None


def needs_history(query: AnswerQuery) -> bool:
    """Whether the question can't stand alone: short, or pointing back at earlier turns."""
    asked = query.question.strip()
    short = len(asked.split()) <= _SHORT_QUESTION_WORDS
    return bool(query.history) and (short or _FOLLOW_UP.search(asked) is not None)


async def standing_alone(query: AnswerQuery, model: ChatModel | None, context: CallContext) -> Standalone:
    """The question as one that needs no history.

    What the model says is used only if it adds nothing that was not said; else, or where it fails, rules do it.
    """
    if model is None or not needs_history(query):
        return Standalone(by_rules(query))
    prompt = render_rewrite(query.question, query.history)
    request = replace(prompt.request(REWRITE_TOKENS), context=context, ends_at_s=monotonic() + _PATIENCE_S)
    try:
        completed = await complete(model, request)
    except ModelFailure as failure:
        log.warning("rewrite_failed", reason=failure.reason)
        return Standalone(by_rules(query), None, Decision("rewrite", "by rules", (failure.reason,)))
    rewritten = read_rewrite(completed.text)
    accepted = await asyncio.to_thread(accept_rewrite, query.question, query.history, rewritten)
    if accepted is None:
        decision = Decision("rewrite", "by rules", ("the model changed what is asked",))
        return Standalone(by_rules(query), completed.usage, decision)
    return Standalone(accepted, completed.usage, Decision("rewrite", model.name))


def by_rules(query: AnswerQuery) -> str:
    """The question with the user's last turns before it, where it needs them."""
    asked = query.question.strip()
    if not needs_history(query):
        return asked
    earlier = [turn.content.strip() for turn in query.history if turn.role == "user"][-_REMEMBERED_TURNS:]
    return "\n".join((*earlier, asked))
