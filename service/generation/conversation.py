"""A follow-up question, made to stand alone: by a model where there is one, by rules otherwise.

Detecting that it can't stand alone is a matter of its words; what the model says is checked before it is used.
"""

from __future__ import annotations

import re

from service.generation.answers import AnswerQuery

_FOLLOW_UP = re.compile(
    r"^\s*(?:and|but|so|then|also|what about|how about|why not)\b"
    r"|\b(?:it|its|that|those|these|this|they|their|them|there|ones?|same|else|instead|former|latter|previous)\b"
    r"|\b(?:first|second|third|last|next) (?:one|step|command|option)\b",
    re.IGNORECASE,
)
_SHORT_QUESTION_WORDS = 4
_REMEMBERED_TURNS = 2


def needs_history(query: AnswerQuery) -> bool:
    """Whether the question can't stand alone: short, or pointing back at earlier turns."""
    asked = query.question.strip()
    short = len(asked.split()) <= _SHORT_QUESTION_WORDS
    return bool(query.history) and (short or _FOLLOW_UP.search(asked) is not None)


def by_rules(query: AnswerQuery) -> str:
    """The question with the user's last turns before it, where it needs them."""
    asked = query.question.strip()
    if not needs_history(query):
        return asked
    earlier = [turn.content.strip() for turn in query.history if turn.role == "user"][-_REMEMBERED_TURNS:]
    return "\n".join((*earlier, asked))
