"""A follow-up made a question of its own by a model: what to ask for, what came, and whether it may be used.

Whether a question needs it at all is told in `conversation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.generation.answers import Turn
from service.generation.checking.evidence import Reader
from service.generation.checking.sentences import CITATION
from service.generation.languages import Languages
from service.generation.prompts import REWRITE_PROMPT, PromptPurpose, RenderedPrompt, load_prompt
from service.generation.structured import without_thinking

REWRITE_TOKENS = 96
"""Output that a question may take."""
_TURNS = 6
_TURN_CHARACTERS = 400
_LONGEST = 400
_LONGEST_FACTOR = 4
"""How many times the words of the question and of the turn before it a rewrite may have."""
_NEW_WORDS = 2
"""Content words of its own that it may have: "restarting" for "bounce"."""
_KEPT = 0.5
"""Share of the question's content words that it must keep."""
_LABEL = re.compile(r"^\W*(?:(?:standalone|rewritten|last|the) )?(?:question|frage)\s*:\s*", re.IGNORECASE)
_QUOTES = "\"'`*\u201c\u201d\u201e\u00ab\u00bb "
_TOKEN = re.compile(r"[^\s,;?!()\"'`\u201c\u201d]+")
_TECHNICAL = re.compile(r"\d|[_/\\=@:]|\w[.-]\w|\w[A-Z]|^-|^[A-Z]{2,}$")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+")
_POLITE = frozenset({"please", "bitte", "tell", "explain"})


def render_rewrite(question: str, history: Sequence[Turn]) -> RenderedPrompt:
    """What to ask a model for: the question as one that needs no history."""
    prompt = load_prompt(REWRITE_PROMPT, PromptPurpose.REWRITE)
    turns = (
        f"{'User' if turn.role == 'user' else 'Assistant'}: {_clipped(turn.content)}" for turn in history[-_TURNS:]
    )
    return prompt.fill(history=prompt.quote("\n".join(turns)), question=prompt.quote(_clipped(question, _LONGEST)))


def read_rewrite(answer: str) -> str:
    """The question in what a model said; empty if there is none."""
    lines = [line.strip() for line in without_thinking(answer).splitlines()]
    line = next((line for line in lines if line.strip(_QUOTES) and not line.startswith("```")), "")
    return _LABEL.sub("", line).strip(_QUOTES)


def accept_rewrite(
    original: str,
    history: Sequence[Turn],
    rewritten: str,
    *,
    reader: Reader | None = None,
    languages: Languages | None = None,
) -> str | None:
    """The rewritten question if it asks what the original asks and adds nothing but what the history says, else None.

    Refused: another language, an answer, a question much longer, without most words of the original, or with a number,
    an identifier, a name or more than a few words that stand in neither.
    """
    asked, made = original.strip(), rewritten.strip()
    if not made or "\n" in made or CITATION.search(made) or _too_long(asked, history, made):
        return None
    if _is_question(asked) and not _is_question(made):
        return None
    if made[-1] in ".!" and asked[-1:] not in (".", "!"):
        return None
    said = " ".join((asked, *(turn.content for turn in history)))
    if _new_technical(made, said) or _new_names(made, said):
        return None
    reader, languages = reader or Reader(), languages or Languages(with_model=False)
    words, known, own = (frozenset(reader.stems(languages.without_little_words(text))) for text in (made, said, asked))
    if len(words - known) > _NEW_WORDS or len(words & own) < _KEPT * len(own - _POLITE):
        return None
    before, after = languages.language(asked), languages.language(made)
    return None if before is not None and after is not None and before != after else made


def _too_long(asked: str, history: Sequence[Turn], made: str) -> bool:
    earlier = next((turn.content for turn in reversed(history) if turn.role == "user"), "")
    allowed = _LONGEST_FACTOR * max(4, len(asked.split()), len(earlier.split()))
    return len(made) > _LONGEST or len(made.split()) > allowed


def _is_question(text: str) -> bool:
    return text.rstrip(_QUOTES).endswith(("?", "\uff1f", "\u061f", "\u037e"))


def _new_technical(made: str, said: str) -> bool:
    """Whether it has a number, version, identifier, path or flag that was not said, to the letter but for case."""
    known = {token.strip(".:").casefold() for token in _TOKEN.findall(said)}
    tokens = (token.strip(".:") for token in _TOKEN.findall(made))
    return any(token.casefold() not in known for token in tokens if _TECHNICAL.search(token))


def _new_names(made: str, said: str) -> bool:
    lowered = said.casefold()
    return any(name.casefold() not in lowered for name in _NAME.findall(made))


def _clipped(text: str, longest: int = _TURN_CHARACTERS) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[:longest].rsplit(" ", 1)[0] + " ..."
