"""One round of repair: a model is asked for better sentences in the place of those that the passages don't support.

What it says is judged like everything else, and taken only if it is better. When there is a round at all is left to
`writing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.generation.answers import Support
from service.generation.checking.attribution import Judged
from service.generation.citations import CitedSentence
from service.generation.holding import UNSUPPORTED, HoldBack
from service.generation.models.llm import complete
from service.generation.prompts import REPAIR_PROMPT
from service.generation.repairs import Repairs, read_repair, render_repair
from service.generation.routing import Writer
from service.generation.run import Run

_IN_WORDS: Mapping[str, str] = {
    "citations": "no passage says this",
    "negation": "the passage says the opposite",
    "source": "only a replaced document says this",
}
"""What a failing check means, by what stands before its colon; facts and conflicts speak for themselves."""


async def mend(run: Run, writer: Writer, hold: HoldBack, max_output_tokens: int, ends_at_s: float) -> None:
    """Ask once about the failing sentences of `hold` and put what is better in their place.

    `ends_at_s`: until when, on the clock of `time.monotonic`.

    Raises:
        ModelFailure: see `ChatModel.stream`.
    """
    failing = hold.failing()
    given = [(hold.held[at].text, what_is_wrong(hold.held[at].support)) for at in failing]
    passages = [passage.indexed for passage in run.passages]
    prompt = render_repair(run.question, passages, given, run.old)
    request = prompt.request(max_output_tokens)
    context = run.asking.context("repair", writer.tier, REPAIR_PROMPT)
    completed = await complete(writer.model, replace(request, context=context, ends_at_s=ends_at_s))
    run.usages.append(completed.usage)
    repairs = read_repair(completed.text, structured=completed.structured, shown=len(passages), asked=len(failing))
    better = await asyncio.to_thread(
        run.timed, "verify", lambda: _better(run, [hold.held[at] for at in failing], repairs)
    )
    hold.mend({failing[at]: sentences for at, sentences in better.items()})
    dropped = sum(not sentences for sentences in better.values())
    mended = len(better) - dropped
    run.decide("repair", writer.model.name, f"{len(failing)} failed", f"{mended} mended", f"{dropped} taken back")


def what_is_wrong(support: Support) -> str:
    """The failing checks of a verdict, in words for a model."""
    found = []
    for check in support.checks:
        kind, _, detail = check.partition(":")
        if detail.startswith("missing "):
            found.append(f"{detail.removeprefix('missing ')} is not in the passage")
        elif kind == "conflict":
            found.append(f"the passage says {detail.replace(' not ', ', not ')}")
        elif kind in _IN_WORDS:
            found.append(_IN_WORDS[kind])
    return "; ".join(dict.fromkeys(found)) or "the passage does not say this"


def _better(run: Run, failing: Sequence[Judged], repairs: Repairs) -> dict[int, list[Judged]]:
    """By index what stands in for a failing sentence: supported, at least in part; or nothing, if it was taken back."""
    better = {}
    for at, sentences in repairs.items():
        judged = [run.draft.rejudge(_placed(sentence, failing[at])) for sentence in sentences]
        if not any(each.support.label in UNSUPPORTED for each in judged):
            better[at] = judged
    return better


def _placed(sentence: CitedSentence, failing: Judged) -> CitedSentence:
    return replace(sentence, lead=sentence.lead or failing.lead)
