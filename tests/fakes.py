"""The one fake: a chat model that plays a script. Everything else in the suite is the real thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from service.errors import ModelFailure
from service.generation.models.llm import ChatDelta, ChatMessage, ChatRequest, Usage

Step = str | Usage | ChatDelta | ModelFailure | asyncio.Event
"""A piece of text, the usage, a whole delta, a failure to raise, or an event to wait for before going on."""


@dataclass
class ScriptedModel:
    """Plays `scripts` in turn, one per call, the last one again and again; remembers what it was asked."""

    scripts: Sequence[Sequence[Step]]
    name: str = "scripted"
    calls: list[tuple[ChatMessage, ...]] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)
    closed: int = 0
    """Streams that ended, however they did."""
    running: int = 0
    most_running: int = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        self.calls.append(request.messages)
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for step in script:
                if isinstance(step, ModelFailure):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, ChatDelta):
                    yield step
                elif isinstance(step, Usage):
                    yield ChatDelta(usage=step)
                else:
                    yield ChatDelta(step)
                await asyncio.sleep(0)
        finally:
            self.running -= 1
            self.closed += 1


def saying(*pieces: str) -> ScriptedModel:
    """A model that says this, every time."""
    return ScriptedModel([pieces])
